"""Does the store feed the trainer? Clouds a second on one core without a model, and feeding's share of a training step.

Feeding is all of `loader.FrameLoader.batch`: drawing points, de-quantising, the unit sphere, augmentation, targets.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.synthetic_store import synthetic_store
from pointdistill.bench.timing import on_one_core
from pointdistill.engine.optim import adamw
from pointdistill.engine.pretrain import gradients
from pointdistill.loader import FrameLoader
from pointdistill.methods.base import Draw
from pointdistill.parallel import torch_threads, usable_cores
from pointdistill.pretraining import build_method, train_loader
from pointdistill.recipes.paper import paper
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.store import FrameStore

LEAST_CLOUDS = 5000
"""Clouds of 4096 points a second on one core: what one large GPU eats."""
MOST_SHARE = 0.05
"""Of a training step of the paper's backbone at batch 32."""
_BATCH = 32
_FRAMES = 2048


@dataclass(frozen=True)
class FeedFigures:
    """Medians; a thread's own seconds leave out what other jobs of the machine took of its core.

    Attributes:
        frames, stored_points, points: frames used, points kept of each, points drawn.
        clouds: clouds a second of one core, by the thread's own seconds.
        clouds_elapsed: the same by the clock.
        copies: frames a second that are only copied, by the thread's own seconds: what the memory gives.
        feed: seconds that a batch of 32 takes while training.
        step: seconds of a training step on it, all cores (or the device).
    """

    frames: int
    stored_points: int
    points: int
    clouds: float
    clouds_elapsed: float
    copies: float
    feed: float
    step: float

    @property
    def share(self) -> float:
        """Feeding over the step."""
        return self.feed / self.step

    def rows(self) -> list[Figure]:
        """The figures beside their limits."""
        clouds = Figure(
            f"clouds of {self.points:,} of {self.stored_points:,} points, one core, no model",
            self.clouds,
            "clouds/s",
            {"bare copies of the frames": self.copies},
            Limit(f"{LEAST_CLOUDS:,} or more", self.clouds >= LEAST_CLOUDS),
            f"{self.frames:,} frames in the page cache; by the clock {self.clouds_elapsed:,.0f}",
            more=True,
        )
        share = Figure(
            f"feeding a batch of {_BATCH} while training",
            self.feed * 1e3,
            "ms",
            {"a step of the paper's recipe": self.step * 1e3},
            Limit(f"{MOST_SHARE:.0%} of the step or less", self.share <= MOST_SHARE),
        )
        return [clouds, share]


def feed(store: FrameStore, batches: int = 64, steps: int = 3, device: str = "cpu") -> FeedFigures:
    """Measure feeding from a store as the paper's recipe feeds: camera frame, scale and translate.

    Args:
        store: at least 32 frames; at most 2,048 of them are used, read once before anything is timed.
        batches: measured on one core, each followed by bare copies of as many other frames.
        steps: training steps measured, each after feeding its batch; one before them is not counted.
        device: where the steps are taken.

    Raises:
        RecipeError: fewer than 32 frames.
    """
    recipe = replace(paper(), engine=replace(paper().engine, batch_size=_BATCH))
    loader = train_loader(recipe, store)
    order = np.random.default_rng(0).permutation(min(len(store), _FRAMES))
    for index in order:
        store.points[index].sum()
    with torch_threads(1):
        alone = on_one_core(lambda: [_alone(loader, order, number) for number in range(batches)])
    own, elapsed, copying = np.median(alone, 0) / _BATCH
    with torch_threads(usable_cores()):
        trained = list(_steps(recipe, loader, order, steps + 1, device))[1:]
    feeding, stepping = np.median(trained, 0)
    return FeedFigures(
        frames=len(order),
        stored_points=store.points.shape[1],
        points=loader.points,
        clouds=float(1 / own),
        clouds_elapsed=float(1 / elapsed),
        copies=float(1 / copying),
        feed=float(feeding),
        step=float(stepping),
    )


def _chosen(order: np.ndarray, number: int) -> np.ndarray:
    return np.take(order, np.arange(number * _BATCH, (number + 1) * _BATCH), mode="wrap")


def _alone(loader: FrameLoader, order: np.ndarray, number: int) -> tuple[float, float, float]:
    """A batch: seconds of this thread, seconds of the clock; and this thread's for copying the frames after it."""
    chosen, others = _chosen(order, 2 * number), _chosen(order, 2 * number + 1)
    began, began_own = time.perf_counter(), time.thread_time()
    loader.batch(chosen, number)
    own, elapsed = time.thread_time() - began_own, time.perf_counter() - began
    room = np.empty_like(loader.store.points[0])
    began_own = time.thread_time()
    for index in others:
        np.copyto(room, loader.store.points[index])
    return own, elapsed, time.thread_time() - began_own


def _steps(
    recipe: PretrainRecipe, loader: FrameLoader, order: np.ndarray, steps: int, device: str
) -> Iterator[tuple[float, float]]:
    """Seconds of feeding and of training, in turn: what else the machine does falls on both."""
    torch.manual_seed(0)
    method = build_method(recipe, loader.store)
    assert isinstance(method, torch.nn.Module)
    method.to(device).train()
    optimizer = adamw(method, recipe.engine.lr, recipe.engine.weight_decay)
    for number in range(steps):
        began = time.perf_counter()
        batch = loader.batch(_chosen(order, number), number)
        fed = time.perf_counter()
        _, norm = gradients(method, method, batch.to(device), Draw(0, number, batch.index.numpy()))
        optimizer.step()
        norm.item()  # waits for the device
        yield fed - began, time.perf_counter() - fed


def figures(store: Path | None = None, steps: int = 3, device: str = "cpu") -> list[Figure]:
    """Measure a store, or one made for the purpose.

    Args:
        store: folder of a prepared store with targets of one teacher; None makes up 1,024 frames in a temporary folder.
        steps: training steps measured.
        device: where the steps are taken.

    Raises:
        DataError: no finished store there.
        RecipeError: fewer than 32 frames.
    """
    with tempfile.TemporaryDirectory() as folder:
        opened = FrameStore.open(store) if store else synthetic_store(Path(folder), 1024)
        return feed(opened, steps=steps, device=device).rows()

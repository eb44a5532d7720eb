"""What a training run adds to its steps: loading, augmentation, watching, reports, log and checkpoints."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pointdistill.batch import FrameBatch
from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.step import Step, with_mixed_projector
from pointdistill.bench.synthetic_store import synthetic_store
from pointdistill.engine.checkpoint import save_checkpoint
from pointdistill.engine.optim import adamw
from pointdistill.engine.pretrain import PretrainConfig, pretrain
from pointdistill.loader import FrameLoader
from pointdistill.parallel import torch_threads, usable_cores
from pointdistill.pretraining import build_method, train_loader, validation_loader
from pointdistill.recipes.paper import paper

LEAST_SHARE = 0.95
"""Of the rate of bare steps."""
_BATCH, _CHECKPOINTS = 16, 3


class _Timed:
    """A loader that steps a bare student once between two steps of the loop, and keeps both times."""

    def __init__(self, loader: FrameLoader, bare: Step, steps: int):
        self.loader, self.bare, self.steps = loader, bare, steps
        self.loops: list[float] = []
        self.bares: list[float] = []

    def __len__(self) -> int:
        return self.steps

    def epoch(self, number: int, start_step: int = 0) -> Iterator[FrameBatch]:
        batches = self.loader.epoch(number, start_step)
        for _ in range(self.steps):
            began = time.perf_counter()
            yield next(batches)  # the time between is the loop's step
            self.loops.append(time.perf_counter() - began)
            began = time.perf_counter()
            self.bare()
            self.bares.append(time.perf_counter() - began)


def figures(steps: int = 6, device: str = "cpu") -> list[Figure]:
    """Steps of the paper's recipe at batch 16 within the loop, in turn with bare ones; and checkpoints.

    Args:
        steps: of each, besides a first one that is not counted and a last one that ends with a validation.
        device: where.
    """
    recipe = with_mixed_projector(paper())
    recipe = replace(recipe, engine=replace(recipe.engine, batch_size=_BATCH, epochs=1))
    with torch_threads(usable_cores()), tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder:
        store = synthetic_store(Path(folder) / "store", (steps + 2) * _BATCH)
        timed = _Timed(train_loader(recipe, store, device), Step(recipe, device), steps + 2)
        method = build_method(recipe, store)
        validation = validation_loader(recipe, store, _BATCH)
        pretrain(method, timed, validation, recipe.engine, Path(folder) / "run", "bench", device)
        optimizer, saving = adamw(method, 1e-3, 0.05), []  # type: ignore[arg-type]
        for _ in range(_CHECKPOINTS):
            began = time.perf_counter()
            save_checkpoint(Path(folder) / "state.safetensors", method, optimizer, "bench")  # type: ignore[arg-type]
            saving.append(time.perf_counter() - began)
    return [_figure(recipe.engine, timed, float(np.median(saving)))]


def _figure(engine: PretrainConfig, timed: _Timed, saving: float) -> Figure:
    bare, loop = (float(np.median(taken[1:-1])) for taken in (timed.bares, timed.loops))
    whole = loop + saving / engine.checkpoint_every
    parts = {"loading, augmentation, watching": 1e3 * (loop - bare), "checkpoints": 1e3 * (whole - loop)}
    return Figure(
        f"a step of the training loop, ViT-S, batch {_BATCH}, everything on",
        1e3 * whole,
        "ms",
        {"bare step": 1e3 * bare},
        Limit(f"{LEAST_SHARE:.0%} of the bare rate or more", bare >= LEAST_SHARE * whole),
        f"a checkpoint takes {saving:.2f} s, every {engine.checkpoint_every} steps",
        parts,
    )

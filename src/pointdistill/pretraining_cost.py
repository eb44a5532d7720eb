"""What a pre-training will take, before it is begun: seconds of a step, memory, the largest batch that fits."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.console import answer
from pointdistill.engine.optim import adamw
from pointdistill.engine.pretrain import gradients
from pointdistill.memory import told_by_kernel
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.recipe import PretrainRecipe, first_stage
from pointdistill.store import FrameStore

MOST_TIMED = 16
"""Clouds of a batch that is timed; larger batches are reckoned from it."""
_MARGIN = 0.8
"""Of the free memory, what a batch is allowed to fill: allocators leave gaps, products need room to work in."""


def made_up_method(recipe: PretrainRecipe, target: tuple[int, int]) -> nn.Module:
    """The recipe's method around fresh weights, for targets of this shape."""
    statistics = TargetStatistics(torch.zeros(target), torch.ones(target))
    backbone = PointTransformer(recipe.backbone)
    method = recipe.method.build(backbone, statistics if recipe.method.learns_from_teacher else None)
    assert isinstance(method, nn.Module)
    return method


def made_up_batch(recipe: PretrainRecipe, count: int, target: tuple[int, int]) -> FrameBatch:
    """Random clouds of the recipe's size, with whatever any method may ask of a batch."""
    points, second = torch.rand(2, count, recipe.frames.points, 3) * 2 - 1
    cells = torch.zeros(count, recipe.frames.points, dtype=torch.int64)
    matches = torch.arange(getattr(recipe.method, "matches", 1))[None, :, None].expand(count, -1, 2)
    return FrameBatch(points, torch.randn(count, *target), torch.arange(count), cells, second, matches)


def step_seconds(recipe: PretrainRecipe, target: tuple[int, int], device: str) -> float:
    """Seconds of a step of the recipe's batch: the quicker of two on made-up clouds, after one that is not counted."""
    torch.manual_seed(0)
    count = min(MOST_TIMED, recipe.engine.batch_size)
    batch = made_up_batch(recipe, count, target).to(device)
    method = made_up_method(recipe, target).to(device).train()
    optimizer = adamw(method, recipe.engine.lr, recipe.engine.weight_decay)
    taken = []
    for step in range(3):
        began = time.perf_counter()
        losses, _ = gradients(method, method, batch, Draw(0, step, batch.index.cpu().numpy()))
        optimizer.step()
        losses.total.item()  # waits for the device
        taken.append(time.perf_counter() - began)
    return min(taken[1:]) * recipe.engine.batch_size / count


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a training step needs at its peak, in float32.

    Attributes:
        fixed: weights, gradients, both moments of AdamW, and what does not grow with the batch.
        sample: what each sample of the batch adds.
    """

    fixed: float
    sample: float

    def of(self, batch_size: int) -> float:
        """Bytes of a step of this batch."""
        return self.fixed + self.sample * batch_size

    def largest_batch(self, available: float) -> int:
        """Samples of the largest batch that fits into so many bytes."""
        return max(0, int((_MARGIN * available - self.fixed) / self.sample))


def step_memory(recipe: PretrainRecipe, target: tuple[int, int]) -> StepMemory:
    """Reckoned from what the forward pass keeps for the backward pass, by running it where tensors have shapes but no
    numbers (the meta device), at two sizes of the batch; a method whose shapes depend on numbers is run on the CPU.

    To what is kept comes the largest of it twice more: for the gradient that it is given, and for the one that it makes
    of it.
    """
    small, large = (_kept(recipe, count, target) for count in (2, 4))
    method = made_up_method(recipe, target)
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
    others = sum(p.numel() for p in method.parameters() if not p.requires_grad)
    others += sum(buffer.numel() for buffer in method.buffers())
    sample = (large - small) / 2
    return StepMemory(4.0 * (4 * trained + others) + max(0.0, small - 2 * sample), sample)


def _kept(recipe: PretrainRecipe, count: int, target: tuple[int, int]) -> float:
    with suppress(RuntimeError):  # no kernel without numbers, no generator there
        return _kept_on("meta", recipe, count, target)
    return _kept_on("cpu", recipe, count, target)


def _kept_on(device: str, recipe: PretrainRecipe, count: int, target: tuple[int, int]) -> float:
    method = made_up_method(recipe, target).to(device).train()
    batch, index = made_up_batch(recipe, count, target), torch.arange(count).numpy()
    weights = {_storage(tensor) for tensor in (*method.parameters(), *method.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in weights:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = method(batch.to(device), Draw(0, 0, index))
    assert losses.total.requires_grad
    return float(sum(kept.values()) + 2 * max(kept.values()))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def available_memory(device: str) -> float:
    """Bytes that are free on a device."""
    if torch.device(device).type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = told_by_kernel("/proc/meminfo", "MemAvailable")
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if free is None else free


def print_cost(recipe: PretrainRecipe, store: FrameStore, device: str) -> list[dict[str, Any]]:
    """Say what a pre-training on a store will take on this machine: steps, hours, memory, disk."""
    target = store.target_shape if recipe.method.learns_from_teacher else (1, 1)
    first = first_stage(recipe)
    stages = [("its tokenizer, first", first), (recipe.name, recipe)]
    shape = (target[0], target[1])
    return [_print_stage(name, stage, len(store), shape, device) for name, stage in stages if stage is not None]


def _print_stage(
    name: str, recipe: PretrainRecipe, frames: int, target: tuple[int, int], device: str
) -> dict[str, Any]:
    engine, ranks = recipe.engine, distributed.ranks()
    steps = frames // engine.batch_size * engine.epochs
    seconds = step_seconds(recipe, target, device)
    memory, free = step_memory(recipe, target), available_memory(device)
    weights = sum(p.numel() for p in made_up_method(recipe, target).parameters())
    mixed = "" if engine.precision == "float32" else f"; in {engine.precision} it is less"
    lines = [
        f"{name}: {frames:,} frames, {engine.epochs} epochs of batches of {engine.batch_size}: {steps:,} steps",
        f"time: {seconds:.2g} s a step on {device}, {_time(seconds * steps)} in all, for one process",
        f"memory: {memory.fixed / 1e9:.2f} GB and {memory.sample / 1e6:.1f} MB a sample: "
        f"{memory.of(engine.batch_size // ranks) / 1e9:.1f} GB at this batch, float32{mixed}; {free / 1e9:.1f} GB are "
        f"free: the largest batch that fits is {memory.largest_batch(free):,}",
        f"disk: {28 * weights / 1e9:.2f} GB (two checkpoints, and the weights); {16 * weights / 1e9:.2f} GB stay",
    ]
    for line in lines:
        answer(line)
    return {
        "stage": name,
        "frames": frames,
        "steps": steps,
        "seconds_per_step": seconds,
        "seconds": seconds * steps,
        "memory_gb": memory.of(engine.batch_size // ranks) / 1e9,
        "free_gb": free / 1e9,
        "largest_batch": memory.largest_batch(free),
        "disk_gb": 28 * weights / 1e9,
    }


def _time(seconds: float) -> str:
    for length, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"

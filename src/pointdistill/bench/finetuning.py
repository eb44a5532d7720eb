"""A fine-tuning step of each task: how close to what matrix products allow, and what it is made of.

Each published recipe's step, from clouds that are drawn and augmented to the optimiser's update, in turns with the bare
matrix products of its backbone's layers; then the same under torch's profiler, split into stages (`bench.stages`).
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pointdistill.bench import labelled
from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.stages import REST, seconds_by_stage, stage
from pointdistill.bench.step import gemms
from pointdistill.bench.straightforward import plain_patch_embed
from pointdistill.bench.timing import in_turns
from pointdistill.engine.optim import adam, adamw, backward
from pointdistill.geometry import ball_query, farthest_point_sample, gather, interpolate, knn, three_nearest
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.parallel import torch_threads, usable_cores
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.tasks.base import Sample, Splits, TaskModel, to_device
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.set_loss import match

LEAST_SHARE = 0.7
"""Of the peak of matrix products, for classification and part segmentation."""
MOST_OF_A_STAGE = 0.2
"""Of a step, for stages that are not matrix products."""
_DATA: dict[str, Callable[[int], Any]] = {
    "objects": labelled.objects,
    "parts": labelled.part_shapes,
    "scenes": labelled.scenes,
}
_MATRIX = ("encoder", "decoder", REST)
_FUNCTIONS = {
    "sampling": (farthest_point_sample,),
    "grouping": (knn, ball_query, gather, three_nearest),
    "interpolation": (interpolate,),
    "matching": (match,),
}


@dataclass(frozen=True)
class Measured:
    """What is measured of a task.

    Attributes:
        recipe: by name.
        batch: samples a step; the recipe's own or as many as a machine with little memory holds.
        bound: whether its step is bound by matrix products, and has to be as quick as they are.
    """

    recipe: str
    batch: int
    bound: bool


MEASURED = (
    Measured("modelnet40", 32, True),
    Measured("shapenetpart", 16, True),
    Measured("scannet-segmentation", 4, False),
    Measured("scannet-detection", 2, False),
    Measured("scannet-detection-set-abstraction", 2, False),
    Measured("scannet-3detr", 2, False),
)


def figures(rounds: int = 7, device: str = "cpu") -> list[Figure]:
    """Measure; see the module.

    Args:
        rounds: turns of which medians are taken; one before is not counted.
        device: where the steps are taken; they are split into stages on the CPU alone.
    """
    with torch_threads(usable_cores()):
        return [figure for measured in MEASURED for figure in _of_task(measured, rounds, device)]


def _of_task(measured: Measured, rounds: int, device: str) -> list[Figure]:
    recipe = RECIPES[measured.recipe]()
    step = FinetuneStep(recipe, measured.batch, device)
    contenders: dict[str, Callable[[], object]] = {"step": step, "batch": step.draw}
    rates: dict[str, float] = {}
    products = None
    if isinstance(step.model.backbone, PointTransformer):
        config, task = step.model.backbone.config, recipe.task
        sizes = {"groups": task.group_count, "group_size": task.group_size}  # type: ignore[attr-defined]
        products = gemms(replace(config, **sizes), measured.batch, device)
        contenders |= products.calls
    seconds = {name: taken.elapsed for name, taken in in_turns(contenders, rounds).items()}
    rate = measured.batch / seconds["step"]
    where = f"batch {measured.batch}, float32, {usable_cores()} threads, {device}"
    drawing = {"drawing its batch, meanwhile": 1e3 * seconds["batch"]}
    rows = [Figure(f"{recipe.name}: a step", 1e3 * seconds["step"], "ms", drawing, note=where)]
    if products is not None:
        rates = {name: products.flops[name] / seconds[name] / 1e9 for name in products.calls}
        rows.append(_share(measured, flops(step), rate, max(rates.values())))
    if device == "cpu":
        rows.append(_split(recipe.name, step, rounds))
    return rows


def _share(measured: Measured, count: float, rate: float, peak: float) -> Figure:
    share = 100 * rate * count / 1e9 / peak
    limit = Limit(f"{LEAST_SHARE:.0%} or more", share >= 100 * LEAST_SHARE) if measured.bound else None
    note = f"{count / 1e9:.1f} GFLOP a sample, of {peak:.0f} GFLOP/s"
    return Figure(f"{measured.recipe}: share of the peak", share, "%", {}, limit, note, more=True)


def _split(name: str, step: "FinetuneStep", rounds: int) -> Figure:
    taken = [step.split() for _ in range(rounds)]
    split = {stage: 1e3 * float(np.median([each.get(stage, 0.0) for each in taken])) for stage in taken[0]}
    whole = sum(split.values())
    largest = max((stage for stage in split if stage not in _MATRIX), key=split.__getitem__)
    share = split[largest] / whole
    return Figure(
        f"{name}: its stages, forward and backward",
        whole,
        "ms",
        limit=Limit(f"{MOST_OF_A_STAGE:.0%} or less without products", share <= MOST_OF_A_STAGE),
        note=f"the largest without matrix products is {largest}, {share:.1%}",
        parts=dict(sorted(split.items(), key=lambda each: -each[1])),
    )


class FinetuneStep:
    """A recipe's step on one batch of made-up samples."""

    def __init__(self, recipe: DownstreamRecipe, batch: int, device: str):
        torch.manual_seed(0)
        self.recipe, self.task = recipe, recipe.task
        self.data, self.samples = _DATA[recipe.store](batch), [Sample(0, number) for number in range(batch)]
        splits = Splits(self.data, self.data, self.data)
        self.model: TaskModel = self.task.model(recipe.backbone.build(), splits).to(device).train()
        config = recipe.optimisation
        build = adam if config.optimiser == "adam" else adamw
        self.optimizer = build(self.model, config.lr / 100, config.weight_decay, decay_all=config.decay_all)
        self.batch = to_device(self.draw(), device)

    def draw(self) -> Any:
        """The batch, on the CPU."""
        return self.task.batch(self.data, self.samples, 0)

    def __call__(self) -> None:
        with stage("loss"):
            losses = self.task.loss(self.model, self.batch)
        norm = backward(losses.total, self.model, self.recipe.optimisation.clip or None)
        with stage("optimiser"):
            self.optimizer.step()
        norm.item()  # waits for the device

    def split(self) -> dict[str, float]:
        """Seconds of a step by stage."""
        return seconds_by_stage(self, _FUNCTIONS, self._modules())

    def _modules(self) -> Mapping[str, list[nn.Module]]:
        """The backbone's parts one by one: with other tokens than its own it is not called as a whole."""
        backbone, tokeniser = self.model.backbone, getattr(self.model, "tokeniser", None)
        encoder = [backbone, *backbone.children(), *backbone.blocks]
        return {"encoder": [*encoder, *([] if tokeniser is None else [tokeniser])], "decoder": [self.model]}


def flops(step: FinetuneStep) -> float:
    """FLOPs of one sample's training step, counted by torch; tokens of patches as their formula is written.

    Counted where there are no numbers, so that nothing is computed.
    """
    model, few = deepcopy(step.model).to("meta"), to_device(_first(step.batch, 2), "meta")
    if isinstance(step.task, Detection):
        total = _counted(lambda: _scalar(model(few.points)))  # the matching is the CPU's, and no product
    else:
        total = _counted(lambda: step.task.loss(model, few).total)
    backbone = model.backbone
    if isinstance(backbone, PointTransformer) and getattr(model, "tokeniser", None) is None:
        task: Any = step.task
        patches = torch.empty(2, task.group_count, task.group_size, 3, device="meta")
        total -= _counted(lambda: backbone.patch_embed(patches).sum())
        total += _counted(lambda: plain_patch_embed(backbone.patch_embed, patches).sum())
    return total / 2


def _scalar(proposals: Any) -> Tensor:
    return proposals.logits.sum() + proposals.centres.sum() + proposals.sizes.sum()


def _counted(work: Callable[[], Tensor]) -> float:
    """Of a forward and backward pass; torch counts attention where it is spelt out."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work().backward()
    return float(counter.get_total_flops())


def _first(batch: Any, count: int) -> Any:
    """A dataclass of the first samples."""
    return replace(batch, **{field.name: getattr(batch, field.name)[:count] for field in fields(batch)})

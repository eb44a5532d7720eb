"""How close is a distillation step to what the machine's matrix products allow, and how far ahead of the plain way?

The paper's recipe at batch 16 and in float32, from clouds of 4,096 points to the optimiser's update, in turns: the
package's step, the same student as its formulas are written down (`bench.straightforward`), and the bare matrix
products of its largest layers. FLOPs are counted on the formulas as written, so that what is not computed twice counts
as speed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pointdistill.batch import FrameBatch
from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.geometry import room
from pointdistill.bench.straightforward import plain_concepts, plain_inputs, plain_prefix
from pointdistill.bench.timing import in_turns
from pointdistill.engine.optim import adamw, parameter_groups
from pointdistill.engine.pretrain import gradients
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.distill import Distill
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.models.projector import ProjectorConfig
from pointdistill.parallel import torch_threads, usable_cores
from pointdistill.recipes.paper import paper
from pointdistill.recipes.recipe import PretrainRecipe

LEAST_TIMES = 1.3
"""As quick as the plain way."""
LEAST_SHARE = 0.9
"""Of the peak of matrix products."""
PREFIX = 10, 768
_BATCH = 16
_PLAIN = "as the formulas are written"


def figures(rounds: int = 7, device: str = "cpu") -> list[Figure]:
    """Measure; see the module.

    Args:
        rounds: turns of which medians are taken; one before is not counted.
        device: where the steps are taken.
    """
    recipe = with_mixed_projector(paper())
    with torch_threads(usable_cores()):
        step, plain = Step(recipe, device), Step(recipe, device, plain=True)
        flat = Step(paper(), device)
        products = gemms(recipe.backbone, _BATCH, device)
        contenders: dict[str, Callable[[], object]] = {"step": step, "plain": plain, "flat": flat, **products.calls}
        seconds = {name: taken.elapsed for name, taken in in_turns(contenders, rounds).items()}
        count = flops(plain.method, plain.batch)
        rates = {name: products.flops[name] / seconds[name] / 1e9 for name in products.calls}
        updating = {"optimiser": 1e3 * step.updating, "the same, flat projector": 1e3 * flat.updating}
    peak, total = max(rates.values()), sum(count.values())
    rate, plain_rate = _BATCH / seconds["step"], _BATCH / seconds["plain"]
    share, plain_share = (100 * each * total / 1e9 / peak for each in (rate, plain_rate))
    threads = f"batch {_BATCH}, float32, {usable_cores()} threads, {device}"
    parameters = sum(p.numel() for p in flat.method.parameters()) / 1e6
    return [
        Figure(
            "distillation step, ViT-S, 64 x 32 of 4,096 points",
            rate,
            "samples/s",
            {_PLAIN: plain_rate, f"flat projector, {parameters:.0f} M parameters": _BATCH / seconds["flat"]},
            Limit(f"{LEAST_TIMES} times the plain way or more", rate >= LEAST_TIMES * plain_rate),
            f"{threads}; mixing projector",
            more=True,
        ),
        Figure(
            "share of the peak of matrix products",
            share,
            "%",
            {_PLAIN: plain_share},
            Limit(f"{100 * LEAST_SHARE:.0f} % or more", share >= 100 * LEAST_SHARE),
            f"{total / 1e9:.1f} GFLOP a sample, as the formulas are written",
            more=True,
        ),
        Figure("peak of matrix products at these shapes", peak, "GFLOP/s", parts=rates, more=True),
        Figure(
            "FLOPs of a sample, forward and backward",
            total / 1e9,
            "GFLOP",
            parts={part: value / 1e9 for part, value in count.items()},
        ),
        Figure("of a step: the optimiser's update", updating["optimiser"], "ms", parts=updating),
    ]


def with_mixed_projector(recipe: PretrainRecipe) -> PretrainRecipe:
    """A distillation whose projector is small."""
    return replace(recipe, method=replace(recipe.method, projector=ProjectorConfig(form="mix")))  # type: ignore[arg-type]


class Step:
    """A training step of a distillation on one made-up batch; `updating` is the last one's seconds of the optimiser."""

    def __init__(self, recipe: PretrainRecipe, device: str, plain: bool = False, batch: int = _BATCH):
        torch.manual_seed(0)
        statistics = TargetStatistics(torch.zeros(PREFIX), torch.ones(PREFIX))
        method = recipe.method.build(PointTransformer(recipe.backbone), statistics)  # type: ignore[arg-type]
        assert isinstance(method, Distill)
        self.method, self.plain, self.updating, self.device = method.to(device).train(), plain, 0.0, device
        points = room(recipe.frames.points * batch).view(batch, -1, 3) / 4
        self.batch = FrameBatch(points, torch.randn(batch, *PREFIX), torch.arange(batch)).to(device)
        self.draw = Draw(0, 0, np.arange(batch))
        lr, decay = recipe.engine.lr / 100, recipe.engine.weight_decay
        plainly = torch.optim.AdamW
        self.optimizer = plainly(parameter_groups(method, lr, decay)) if plain else adamw(method, lr, decay)

    def __call__(self) -> None:
        _, norm = gradients(self.method, self._losses, self.batch, self.draw)
        began = time.perf_counter()
        self.optimizer.step()
        norm.item()  # waits for the device
        self.updating = time.perf_counter() - began

    def _losses(self, batch: FrameBatch, draw: Draw) -> Losses:
        if not self.plain:
            return self.method(batch, draw)
        noise = self.method.noise(draw).to(self.device)
        loss = self.method.loss(plain_prefix(self.method, batch.points, noise), batch)
        return Losses(loss, {})


@dataclass(frozen=True)
class Products:
    """Bare matrix products: what to call, and how many FLOPs that are, by name."""

    calls: dict[str, Callable[[], object]]
    flops: dict[str, float]


def gemms(config: BackboneConfig, batch: int, device: str) -> Products:
    """The forward products of the layers that most FLOPs go into, into memory that is there already."""
    width, rows, tokens = config.width, batch * config.groups * config.group_size, batch * config.groups
    shapes = {
        "mini-PointNet, third layer": (rows, 4 * width // 3, 4 * width // 3),
        "mini-PointNet, last layer": (rows, 4 * width // 3, width),
        "queries, keys, values": (tokens, width, 3 * width),
        "feed-forward, first": (tokens, width, 4 * width),
        "feed-forward, second": (tokens, 4 * width, width),
    }
    calls: dict[str, Callable[[], object]] = {}
    for name, (m, k, n) in shapes.items():
        a, b, out = (torch.randn(*size, device=device) for size in ((m, k), (k, n), (m, n)))
        calls[name] = lambda a=a, b=b, out=out: _product(a, b, out)
    return Products(calls, {name: 2.0 * m * k * n * _REPEATS for name, (m, k, n) in shapes.items()})


_REPEATS = 4


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    for _ in range(_REPEATS):
        torch.mm(a, b, out=out)
    out[0, 0].item()  # waits for the device


def flops(method: Distill, batch: FrameBatch) -> dict[str, float]:
    """FLOPs of one sample's training step as the formulas are written, counted by torch, by part."""
    points, count = batch.points[:1], {}
    noise = torch.ones(1, 2 * len(method.backbone.blocks), device=points.device)
    with FlopCounterMode(display=False) as counter:
        inputs = plain_inputs(method.backbone, points.expand(2, -1, -1), noise.expand(2, -1))
        _backward(*inputs)
    count["encoder"] = counter.get_total_flops() / 2
    with FlopCounterMode(display=False) as counter:
        given = [features.detach().requires_grad_() for features in inputs]
        concepts = plain_concepts(method, given)
        _backward(concepts)
    count["concepts"] = counter.get_total_flops() / 2
    with FlopCounterMode(display=False) as counter:
        _backward(method.projector(concepts.detach().requires_grad_()))
    count["projector"] = counter.get_total_flops() / 2
    method.zero_grad(set_to_none=True)
    return count


def _backward(*outputs: Tensor) -> None:
    torch.autograd.backward([output.sum() for output in outputs])

"""A step reads no number of the device and knows all shapes beforehand: on the meta device, where there are no numbers,
whatever asked for one would raise. With a GPU, torch's own alarm is listened to."""

from dataclasses import replace

import pytest
import torch

from pointdistill.batch import FrameBatch
from pointdistill.engine.optim import adamw
from pointdistill.engine.pretrain import gradients
from pointdistill.engine.watch import FiniteWatch
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.paper import paper

POINTS, BATCH = 256, 3
WAITING = {"local", "point-bert", "point-contrast"}
"""Whose loss is a mean over as many patches, hidden tokens or matches as there happen to be."""
KINDS = sorted(name for name in pretraining_recipes() if name.startswith("paper") and not name.endswith(tuple(WAITING)))


def one_step(recipe, device):
    """A small backbone's step of a recipe, but for the optimiser's."""
    torch.manual_seed(0)
    backbone = replace(recipe.backbone, width=96, depth=2, heads=6, groups=16, group_size=8)
    target = (4, 8)
    statistics = (
        TargetStatistics(torch.zeros(target), torch.ones(target)) if recipe.method.learns_from_teacher else None
    )
    method = recipe.method.build(PointTransformer(backbone), statistics).to(device).train()
    index = torch.arange(BATCH)
    points, second = torch.randn(2, BATCH, POINTS, 3)
    batch = FrameBatch(points, torch.randn(BATCH, *target), index, second=second).to(device)
    draw = Draw(0, 0, index.numpy(), 0.3)

    def step():
        losses, norm = gradients(method, method, batch, draw, clip=1.0)
        watch = FiniteWatch(device)
        watch.see(0, losses.total, norm)
        return losses, norm

    return method, step


@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_a_step_asks_the_device(name):
    recipe = pretraining_recipes()[name]
    method, step = one_step(recipe, "meta")
    losses, norm = step()
    assert losses.total.is_meta and norm.is_meta and losses.total.shape == norm.shape == ()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in method.backbone.blocks[0].parameters())


def test_who_waits_is_known():
    assert len(KINDS) >= 15
    _, step = one_step(pretraining_recipes()["paper-point-bert"], "meta")
    with pytest.raises(NotImplementedError, match="nonzero"):
        step()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", KINDS)
def test_torch_hears_nobody_wait(name):
    method, step = one_step(pretraining_recipes()[name], "cuda")
    optimizer = adamw(method, 1e-3, 0.05)
    for _ in range(2):  # libraries may wait when they are first used
        step(), optimizer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(), optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_papers_step_is_among_them():
    assert paper().name in KINDS

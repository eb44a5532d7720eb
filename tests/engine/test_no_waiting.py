"""A step reads no number of the device and knows all shapes beforehand: on the meta device, where there are no numbers,
whatever asked for one would raise. With a GPU, torch's own alarm is listened to."""

from dataclasses import replace

import pytest
import torch

from pointdistill.batch import FrameBatch
from pointdistill.engine.optim import adamw, backward
from pointdistill.engine.pretrain import gradients
from pointdistill.engine.watch import FiniteWatch
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.paper import paper
from pointdistill.tasks.base import Sample, to_device
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.part_segmentation import PartSegmentation
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from task_samples import object_splits, room_splits, shape_splits, tiny_backbone

POINTS, BATCH = 256, 3
KINDS = sorted(name for name in pretraining_recipes() if name.startswith("paper"))


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
    cells, matches = torch.randint(-1, target[0], (BATCH, POINTS)), torch.randint(-1, POINTS, (BATCH, 5, 2))
    batch = FrameBatch(points, torch.randn(BATCH, *target), index, cells, second, matches).to(device)
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


def test_whoever_waits_is_heard():
    assert len(KINDS) >= 18
    with pytest.raises(NotImplementedError, match="nonzero"):
        torch.ones(3, device="meta")[torch.ones(3, device="meta") > 0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", KINDS)
def test_torch_hears_nobody_wait(name):
    method, step = one_step(pretraining_recipes()[name], "cuda")
    heard(step, adamw(method, 1e-3, 0.05))


def heard(step, optimizer):
    """Let torch raise where a step waits for the GPU."""
    for _ in range(2):  # libraries may wait when they are first used
        step(), optimizer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(), optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


TASKS = {
    "classification": (Classification(points=48, group_count=8, group_size=8), object_splits),
    "parts": (PartSegmentation(points=64, group_count=8, group_size=8), shape_splits),
    "rooms": (SemanticSegmentation(points=256, group_count=8, group_size=8), room_splits),
}
"""But for detection, whose matching is the CPU's."""


def fine_tuning(name, device):
    """A task's step but for the optimiser's, from a batch that is on the device."""
    task, splits = TASKS[name]
    data = splits()
    model = task.model(tiny_backbone(), data).to(device).train()
    batch = to_device(task.batch(data.train, [Sample(0, 0), Sample(0, 1)], 0), device)

    def step():
        losses = task.loss(model, batch)
        norm = backward(losses.total, model, 1.0)
        watch = FiniteWatch(device)
        watch.see(0, losses.total.detach(), norm)
        return losses, norm

    return model, step


@pytest.mark.parametrize("name", TASKS)
def test_nothing_of_a_fine_tuning_step_asks_the_device(name):
    model, step = fine_tuning(name, "meta")
    losses, norm = step()
    assert losses.total.is_meta and norm.is_meta
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.head.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", TASKS)
def test_torch_hears_no_fine_tuning_wait(name):
    model, step = fine_tuning(name, "cuda")
    heard(step, adamw(model, 1e-3, 0.05))


def test_the_papers_step_is_among_them():
    assert paper().name in KINDS

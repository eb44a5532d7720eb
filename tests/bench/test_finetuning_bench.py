"""Whose time is whose: stages of known length, forward and backward."""

import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from pointdistill.bench import finetuning
from pointdistill.bench.finetuning import MEASURED, FinetuneStep, flops
from pointdistill.bench.stages import REST, seconds_by_stage, stage
from pointdistill.geometry import farthest_point_sample, gather, group_patches
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.recipes.downstream import RECIPES


class Sleepy(torch.autograd.Function):
    """Takes its time forward and backward."""

    @staticmethod
    def forward(ctx, x, forward, backward):
        ctx.backward = backward
        time.sleep(forward)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.backward)
        return gradient, None, None


class Part(nn.Module):
    def __init__(self, forward, backward, inner=None):
        super().__init__()
        self.weight, self.times, self.inner = nn.Parameter(torch.ones(1)), (forward, backward), inner

    def forward(self, x):
        x = Sleepy.apply(x * self.weight, *self.times)
        return x if self.inner is None else self.inner(x)


def test_each_stage_has_its_own_time_and_its_backward_pass():
    inner = Part(0.02, 0.12)
    outer = Part(0.06, 0.03, inner)

    def step():
        out = outer(torch.ones(2))
        with stage("loss"):
            out = Sleepy.apply(out, 0.09, 0.0)
        out.sum().backward()
        time.sleep(0.05)

    found = seconds_by_stage(step, {}, {"outer": [outer], "inner": [inner]})
    expected = {"outer": 0.09, "inner": 0.14, "loss": 0.09, REST: 0.05}
    assert found.keys() == expected.keys()
    for name, seconds in expected.items():
        assert seconds <= found[name] < seconds + 0.03, name


def test_functions_are_found_under_the_names_of_their_callers():
    points = torch.rand(1, 200, 3)
    found = seconds_by_stage(
        lambda: group_patches(points, 20, 4), {"sampling": [farthest_point_sample], "gathering": [gather]}, {}
    )
    assert set(found) == {"sampling", "gathering", REST} and min(found.values()) > 0
    from pointdistill.geometry import patches

    assert patches.gather is gather and patches.farthest_point_sample is farthest_point_sample


def shrunk(measured):
    """A published recipe with small sizes, and all of its parts."""
    recipe = RECIPES[measured.recipe]()
    backbone = recipe.backbone
    sizes = {"width": 24, "depth": 3, "heads": 2}
    if "3detr" in measured.recipe:
        sizes |= {"tokens": 32, "ball_size": 8, "ffn": 16}
    task = {"points": 128}
    if hasattr(recipe.task, "group_count"):
        task |= {"group_count": 32, "group_size": 8}
    if hasattr(recipe.task, "farthest"):
        task["farthest"] = 150
    if hasattr(recipe.task, "decoder"):
        task["decoder"] = replace(recipe.task.decoder, width=24, depth=2, heads=2, ffn=24, queries=16)
        task["cuboid"] = None
    assert not isinstance(backbone, DGCNNConfig)
    return replace(recipe, backbone=replace(backbone, **sizes), task=replace(recipe.task, **task))


@pytest.fixture
def small(monkeypatch):
    recipes = {measured.recipe: partial(shrunk, measured) for measured in MEASURED}
    monkeypatch.setattr(finetuning, "RECIPES", recipes)
    monkeypatch.setattr(finetuning, "MEASURED", [replace(measured, batch=2) for measured in MEASURED])
    monkeypatch.setattr(finetuning, "usable_cores", lambda: 1)
    return recipes


def test_figures(small):
    rows = finetuning.figures(rounds=1)
    splits = {row.what.split(":")[0]: row for row in rows if "its stages" in row.what}
    shares = {row.what.split(":")[0]: row for row in rows if "share of" in row.what}
    assert set(splits) == {measured.recipe for measured in MEASURED}
    assert set(shares) == {measured.recipe for measured in MEASURED if "3detr" not in measured.recipe}
    for measured in MEASURED:
        split = splits[measured.recipe]
        parts = split.parts
        assert split.ours == pytest.approx(sum(parts.values()))
        assert {"encoder", "decoder", "sampling", "grouping", "loss", "optimiser", REST} <= set(parts)
        assert ("matching" in parts) == ("detection" in measured.recipe or "3detr" in measured.recipe)
        assert all(value > 0 for name, value in parts.items() if name != REST)
        largest = max(set(parts) - {"encoder", "decoder", REST}, key=parts.__getitem__)
        assert split.note == f"the largest without matrix products is {largest}, {parts[largest] / split.ours:.1%}"
        assert split.limit is not None and split.limit.held == (parts[largest] <= 0.2 * split.ours)
        if measured.recipe in shares:
            assert (shares[measured.recipe].limit is not None) == measured.bound


def test_flops_by_hand():
    recipe = RECIPES["modelnet40"]()
    step = FinetuneStep(recipe, 2, "cpu")
    d, rows, tokens = 384, 64 * 32, 65
    first = rows * 3 * 128 + 64 * 3 * 128
    pointnet = rows * (128 * 256 + 512 * 512 + 512 * d) + 64 * 128 * d
    blocks = 12 * (12 * tokens * d * d + 2 * tokens * tokens * d)
    head = 2 * d * 256 + 256 * 256 + 256 * 40
    # Forward once, backward for weights and for inputs; the clouds themselves need no gradient.
    assert flops(step) == pytest.approx(2 * (2 * first + 3 * (pointnet + blocks + head)), rel=0.002)
    assert all(p.grad is None for p in step.model.parameters())

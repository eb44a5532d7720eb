"""What `bench step` measures and counts; never whether this machine is fast."""

from dataclasses import replace

import pytest
import torch

from pointdistill.bench import step as bench
from pointdistill.bench.straightforward import plain_prefix
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.paper import paper


@pytest.fixture
def small(monkeypatch):
    """The paper's recipe with a backbone that takes no time."""
    recipe = paper()
    backbone = BackboneConfig(width=24, depth=3, heads=6, groups=8, group_size=6, drop_path=0.5)
    method = replace(recipe.method, concepts=replace(recipe.method.concepts, count=5))
    method = replace(method, projector=replace(method.projector, hidden=20))
    recipe = replace(recipe, backbone=backbone, method=method, frames=replace(recipe.frames, points=64))
    monkeypatch.setattr(bench, "paper", lambda: recipe)
    return recipe


def test_the_plain_way_computes_the_same_forward_and_backward(small):
    step = bench.Step(small, "cpu")
    method, points = step.method.double(), step.batch.points.double()
    noise = method.noise(step.draw)
    upstream = torch.randn(16, *bench.PREFIX, dtype=torch.float64)
    gradients = []
    for formulation in (method.standardised, lambda points, noise: plain_prefix(method, points, noise)):
        method.zero_grad()
        out = formulation(points, noise)
        (out * upstream).sum().backward()
        gradients.append([out.detach(), *(p.grad.clone() for p in method.parameters() if p.grad is not None)])
    assert len(gradients[0]) == len(gradients[1]) > 30
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_the_two_ways_take_the_same_steps(small):
    ours, plain = bench.Step(small, "cpu"), bench.Step(small, "cpu", plain=True)
    for _ in range(3):
        ours(), plain()
    for mine, theirs in zip(ours.method.parameters(), plain.method.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)
    assert ours.updating > 0


def test_figures(small):
    rows = bench.figures(rounds=1)
    step, share, peak, flops, update = rows
    assert step.ours > 0 and step.ratio(bench._PLAIN) == step.ours / step.others[bench._PLAIN]
    assert share.ours == pytest.approx(100 * step.ours * flops.ours / peak.ours)
    assert peak.ours == max(peak.parts.values())
    assert set(flops.parts) == {"encoder", "concepts", "projector"} and update.ours > 0


def test_flops_of_the_papers_recipe():
    step = bench.Step(bench.with_mixed_projector(paper()), "cpu")
    count = bench.flops(step.method, step.batch)
    d, rows, tokens, concepts = 384, 64 * 32, 64, 32
    # Multiply-adds, forward: the mini-PointNet's four layers, positions, eleven blocks. Thrice that for training, but
    # for the first layer's input and for the twelfth block, which only runs forward.
    first = rows * 3 * 128 + tokens * 3 * 128
    pointnet = rows * (128 * 256 + 512 * 512 + 512 * d) + tokens * 128 * d
    block = 12 * tokens * d * d + 2 * tokens * tokens * d
    assert count["encoder"] == pytest.approx(2 * (2 * first + 3 * (pointnet + 11 * block) + block), rel=0.002)
    reading = d * d * (2 * concepts + 2 * tokens + 8 * concepts) + 2 * concepts * tokens * d
    assert count["concepts"] == pytest.approx(2 * 3 * 12 * reading, rel=0.002)
    projector = 10 * concepts * d + 10 * d * 3840 + 10 * 3840 * 768
    assert count["projector"] == pytest.approx(2 * 3 * projector, rel=0.002)

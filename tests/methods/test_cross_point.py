from dataclasses import replace

import numpy as np
import pytest
import torch

import golden_losses
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.cross_point import CrossPoint, CrossPointConfig

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
STATISTICS = TargetStatistics(torch.full((2, 3), 0.5), torch.tensor([[1.0, 2.0, 0.0], [1.0, 1.0, 1.0]]))
# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def method(config=None):
    torch.manual_seed(0)
    config = config or CrossPointConfig(projection=8, image_hidden=16)
    return config.build(create_backbone("vit_nano", **TINY), STATISTICS)


def batch(size=6):
    """Clouds that tell what their target is."""
    generator = torch.Generator().manual_seed(0)
    points, second = torch.randn(2, size, 64, 3, generator=generator)
    stretch = torch.linspace(0.5, 3, size)[:, None]
    points[..., 0], second[..., 0] = points[..., 0] * stretch, second[..., 0] * stretch
    targets = torch.cat([stretch, stretch.square(), stretch.flip(0)], 1)[:, None].expand(-1, 2, -1).contiguous()
    return FrameBatch(points, targets, torch.arange(size), second=second)


def test_golden_losses(tmp_path):
    golden_losses.check("cross_point", CrossPointConfig(projection=16, image_hidden=16), tmp_path)


def test_both_contrasts_by_hand():
    """In evaluation, where each cloud is by itself: views apart, heads' layers one by one, the losses' own sums."""
    model, data = method().eval(), batch(4)

    def head(module, x):
        norm = module.norm
        x = (x @ module.first.weight.T - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        x = (x * norm.weight + norm.bias).clamp(min=0) @ module.last.weight.T
        return x if module.last.bias is None else x + module.last.bias

    def nt_xent(a, b):
        z = torch.cat([a, b]).double()
        z = z / z.norm(dim=1, keepdim=True)
        weights = (z @ z.T / 0.1).exp()
        partner = weights[torch.arange(8), (torch.arange(8) + 4) % 8]
        return -(partner / (weights.sum(1) - weights.diagonal())).log().mean()

    views = []
    for points in (data.points, data.second):
        tokens = model.backbone(points).tokens
        views.append(head(model.cloud_head, torch.cat([tokens.mean(1), tokens.amax(1)], dim=1)))
    scale = torch.tensor([[1.0, 2.0, 0.01 * (8 / 6) ** 0.5], [1.0, 1.0, 1.0]])
    images = head(model.image_head, ((data.targets - 0.5) / scale).flatten(1))
    losses = model(data, Draw(0, 0, np.arange(4)))
    assert losses.parts["intra"].item() == pytest.approx(nt_xent(*views).item(), rel=1e-4)
    assert losses.parts["cross"].item() == pytest.approx(nt_xent(sum(views) / 2, images).item(), rel=1e-4)
    assert losses.total.item() == pytest.approx(sum(part.item() for part in losses.parts.values()), rel=1e-6)


def test_gradients_reach_all_but_the_teacher():
    model, data = method().train(), batch()
    data.targets.requires_grad_(False)
    model(data, Draw(0, 0, np.arange(6))).total.backward()
    for name, parameter in model.named_parameters():
        assert name in BEFORE_NORM or parameter.grad.abs().max() > 0, name
    assert {name for name, _ in model.named_buffers()} >= {"target_mean", "target_scale"}


def test_training_finds_views_and_images():
    model, data = method().train(), batch(12)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for epoch in range(50):
        found = model(data, Draw(0, epoch, np.arange(12)))
        optimizer.zero_grad()
        found.total.backward()
        optimizer.step()
        losses.append([found.parts["intra"].item(), found.parts["cross"].item()])
    assert (np.mean(losses[-5:], 0) < 0.5 * np.mean(losses[:5], 0)).all()
    # What was learnt of the images is which cloud is whose: with other frames' targets there is nothing to find.
    others = model(replace(data, targets=data.targets.roll(5, 0)), Draw(0, 50, np.arange(12)))
    assert others.parts["cross"].item() > 2 * losses[-1][1]
    assert model.eval().validate([data])["retrieval"] > 0.5


def test_sizes_are_the_authors():
    model = CrossPoint(
        CrossPointConfig(), create_backbone(), TargetStatistics(torch.zeros(10, 768), torch.ones(10, 768))
    )
    layers = [(layer.in_features, layer.out_features) for layer in (model.cloud_head.first, model.cloud_head.last)]
    layers += [(layer.in_features, layer.out_features) for layer in (model.image_head.first, model.image_head.last)]
    assert layers == [(768, 384), (384, 256), (7680, 512), (512, 256)]
    assert model.cloud_head.last.bias is not None and model.image_head.last.bias is None

from dataclasses import replace

import numpy as np
import pytest
import torch

import golden_losses
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.depth_contrast import DepthContrastConfig

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
SMALL = DepthContrastConfig(queue=18, momentum=0.9, projection=8)
# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def method(config=SMALL):
    torch.manual_seed(0)
    return config.build(create_backbone("vit_nano", **TINY))


def batch(size=6):
    generator = torch.Generator().manual_seed(0)
    points, second = torch.randn(2, size, 64, 3, generator=generator)
    stretch = torch.linspace(0.3, 3, size)[:, None]
    points[..., 0], second[..., 0] = points[..., 0] * stretch, second[..., 0] * stretch
    return FrameBatch(points, torch.zeros(size, 2, 3), torch.arange(size), second=second)


def test_golden_losses(tmp_path):
    golden_losses.check("depth_contrast", DepthContrastConfig(queue=10, projection=16), tmp_path)


def test_the_loss_by_hand():
    """In evaluation, where each cloud is by itself; the key is the copy's, whose weights are others here."""
    model, data, draw = method().eval(), batch(4), Draw(3, 1, np.arange(4))
    with torch.no_grad():
        for weight in model.copy.parameters():
            weight.mul_(1.1)

    def feature(backbone, head, points):
        hidden = (backbone(points).tokens.amax(1) @ head.first.weight.T + head.first.bias).clamp(min=0)
        x = (hidden @ head.last.weight.T + head.last.bias).double()
        return x / x.norm(dim=1, keepdim=True)

    query = feature(model.backbone, model.head, model.augmented(data.points, draw, 0))
    copy = model.copy.network
    key = feature(copy.backbone, copy.head, model.augmented(data.second, draw, 1))
    right, wrong = ((query * key).sum(1) / 0.1).exp(), (query @ model.queue.keys.double().T / 0.1).exp().sum(1)
    assert model(data, draw).total.item() == pytest.approx(-(right / (right + wrong)).log().mean().item(), rel=1e-4)


def test_a_cloud_is_cut_alike_in_any_batch_and_each_view_by_itself():
    model, data = method(), batch()
    whole = model.augmented(data.points, Draw(0, 1, np.arange(6)), 0)
    part = model.augmented(data.points[[4, 2]], Draw(0, 1, np.array([4, 2])), 0)
    assert torch.equal(part, whole[[4, 2]])
    for other in (model.augmented(data.points, Draw(0, 1, np.arange(6)), 1), data.points):
        assert not any(torch.equal(a, b) for a, b in zip(other, whole, strict=True))
    for before, after in zip(data.points, whole, strict=True):
        rows = {tuple(row) for row in after.tolist()}
        assert rows < {tuple(row) for row in before.tolist()} and len(rows) > 0.1 * 64


def test_gradients_reach_the_network_and_never_its_copy():
    model = method().train()
    model(batch(), Draw(0, 0, np.arange(6))).total.backward()
    for name, parameter in model.named_parameters():
        if name.startswith("copy."):
            assert parameter.grad is None and not parameter.requires_grad, name
        else:
            assert name in BEFORE_NORM or parameter.grad.abs().max() > 0, name


def test_copy_and_queue_move_in_training_alone():
    model, data = method(), batch()
    model.eval()(data, Draw(0, 0, np.arange(6)))
    model.validate([data])
    for before, after in zip(method().state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(before, after)
    with torch.no_grad():
        model.head.last.bias += 1.0
    keys = model.queue.keys
    model.train()(data, Draw(0, 0, np.arange(6)))
    torch.testing.assert_close(model.copy.network.head.last.bias, model.head.last.bias - 0.9)
    assert not torch.equal(model.queue.keys[:6], keys[:6]) and torch.equal(model.queue.keys[6:], keys[6:])


def test_learning_tells_clouds_from_those_in_the_queue():
    """The copy and its queue stand still: every step has the same keys to find, in clouds that are cut anew."""
    generator = torch.Generator().manual_seed(0)
    things = torch.randn(32, 8, 3, generator=generator).repeat_interleave(8, 1)
    points, second = (things + 0.1 * torch.randn(things.shape, generator=generator) for _ in range(2))
    model = method(replace(SMALL, queue=24, crop=(0.9, 1.0), drop=0.1))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    model.queue.push(model.train().copy(second[8:]))
    data, losses = FrameBatch(points[:8], torch.zeros(8, 2, 3), torch.arange(8), second=second[:8]), []
    for step in range(15):
        loss = model.eval()(data, Draw(0, step, np.arange(8))).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])
    assert model.validate([data])["retrieval"] > 0.5

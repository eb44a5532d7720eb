"""Occlusion completion: what is encoded, what it is compared with, how the fine cloud's weight grows."""

import numpy as np
import pytest
import torch

import golden_losses
from oracles import points as oracle
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.geometry import camera_turns
from pointdistill.methods.base import Draw
from pointdistill.methods.occo import OccoConfig, occlusion_noise
from pointdistill.models.completion import CompletionConfig, CompletionDecoder
from pointdistill.recipes.named import pretraining_recipes

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
SMALL = CompletionConfig(feature=32, coarse=6, grid=2, hidden=16)
CONFIG = OccoConfig(SMALL, input_points=40, points_per_pixel=4.0, slack=0.5, fine_from=(0.2, 0.5, 0.75))

# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def method(config=CONFIG):
    torch.manual_seed(0)
    return config.build(create_backbone("vit_nano", **TINY))


def batch(size=4):
    points = torch.nn.functional.normalize(torch.randn(size, 64, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    return FrameBatch(points * torch.linspace(0.3, 1, size)[:, None, None], torch.zeros(size, 2, 3), torch.arange(size))


def test_decoder_folds_a_grid_at_each_coarse_point():
    torch.manual_seed(0)
    decoder, tokens = CompletionDecoder(SMALL, 24), torch.randn(3, 8, 24)
    coarse, fine = decoder(tokens)
    feature = decoder.read(tokens).max(1).values
    hidden = torch.relu(decoder.coarse2(torch.relu(decoder.coarse1(feature))))
    torch.testing.assert_close(coarse, decoder.coarse3(hidden).view(3, 6, 3))
    fold = torch.nn.Sequential(decoder.fold1, torch.nn.ReLU(), decoder.fold2, torch.nn.ReLU(), decoder.fold3)
    corners = [(x, y) for x in (-0.05, 0.05) for y in (-0.05, 0.05)]
    expected = [
        torch.stack(
            [point + fold(torch.cat([torch.tensor(corner), point, whole])) for point in cloud for corner in corners]
        )
        for cloud, whole in zip(coarse, feature, strict=True)
    ]
    torch.testing.assert_close(fine, torch.stack(expected))


def test_loss_is_the_oracles_and_the_fine_weight_grows_as_training_goes_on():
    model, data = method().eval(), batch()
    for progress, weight in ((0.0, 0.01), (0.2, 0.1), (0.6, 0.5), (0.75, 1.0), (1.0, 1.0)):
        draw = Draw(2, 1, np.arange(4), progress)
        losses = model(data, draw)
        angles, order, _ = occlusion_noise(draw, data.points, model.backbone).split([3, 64, 4], dim=1)
        clouds = model.decoder(model.backbone(model.occlude(data.points, angles, order)).tokens)
        pairs = [zip(found.detach().numpy(), data.points.numpy(), strict=True) for found in clouds]
        parts = [np.mean([oracle.chamfer(made, cloud, 1) / 2 for made, cloud in pair]) for pair in pairs]
        assert [losses.parts[f"chamfer_{name}"].item() for name in ("coarse", "fine")] == pytest.approx(parts, rel=1e-5)
        assert losses.total.item() == pytest.approx(parts[0] + weight * parts[1], rel=1e-5)


def test_the_encoder_reads_what_a_camera_sees_and_all_of_it_learns(monkeypatch):
    model, read, data = method().train(), [], batch()
    tokenise, draw = model.backbone.tokenise, Draw(0, 3, np.arange(4))
    monkeypatch.setattr(model.backbone, "tokenise", lambda points: read.append(points) or tokenise(points))
    model(data, draw).total.backward()
    turns = camera_turns(2 * np.pi * occlusion_noise(draw, data.points, model.backbone)[:, :3])
    for cloud, turn, part in zip(data.points, turns, read[0], strict=True):
        index = (part[:, None] - cloud).norm(dim=-1).argmin(1)
        assert torch.equal(cloud[index], part)
        seen = oracle.visible(cloud.double().numpy(), turn.double().numpy(), 2.0, 4.0, 0.5)
        assert set(index.tolist()) == set(np.flatnonzero(seen)) and 8 < sum(seen) < 40 == len(part)
    for name, parameter in model.named_parameters():
        assert name in BEFORE_NORM or parameter.grad.abs().max() > 0, name


def test_a_cloud_s_loss_is_its_own_whatever_batch_it_is_in():
    model, data = method().eval(), batch()
    whole = model(data, Draw(3, 5, np.arange(4))).total
    alone = []
    for number in range(4):
        part = FrameBatch(data.points[[number]], data.targets[[number]], data.index[[number]])
        alone.append(model(part, Draw(3, 5, np.array([number]))).total)
    torch.testing.assert_close(torch.stack(alone).mean(), whole)


def test_training_completes_better():
    model, data = method(), batch(8)
    before = model.eval().validate([data])
    optimizer = torch.optim.AdamW(model.train().parameters(), 3e-3)
    for epoch in range(60):
        loss = model(data, Draw(0, epoch, np.arange(8), epoch / 60)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = model.eval().validate([data])
    assert after["chamfer_coarse"] < 0.7 * before["chamfer_coarse"]
    assert after["chamfer_fine"] < 0.7 * before["chamfer_fine"]
    assert model.validate([data]) == after


def settings(recipe):
    assert isinstance(recipe.method, OccoConfig)
    return recipe.method


def test_recipes_make_half_as_many_points_as_there_are():
    recipes = pretraining_recipes()
    for name, sizes in {"paper-occo": (1024, 128, 512), "quickstart-occo": (256, 64, 128)}.items():
        method, points = settings(recipes[name]), recipes[name].frames.points
        made = method.completion
        assert (made.feature, made.coarse, made.hidden) == sizes
        assert 2 * made.coarse * made.grid**2 == points == 2 * method.input_points
    steps = 50 * 98_430 // 32  # theirs on ModelNet40: ten views of 9,843 shapes
    weights = [settings(recipes["paper-occo"]).fine_weight(step / steps) for step in (9_900, 10_100, 20_100, 50_100)]
    assert weights == [0.01, 0.1, 0.5, 1.0]
    shapes = settings(recipes["occo-shapenet55"])
    assert (shapes.input_points, shapes.completion.coarse, recipes["occo-shapenet55"].frames.points) == (
        1024,
        512,
        8192,
    )


def test_golden_losses(tmp_path):
    golden_losses.check("occo", CONFIG, tmp_path)

"""PointContrast: its loss and its features by hand, what learns, and that it learns."""

import dataclasses

import numpy as np
import torch

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.point_contrast import PointContrast, PointContrastConfig, point_info_nce, right_matches

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 10, "group_size": 4}
# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}
DRAW = Draw(0, 0, np.arange(4))


def method(**backbone):
    torch.manual_seed(0)
    return PointContrast(PointContrastConfig(), create_backbone("vit_nano", **{**TINY, **backbone}))


def batch(size=4, matches=12):
    """Clouds of which the second is the first, stretched, moved and in another order."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(size, 64, 3, generator=generator) * 2 - 1
    order = torch.randperm(64, generator=generator)
    second = (points * (0.8 + 0.4 * torch.rand(size, 1, 3, generator=generator)))[:, order] + 0.1
    places = torch.stack([order, torch.arange(64)], dim=1)[:matches]
    index = torch.arange(size)
    return FrameBatch(points, torch.zeros(size, 2, 3), index, second=second, matches=places.expand(size, -1, -1))


def slow_info_nce(query, key, temperature):
    losses = []
    for row, one in enumerate(query):
        similar = [np.exp(np.dot(one, other) / temperature) for other in key]
        losses.append(-np.log(similar[row] / sum(similar)))
    return np.mean(losses)


def slow_feature(model, cloud, point):
    """A point's feature, from the tokens of its three nearest patches."""
    encoded = model.backbone(cloud[None])
    squared = ((encoded.centres[0] - point) ** 2).sum(1)
    near = squared.argsort()[:3]
    weights = 1 / (squared[near] + 1e-8)
    token = sum(weight * encoded.tokens[0, patch] for weight, patch in zip(weights, near, strict=True)) / weights.sum()
    feature = model.head(token)
    return (feature / feature.norm()).detach().numpy()


def test_loss_is_point_info_nce_of_all_matches_of_the_batch():
    model, data = method().eval(), batch(3, matches=5)
    sides = [
        [slow_feature(model, cloud, cloud[place]) for cloud, of in zip(clouds, places, strict=True) for place in of]
        for clouds, places in ((data.points, data.matches[..., 0]), (data.second, data.matches[..., 1]))
    ]
    expected = slow_info_nce(*sides, temperature=0.07)
    found = model(data, Draw(0, 0, np.arange(3)))
    np.testing.assert_allclose(found.total.item(), expected, rtol=1e-4)
    assert found.parts["point_info_nce"] is found.total


def test_filling_counts_for_nothing():
    model, data = method().eval(), batch()
    filled = torch.cat([data.matches, torch.full((4, 7, 2), -1)], dim=1)
    more = FrameBatch(data.points, data.targets, data.index, second=data.second, matches=filled)
    torch.testing.assert_close(model(more, DRAW).total, model(data, DRAW).total)
    assert model.validate([more]) == model.validate([data])


def test_gradients_reach_encoder_and_head():
    model = method().train()
    model(batch(), DRAW).total.backward()
    for name, parameter in model.named_parameters():
        assert name in BEFORE_NORM or parameter.grad.abs().max() > 0, name


def test_the_views_have_their_own_stochastic_depth():
    noise = method().noise(DRAW)
    assert noise.shape == (8, 4) and not torch.equal(noise[:4], noise[4:])
    assert torch.equal(method().noise(Draw(0, 0, np.array([2])))[1], noise[4 + 2])


def test_right_matches_by_hand():
    eye = torch.eye(4).expand(2, 4, 4)
    swapped = eye[:, [1, 0, 2, 3]]
    there = torch.tensor([[True, True, True, False], [True, True, True, True]])
    assert right_matches(torch.stack([eye, eye], dim=1), there).tolist() == [7, 7]
    assert right_matches(torch.stack([eye, swapped], dim=1), there).tolist() == [3, 7]


def test_loss_of_features_that_say_nothing_is_the_logarithm_of_their_number():
    same = torch.ones(50, 8) / 8**0.5
    everywhere = torch.ones(50, dtype=torch.bool)
    torch.testing.assert_close(point_info_nce(same, same, 0.07, everywhere), torch.tensor(50.0).log())


def test_no_match_is_no_loss():
    model, data = method().train(), batch(2)
    nothing = dataclasses.replace(data, matches=torch.full_like(data.matches, -1))
    loss = model(nothing, Draw(0, 0, np.arange(2))).total
    loss.backward()
    assert loss.item() == 0 and all(not parameter.grad.any() for parameter in model.head.parameters())


def test_training_finds_matches():
    model, data = method(drop_path=0.0).train(), batch(8)
    before = model.eval().validate([data])["match_retrieval"]
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for epoch in range(25):
        loss = model.train()(data, Draw(0, epoch, np.arange(8))).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert model.eval().validate([data])["match_retrieval"] > max(0.5, before)

"""Masked discrimination: where the queries lie, what they cost, what sees what."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import golden_losses
from oracles import points as oracle
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.mask_point import MaskPointConfig, draw_queries, query_noise
from pointdistill.models.query_decoder import QueryBlock, QueryDecoderConfig

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 10, "group_size": 4}
CONFIG = MaskPointConfig(decoder=QueryDecoderConfig(heads=2), real_queries=32, fake_queries=40, start="torch")

# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}
# Queries start at zero: of the first norm, only the bias is ever seen.
OF_ZERO = {"decoder.blocks.0.norm1.weight"}


def method(config=CONFIG, groups=10):
    torch.manual_seed(0)
    return config.build(create_backbone("vit_nano", **{**TINY, "groups": groups}))


def clouds(size=4):
    """Two blobs each, in opposite corners of a cube: most of the box around them is empty."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(size, 1, 3, generator=generator).sub(0.5).sign() * 0.8
    blobs = 0.2 * torch.randn(size, 128, 3, generator=generator)
    return blobs + corners * torch.tensor([1.0, -1.0]).repeat(64)[:, None]


def batch(size=4):
    return FrameBatch(clouds(size), torch.zeros(size, 2, 3), torch.arange(size))


def test_queries_are_the_oracles():
    points = clouds(2)
    places = torch.rand(2, 40, 3, generator=torch.Generator().manual_seed(2))
    queries = draw_queries(points, points, 32, places)
    assert queries.occupied.tolist() == [[True] * 32 + [False] * 40] * 2
    undecided = 0
    for cloud, found, decided, place in zip(points.double().numpy(), *queries[::2], places.numpy(), strict=True):
        real = cloud[oracle.farthest_points(cloud, 32)]
        drawn = real.min(0) + place * (real.max(0) - real.min(0))
        np.testing.assert_allclose(found, np.concatenate([real, drawn]), atol=1e-6)
        apart = [sorted(np.linalg.norm(real - point, axis=1))[1] for point in real]
        clear = [min(np.linalg.norm(cloud - point, axis=1)) >= np.mean(apart) for point in drawn]
        assert decided.tolist() == [True] * 32 + clear
        undecided += clear.count(False)
    assert 0 < undecided < 80


def test_occupied_queries_can_be_of_hidden_patches_alone():
    model, data = method(replace(CONFIG, real_from="hidden")).eval(), clouds()
    noise = query_noise(Draw(0, 0, np.arange(4)), CONFIG, model.backbone)
    hidden = noise[:, :10].argsort(1)[:, :9]
    index = model.backbone.patches(data).index
    for cloud, rows, patches, points in zip(data, hidden, index, model.answer(data, noise)[1].points, strict=True):
        allowed = cloud[patches[rows].flatten()]
        assert (points[:32, None] - allowed).norm(dim=-1).amin(1).max() < 1e-6


def test_loss_is_the_focal_cross_entropy_of_decided_queries():
    model, data = method().eval(), clouds()
    noise = query_noise(Draw(0, 0, np.arange(4)), CONFIG, model.backbone)
    logits, queries = model.answer(data, noise)
    losses, entropies = model.cloud_losses(logits, queries)
    assert not queries.decided.all()
    for number in range(4):
        terms, plain = [], []
        for pair, occupied, decided in zip(*(part[number].tolist() for part in (logits, *queries[1:])), strict=True):
            for logit, wanted in zip(pair, (not occupied, occupied), strict=True) if decided else ():
                right = 1 / (1 + np.exp(-logit)) if wanted else 1 - 1 / (1 + np.exp(-logit))
                plain.append(-np.log(right))
                terms.append((0.25 if wanted else 0.75) * (1 - right) ** 2 * plain[-1])
        assert losses[number].item() == pytest.approx(np.mean(terms), rel=1e-5)
        assert entropies[number].item() == pytest.approx(np.mean(plain), rel=1e-5)
    forward = model(batch(), Draw(0, 0, np.arange(4)))
    torch.testing.assert_close(forward.total, losses.mean())


def test_decoder_block_step_by_step():
    torch.manual_seed(0)
    block, (x, at, tokens, where) = QueryBlock(6, heads=2), torch.randn(4, 1, 5, 6).unbind(0)
    keys, values = block.attention.key_value.weight.split(6)
    read = []
    for head in (slice(0, 3), slice(3, 6)):
        q = ((block.norm1(x) + at) @ block.attention.query.weight.T)[..., head]
        k, v = ((tokens + where) @ keys.T)[..., head], (tokens @ values.T)[..., head]
        read.append((q @ k.transpose(1, 2) / 3**0.5).softmax(-1) @ v)
    expected = x + block.attention.out(torch.cat(read, -1))
    expected = expected + block.ffn(block.norm2(expected))
    torch.testing.assert_close(block(x, at, tokens, where), expected)


def test_the_encoder_sees_one_patch_in_ten_and_all_of_it_learns():
    model, seen = method(groups=20).train(), []  # of a single visible patch, queries could only read all
    model.backbone.patch_embed.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    model(batch(), Draw(0, 0, np.arange(4))).total.backward()
    assert seen == [(4, 2, 4, 3)]
    for name, parameter in model.named_parameters():
        learns = parameter.grad is not None and parameter.grad.abs().max() > 0
        assert learns == (name not in OF_ZERO) or name in BEFORE_NORM, name


def test_a_cloud_s_loss_is_its_own_whatever_batch_it_is_in():
    model, data = method().eval(), batch()
    whole = model(data, Draw(3, 5, np.arange(4))).total
    alone = []
    for number in range(4):
        part = FrameBatch(data.points[[number]], data.targets[[number]], data.index[[number]])
        alone.append(model(part, Draw(3, 5, np.array([number]))).total)
    torch.testing.assert_close(torch.stack(alone).mean(), whole)


def test_training_tells_occupied_from_empty():
    model, data = method(replace(CONFIG, mask_ratio=0.5)), batch(8)
    before = model.eval().validate([data])
    optimizer = torch.optim.AdamW(model.train().parameters(), 3e-3)
    losses = []
    for epoch in range(80):
        loss = model(data, Draw(0, epoch, np.arange(8))).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = model.eval().validate([data])
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert after["focal"] < before["focal"] and after["accuracy"] > 0.75 > before["accuracy"]
    assert model.validate([data]) == after


def test_the_start_is_of_the_decoder_and_the_positions_alone():
    torch.manual_seed(0)
    plain = create_backbone("vit_nano", **TINY).state_dict()
    for start, bound in {"small": 0.02, "torch": 24**-0.5 / 3**0.5}.items():
        model = method(replace(CONFIG, start=start))
        changed = {name for name, value in model.backbone.state_dict().items() if not torch.equal(value, plain[name])}
        assert {name.split(".")[0] for name in changed} == ({"position_embed"} if start == "torch" else set())
        assert model.decoder.blocks[0].ffn.expand.weight.std().item() == pytest.approx(bound, rel=0.1)


def test_golden_losses(tmp_path):
    golden_losses.check("mask_point", CONFIG, tmp_path)

"""The tokenizer: its noise, its schedules, its loss by hand, and that it learns."""

import numpy as np
import pytest
import torch

from oracles import points as oracle
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.dvae import DVAEConfig, cosine, divergence_from_uniform, gumbel_noise

TINY = {"width": 24, "depth": 1, "heads": 2, "groups": 8, "group_size": 4}
CONFIG = DVAEConfig(tokens=16, token_width=8, graph_width=4)


def tokenizer(config=CONFIG):
    torch.manual_seed(0)
    return config.build(create_backbone("vit_nano", **TINY))


def batch(size=3):
    generator = torch.Generator().manual_seed(1)
    return FrameBatch(torch.randn(size, 64, 3, generator=generator), torch.zeros(size, 2, 3), torch.arange(size) + 5)


def test_noise_is_gumbels_and_a_frames_own():
    noise = gumbel_noise(Draw(0, 2, np.array([3, 9])), 50, 400, torch.device("cpu"))
    quantiles = torch.quantile(noise.flatten()[:20000], torch.tensor([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(quantiles, -np.log(-np.log([0.1, 0.5, 0.9])), atol=0.06)
    other = gumbel_noise(Draw(0, 2, np.array([9, 1, 3])), 50, 400, torch.device("cpu"))
    assert torch.equal(other[[2, 0]], noise) and not torch.equal(noise[0], noise[1])
    assert not torch.equal(gumbel_noise(Draw(0, 3, np.array([3])), 50, 400, torch.device("cpu"))[0], noise[0])


def test_divergence_equals_the_definition_and_survives_certainty():
    logits = torch.randn(2, 3, 5).double() * 4
    for cloud, found in zip(logits.numpy(), divergence_from_uniform(logits), strict=True):
        shares = np.exp(cloud) / np.exp(cloud).sum(1, keepdims=True)
        expected = sum(np.log((1 / 5) / share) / 5 for share in shares.mean(0))
        assert found.item() == pytest.approx(expected)
    assert divergence_from_uniform(torch.zeros(1, 3, 5)).item() == pytest.approx(0, abs=1e-6)
    certain = torch.zeros(1, 3, 5)
    certain[..., 0] = 500.0
    assert divergence_from_uniform(certain).item() == pytest.approx(0.8 * 500 - np.log(5), rel=1e-5)


def test_schedules_are_half_cosines_between_level_ends():
    assert [cosine(1.0, 0.0625, at) for at in (-1, 0, 1, 2)] == [1.0, 1.0, 0.0625, 0.0625]
    assert cosine(1.0, 0.0625, 0.5) == pytest.approx((1 + 0.0625) / 2)
    assert cosine(0.0, 0.1, 0.25) == pytest.approx(0.1 * (1 - np.cos(np.pi / 4)) / 2)


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
def test_the_loss_by_hand(progress):
    model, data = tokenizer().eval(), batch(2)
    draw = Draw(0, 1, data.index.numpy(), progress)
    losses = model(data, draw)
    temperature = cosine(1.0, 0.0625, progress / 0.51)
    weight = cosine(0.0, 0.1, (progress - 0.05) / 0.51)
    assert (progress == 0.0) == (weight == 0.0) and (progress == 0.9) == (weight == 0.1)
    patches = model.patches(data.points)
    logits = model.logits(patches)
    noise = gumbel_noise(draw, 8, 16, torch.device("cpu"))
    chosen = (((logits + noise) / temperature).softmax(-1)[..., None] * model.codebook).sum(2)
    coarse, fine = model.decoder(model.from_tokens(chosen, model.graph(patches.centres)).flatten(0, 1))
    true = patches.patches.flatten(0, 1).numpy()
    near = [
        np.mean([oracle.chamfer(a, b, 1) / 2 for a, b in zip(x.detach().numpy(), true, strict=True)])
        for x in (coarse, fine)
    ]
    assert losses.parts["chamfer_coarse"].item() == pytest.approx(near[0], rel=1e-4)
    assert losses.parts["chamfer"].item() == pytest.approx(near[1], rel=1e-4)
    divergence = divergence_from_uniform(logits).mean().item()
    assert losses.total.item() == pytest.approx(sum(near) + weight * divergence, rel=1e-4)


def test_validation_decodes_the_likeliest_tokens_and_counts_them():
    model, data = tokenizer().eval(), batch(4)
    figures = model.validate([data])
    patches = model.patches(data.points)
    tokens = model.tokenise(patches)
    assert torch.equal(tokens, model.logits(patches).argmax(2))
    feature = model.from_tokens(model.codebook[tokens], model.graph(patches.centres)).flatten(0, 1)
    fine = model.decoder(feature)[1].detach().numpy()
    true = patches.patches.flatten(0, 1).numpy()
    expected = np.mean([oracle.chamfer(a, b, 1) / 2 for a, b in zip(fine, true, strict=True)])
    assert figures["chamfer"] == pytest.approx(expected, rel=1e-4)
    shares = np.unique(tokens.numpy(), return_counts=True)[1] / tokens.numel()
    assert figures["perplexity"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    halves = model.validate([batch(2), batch(2)])
    assert halves["chamfer"] == pytest.approx(model.validate([batch(2)])["chamfer"])


def test_training_lowers_the_loss_and_reaches_all_weights():
    model, data = tokenizer().train(), batch(4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for epoch in range(30):
        found = model(data, Draw(0, epoch, data.index.numpy(), epoch / 30))
        optimizer.zero_grad()
        found.total.backward()
        if epoch == 15:
            # A constant before a BatchNorm is subtracted again, or passes through a maximum and a linear layer first.
            before_norm = {f"encoder.{name}.bias" for name in ("local1", "local2", "merge")}
            for name, parameter in model.named_parameters():
                assert name in before_norm or parameter.grad.abs().max() > 0, name
        optimizer.step()
        losses.append(found.parts["chamfer"].item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])

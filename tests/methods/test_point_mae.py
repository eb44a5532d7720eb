import numpy as np
import pytest
import torch

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.point_mae import FrozenEncoderMAE, PointMAE, PointMAEConfig
from pointdistill.models.decoder import DecoderConfig, split_tokens

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 10, "group_size": 4}


# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def method(mask_at="input", kind=PointMAE):
    torch.manual_seed(0)
    config = PointMAEConfig(decoder=DecoderConfig(depth=1, heads=2), mask_at=mask_at)
    return kind(config, create_backbone("vit_nano", **TINY))


def batch(size=4):
    return FrameBatch(torch.randn(size, 64, 3), torch.zeros(size, 2, 3), torch.arange(size))


def test_split_tokens_hides_the_first_of_the_order():
    values = torch.arange(6.0).view(1, 3, 2)
    visible, hidden = split_tokens(values, torch.tensor([[2, 0, 1]]), 1)
    assert hidden.tolist() == [[[4.0, 5.0]]]
    assert visible.tolist() == [[[0.0, 1.0], [2.0, 3.0]]]


@pytest.mark.parametrize("mask_at", ["input", "output"])
def test_gradients_reach_encoder_and_decoder(mask_at):
    model = method(mask_at).train()
    model(batch(), Draw(0, 0, np.arange(4))).total.backward()
    for name, parameter in model.named_parameters():
        assert name in BEFORE_NORM or parameter.grad.abs().max() > 0, name


def test_the_encoder_sees_only_the_visible_patches():
    model = method().eval()
    seen = []
    model.backbone.patch_embed.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    model(batch(), Draw(0, 0, np.arange(4)))
    assert seen == [(4, 4, 4, 3)]  # 60 % of 10 hidden


def test_masked_at_the_output_the_decoder_completes_what_the_whole_encoder_said():
    """By hand, in the tokens' own order: hidden outputs are the mask token, positions are added in the decoder."""
    model, data = method("output").eval(), batch()
    encoded = model.backbone(data.points)
    noise = torch.rand(4, 10 + 2 * 3)
    hidden = noise[:, :10].argsort(1).argsort(1) < 6  # the six smallest of ten
    tokens = torch.where(hidden[..., None], model.decoder.mask_token, encoded.tokens)
    (block,) = model.decoder.blocks
    rebuilt = model.decoder.head(model.decoder.norm(block(tokens + model.decoder.position_embed(encoded.centres))))
    true = model.backbone.patches(data.points).patches
    squared = (rebuilt.view(4, 10, 4, 1, 3) - true[:, :, :, None].transpose(2, 3)).square().sum(-1)
    chamfer = squared.min(3).values.mean(2) + squared.min(2).values.mean(2)
    torch.testing.assert_close(model.reconstruction(data.points, noise), chamfer[hidden].mean())


def test_a_frozen_encoder_stays_as_it_is_while_its_decoder_learns():
    model = method("output", FrozenEncoderMAE).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), 1e-2)
    model(batch(), Draw(0, 0, np.arange(4))).total.backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith("decoder.")}


def test_training_lowers_the_reconstruction_loss():
    torch.manual_seed(0)
    model, data = method().train(), batch(8)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for epoch in range(60):
        loss = model(data, Draw(0, epoch, np.arange(8))).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])

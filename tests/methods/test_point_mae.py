import numpy as np
import torch

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.point_mae import PointMAE, PointMAEConfig
from pointdistill.models.decoder import DecoderConfig, split_tokens

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 10, "group_size": 4}


# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def method():
    torch.manual_seed(0)
    return PointMAE(PointMAEConfig(decoder=DecoderConfig(depth=1, heads=2)), create_backbone("vit_nano", **TINY))


def batch(size=4):
    return FrameBatch(torch.randn(size, 64, 3), torch.zeros(size, 2, 3), torch.arange(size))


def test_split_tokens_hides_the_first_of_the_order():
    values = torch.arange(6.0).view(1, 3, 2)
    visible, hidden = split_tokens(values, torch.tensor([[2, 0, 1]]), 1)
    assert hidden.tolist() == [[[4.0, 5.0]]]
    assert visible.tolist() == [[[0.0, 1.0], [2.0, 3.0]]]


def test_gradients_reach_encoder_and_decoder():
    model = method().train()
    model(batch(), Draw(0, 0, np.arange(4))).total.backward()
    for name, parameter in model.named_parameters():
        assert name in BEFORE_NORM or parameter.grad.abs().max() > 0, name


def test_the_encoder_sees_only_the_visible_patches():
    model = method().eval()
    seen = []
    model.backbone.patch_embed.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    model(batch(), Draw(0, 0, np.arange(4)))
    assert seen == [(4, 4, 4, 3)]  # 60 % of 10 hidden


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

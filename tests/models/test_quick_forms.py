"""Each quicker form against the formula that it stands for: forward, gradients and running statistics."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pointdistill.models import blocks
from pointdistill.models.batch_norm import BatchNorm
from pointdistill.models.blocks import Block, attend, drop_path
from pointdistill.models.channels_first import SharedLayer, affine, normed_affine


def agree(ours, theirs, upstream, modules, **tolerance):
    """The same output, and the same gradients and buffers in two copies of modules; returns the output."""
    (ours * upstream).sum().backward()
    (theirs * upstream).sum().backward()
    torch.testing.assert_close(ours, theirs, **tolerance)
    mine, other = modules
    for (name, ours), (_, theirs) in zip(mine.named_parameters(), other.named_parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, **tolerance, msg=name)
    for (name, ours), (_, theirs) in zip(mine.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance, msg=name)


class Layer(nn.Module):
    def __init__(self, bias=True):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 7, bias=bias), BatchNorm(7)
        nn.init.uniform_(self.norm.weight, -1, 2), nn.init.normal_(self.norm.bias)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_folded_into_the_layer_before_it(training, bias):
    torch.manual_seed(0)
    mine = Layer(bias).double()
    mine.norm.running_mean.normal_(), mine.norm.running_var.uniform_(0.5, 2)
    mine.train(training)
    other = deepcopy(mine)
    x = (2 * torch.randn(4, 3, 50) + 3).double()
    own, its = x.clone().requires_grad_(), x.clone().requires_grad_()
    upstream = torch.randn(4, 7, 50).double()
    ours = normed_affine(own, mine.linear.weight, mine.linear.bias, mine.norm)
    theirs = nn.BatchNorm1d.forward(other.norm, affine(its, other.linear.weight, other.linear.bias))
    agree(ours, theirs, upstream, (mine, other), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(own.grad, its.grad, rtol=1e-9, atol=1e-11)
    if bias and training:
        assert torch.equal(mine.linear.bias.grad, torch.zeros(7).double())  # subtracted again, to the last bit


def test_wide_layers_are_not_folded(monkeypatch):
    layer = SharedLayer(9, 5)
    monkeypatch.setattr(layer.norm, "folded", None)
    assert layer(torch.randn(2, 9, 8)).shape == (2, 5, 8)


def test_half_precision_leaves_statistics_precise():
    torch.manual_seed(0)
    layer, x = Layer(), torch.randn(4, 3, 500) + 5
    with torch.autocast("cpu", torch.bfloat16):
        out = normed_affine(x, layer.linear.weight, layer.linear.bias, layer.norm)
    exact = affine(x.double(), layer.linear.weight.double(), layer.linear.bias.double())
    torch.testing.assert_close(layer.norm.running_var.double(), 0.9 + 0.1 * exact.var((0, 2)), rtol=1e-5, atol=0)
    assert out.dtype == torch.bfloat16 and torch.isfinite(out).all()


@pytest.mark.parametrize("tokens", [5, blocks._FEW_TOKENS, blocks._FEW_TOKENS + 1])
def test_attention_is_torchs(tokens):
    torch.manual_seed(0)
    parts = torch.randn(3, 2, 4, tokens, 6).double().requires_grad_()
    upstream, found = torch.randn(2, 4, tokens, 6).double(), []
    for form in (attend, F.scaled_dot_product_attention):
        out = form(*parts)
        (gradient,) = torch.autograd.grad((out * upstream).sum(), parts)
        found.append((out, gradient))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kept", ["some", "all", "none"])
def test_branches_that_are_left_out_need_not_run(kept, monkeypatch):
    torch.manual_seed(0)
    mine = Block(12, 3, drop_path_rate=0.4).double().train()
    other = deepcopy(mine)
    x, upstream = torch.randn(5, 4, 12).double(), torch.randn(5, 4, 12).double()
    noise = {"some": torch.rand(5, 2), "all": torch.full((5, 2), 0.4), "none": torch.zeros(5, 2)}[kept]
    if kept == "some":
        assert 0 < (noise >= 0.4).sum() < 10
    seen = []
    mine.ffn.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    theirs = x + drop_path(other.attention(other.norm1(x)), 0.4, noise[:, 0])
    theirs = theirs + drop_path(other.ffn(other.norm2(theirs)), 0.4, noise[:, 1])
    agree(mine(x, noise), theirs, upstream, (mine, other), rtol=1e-9, atol=1e-12)
    assert seen == [int((noise[:, 1] >= 0.4).sum())]
    torch.manual_seed(3)
    drawn = mine(x)
    torch.manual_seed(3)
    first, second = torch.rand(5), torch.rand(5)
    torch.testing.assert_close(drawn, mine(x, torch.stack([first, second], 1)))


def test_a_branch_in_half_precision_is_added():
    torch.manual_seed(0)
    block, x, noise = Block(12, 3, drop_path_rate=0.4).train(), torch.randn(5, 4, 12), torch.rand(5, 2)
    exact = block(x, noise)
    with torch.autocast("cpu", torch.bfloat16):
        rough = block(x, noise)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.05)

import pytest
import torch
from torch import nn

from pointdistill.geometry import farthest_point_sample
from pointdistill.models.set_abstraction import SetAbstraction


def straightforward(module, points, features):
    """PointNet++ as published: 2-D convolutions over (channels, centres, samples), one ball after the other."""
    batch, count, size = points.shape[0], module.count, module.size
    chosen = farthest_point_sample(points, count)
    balls = []
    for b in range(batch):
        for c in chosen[b].tolist():
            offsets = points[b] - points[b, c]
            inside = [i for i in range(points.shape[1]) if float(offsets[i].square().sum()) < module.radius**2][:size]
            inside += inside[:1] * (size - len(inside))
            balls.append(torch.cat([offsets[inside] / module.radius, features[b, inside]], dim=1))
    x = torch.stack(balls).view(batch, count, size, -1).permute(0, 3, 1, 2)
    for layer in module.layers:
        x, norm = nn.functional.conv2d(x, layer.linear.weight[:, :, None, None]), layer.norm
        if module.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        else:
            mean, variance = norm.running_mean, norm.running_var
        x = (x - mean[:, None, None]) / (variance + norm.eps).sqrt()[:, None, None]
        x = torch.relu(x * norm.weight[:, None, None] + norm.bias[:, None, None])
    return x.amax(dim=3).transpose(1, 2)


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_straightforward_formulation_forward_and_backward(training):
    torch.manual_seed(0)
    module = SetAbstraction(6, 16, channels=2, radius=0.7, size=8, hidden=(5, 7)).double().train(training)
    for layer in module.layers:
        nn.init.normal_(layer.norm.weight)
        nn.init.normal_(layer.norm.bias)
    points, features = torch.randn(2, 50, 3, dtype=torch.float64), torch.randn(2, 50, 2, dtype=torch.float64)
    upstream = torch.randn(2, 6, 16, dtype=torch.float64)
    results = []
    for formulation in (lambda *given: module(*given).features, lambda *given: straightforward(module, *given)):
        module.zero_grad()
        leaf = features.clone().requires_grad_()
        out = formulation(points, leaf)
        (out * upstream).sum().backward()
        results.append([out.detach(), leaf.grad, *(p.grad.clone() for p in module.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_centres_are_farthest_points_or_those_that_are_given():
    torch.manual_seed(0)
    module, points = SetAbstraction(5, 12, size=4).eval(), torch.rand(2, 40, 3)
    found = module(points)
    assert torch.equal(found.centre_index, farthest_point_sample(points, 5))
    assert found.features.shape == (2, 5, 12)
    given = torch.tensor([[3, 1, 4, 0, 5], [9, 2, 6, 8, 7]])
    other = module(points, centre_index=given)
    assert torch.equal(other.centres[1], points[1, given[1]])
    order = torch.tensor([1, 0, 3, 2, 4])
    again = module(points, centre_index=given[:, order])
    torch.testing.assert_close(again.features, other.features[:, order])


def test_the_defaults_are_3detrs():
    module = SetAbstraction(2048, 384)
    assert (module.radius, module.size) == (0.2, 64)
    assert [tuple(layer.linear.weight.shape) for layer in module.layers] == [(64, 3), (128, 64), (384, 128)]
    assert all(layer.linear.bias is None for layer in module.layers)

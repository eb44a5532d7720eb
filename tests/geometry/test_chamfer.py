import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import points as oracle
from pointdistill.geometry import chamfer_l1, chamfer_l2, gather, interpolate, three_nearest


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("matrix", [True, False])
def test_chamfer_equals_the_oracle(monkeypatch, matrix):
    if not matrix:
        monkeypatch.setattr("pointdistill.geometry.chamfer._SMALL", 0)
    a, b = normal(0, 3, 12, 3), normal(1, 3, 7, 3)
    l2, l1 = chamfer_l2(a, b), chamfer_l1(a, b)
    for i in range(3):
        assert l2[i].item() == pytest.approx(oracle.chamfer(a[i].numpy(), b[i].numpy(), 2), rel=1e-12)
        assert l1[i].item() == pytest.approx(oracle.chamfer(a[i].numpy(), b[i].numpy(), 1) / 2, rel=1e-12)


def test_chamfer_gradient_is_that_of_the_formula():
    a, b = normal(2, 2, 6, 3).requires_grad_(), normal(3, 2, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(chamfer_l2, (a, b))
    assert torch.autograd.gradcheck(chamfer_l1, (a, b))
    same = a.detach().clone().requires_grad_()
    chamfer_l1(same, same.detach()).sum().backward()
    assert same.grad is not None and bool((same.grad == 0).all())


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_chamfer_is_a_symmetric_measure_of_sets(seed):
    a, b = normal(seed, 1, 9, 3), normal(seed + 1, 1, 6, 3)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    for chamfer in (chamfer_l1, chamfer_l2):
        value = chamfer(a, b)
        assert value.item() > 0 and chamfer(a, a).item() == 0
        assert torch.allclose(chamfer(b, a), value, rtol=1e-12)
        assert torch.allclose(chamfer(a[:, order], b), value, rtol=1e-12)
        assert torch.allclose(chamfer(a + 3, b + 3), value, rtol=1e-9)


@pytest.mark.parametrize("groups", [1, 2, 9])
def test_interpolation_equals_the_oracle(groups):
    queries, centres, features = normal(4, 2, 11, 3), normal(5, 2, groups, 3), normal(6, 2, groups, 4)
    values = interpolate(features, *three_nearest(queries, centres))
    for b in range(2):
        for q in range(11):
            expected = oracle.interpolated(queries[b, q].numpy(), centres[b].numpy(), features[b].numpy())
            assert torch.allclose(values[b, q], torch.from_numpy(expected), rtol=1e-9)


def test_interpolation_sums_what_the_index_names():
    features, index, weights = torch.randn(2, 5, 3), torch.randint(5, (2, 7, 3)), torch.rand(2, 7, 3)
    expected = torch.stack([(features[b][index[b]] * weights[b][..., None]).sum(1) for b in range(2)])
    torch.testing.assert_close(interpolate(features, index, weights), expected)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_interpolation_weights_add_up_and_reproduce_the_centres(seed):
    centres = normal(seed, 1, 8, 3).float()
    nearest = three_nearest(torch.cat([centres, normal(seed + 1, 1, 5, 3).float()], 1), centres)
    assert torch.allclose(nearest.weights.sum(-1), torch.ones(1, 13))
    assert bool((nearest.weights >= 0).all()) and bool((nearest.weights.diff(dim=2) <= 0).all())
    features = normal(seed + 2, 1, 8, 2).float()
    assert torch.allclose(interpolate(features, *nearest)[:, :8], features, atol=1e-4)
    constant = interpolate(torch.full((1, 8, 2), 2.5), *nearest)
    assert torch.allclose(constant, torch.full_like(constant, 2.5))


def test_interpolation_passes_the_gradient_to_the_features():
    queries, centres = normal(7, 1, 6, 3), normal(8, 1, 4, 3).requires_grad_()
    nearest = three_nearest(queries, centres)
    assert not nearest.weights.requires_grad
    features = normal(9, 1, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: interpolate(f, *nearest), (features,))
    assert interpolate(features.bfloat16(), *nearest).dtype == torch.bfloat16
    assert gather(features, nearest.index).shape == (1, 6, 3, 2)


def test_weights_by_the_distance_itself():
    queries, centres = normal(5, 2, 7, 3), normal(6, 2, 9, 3)
    index, weights = three_nearest(queries, centres, squared=False)
    assert torch.equal(index, three_nearest(queries, centres).index)
    for b in range(2):
        inverse = 1 / ((queries[b, :, None] - centres[b, index[b]]).norm(dim=-1) + 1e-8)
        torch.testing.assert_close(weights[b], inverse / inverse.sum(-1, keepdim=True))

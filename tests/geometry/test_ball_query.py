import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import points as oracle
from pointdistill.geometry import ball_query
from pointdistill.geometry.ball_query import _ball_matrix

MODULE = sys.modules[_ball_matrix.__module__]  # the package's attribute of that name is the function


@pytest.fixture(autouse=True, scope="module", params=["trees", "cells"])
def form(request):
    """Everything here is true without numba and with it."""
    if request.param == "cells":
        pytest.importorskip("numba")
        assert MODULE._cells() is not None
        yield
        return
    found, MODULE._cells = MODULE._cells, lambda: None
    yield
    MODULE._cells = found


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius, size", [(0.05, 4), (0.5, 3), (0.9, 16), (9.0, 70)])
@pytest.mark.parametrize("find", [ball_query, _ball_matrix])
def test_equals_the_oracle(find, radius, size, dtype):
    queries, points = normal(0, 3, 8, 3).to(dtype), normal(1, 3, 60, 3).to(dtype)
    queries[:, 0] = points[:, 7]
    index = find(queries, points, radius, size)
    assert index.dtype == torch.int64 and index.shape == (3, 8, size)
    for b in range(3):
        for q in range(8):
            expected = oracle.ball(queries[b, q].double().numpy(), points[b].double().numpy(), radius, size)
            assert index[b, q].tolist() == expected


@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.25, 0.5, 1.0]), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_points_on_the_sphere_are_decided_by_their_own_arithmetic(seed, radius, size):
    """On a lattice most distances are ties, and in float32 0.2 is none of the doubles a tree would compare with."""
    lattice = torch.cartesian_prod(*[torch.arange(-3, 4)] * 3)[None] * torch.tensor(0.1)
    points = lattice[:, torch.randperm(343, generator=torch.Generator().manual_seed(seed))]
    queries = points[:, :20] + 5
    index = ball_query(queries, points + 5, radius, size)
    assert torch.equal(index, _ball_matrix(queries, points + 5, radius, size))
    planes = (queries[0, :, None] - (points[0] + 5)).numpy()
    planes = planes * planes
    inside = (planes[..., 0] + planes[..., 1]) + planes[..., 2] < np.float32(radius) * np.float32(radius)
    for row, found in zip(inside, index[0].tolist(), strict=True):
        first = np.flatnonzero(row)[:size].tolist()
        assert found == first + first[:1] * (size - len(first))


def test_strictly_within_and_index_zero_where_nothing_is():
    points = torch.tensor([[[9.0, 0, 0], [1.0, 0, 0], [0.0, 0.5, 0], [0.0, 0, 0]]])
    queries = torch.tensor([[[0.0, 0, 0], [4.0, 4, 4]]])
    for find in (ball_query, _ball_matrix):
        assert find(queries, points, 1.0, 3).tolist() == [[[2, 3, 2], [0, 0, 0]]]


def test_slices_chunks_and_threads_change_nothing(monkeypatch):
    queries, points = normal(0, 2, 50, 3), normal(1, 2, 900, 3)
    whole = ball_query(queries, points, 0.8, 12)
    monkeypatch.setattr(MODULE, "_MATRIX_ELEMENTS", 2 * 900 * 7)
    assert torch.equal(_ball_matrix(queries, points, 0.8, 12), whole)
    monkeypatch.setattr(MODULE, "_FIRST_POINTS", 11)
    monkeypatch.setattr(MODULE, "_PAIRS", 300)
    assert torch.equal(ball_query(queries, points, 0.8, 12), whole)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(ball_query(queries, points, 0.8, 12), whole)
    finally:
        torch.set_num_threads(threads)


def test_half_precision_no_gradient_empty_batch_and_what_does_not_fit():
    points = normal(0, 2, 10, 3)
    assert not ball_query(points.requires_grad_(), points, 1.0, 3).requires_grad
    rounded = points.detach().half()
    assert torch.equal(ball_query(rounded, rounded, 1.0, 3), ball_query(rounded.float(), rounded.float(), 1.0, 3))
    points = points.detach()
    assert ball_query(points[:0], points[:0], 1.0, 3).shape == (0, 10, 3)
    assert ball_query(points[:, :0], points, 1.0, 3).shape == (2, 0, 3)
    with pytest.raises(ValueError, match="0 points"):
        ball_query(points, points[:, :0], 1.0, 3)
    for radius, size in ((0.0, 3), (-1.0, 3), (1.0, 0)):
        with pytest.raises(ValueError, match="must be positive"):
            ball_query(points, points, radius, size)
    with pytest.raises(ValueError, match="finite"):
        ball_query(points, points * torch.nan, 1.0, 3)


@given(
    st.integers(0, 10_000),
    st.sampled_from([(1.0, 1.0, 1.0), (5.0, 4.0, 0.0), (8.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1e4, 1e4, 1e4)]),
    st.sampled_from([0.01, 0.3, 1.5, 40.0]),
    st.sampled_from([1, 8, 200]),
)
@settings(max_examples=60, deadline=None)
def test_volumes_planes_lines_and_single_places(seed, extent, radius, size):
    """From next to nothing in a ball to the whole cloud, with queries inside, on the rim and far away."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(1, 300, 3, generator=generator) * torch.tensor(extent)
    apart = 3 * torch.rand(1, 20, 3, generator=generator) - 1
    queries = torch.cat([points[:, :20], apart * torch.tensor(extent), torch.tensor([[[1e6, -1e6, 0]]])], dim=1)
    assert torch.equal(ball_query(queries, points, radius, size), _ball_matrix(queries, points, radius, size))


def test_differences_that_are_not_finite():
    points = torch.tensor([[[1e308, 0, 0], [-1e308, 0, 0]]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"finite|overflow"):
        ball_query(points, points, 1.0, 1)

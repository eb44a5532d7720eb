import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import points as oracle
from pointdistill.geometry import gather, group_patches, knn, squared_distances
from pointdistill.geometry.neighbours import _knn_matrix


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [1, 5, 30])
@pytest.mark.parametrize("find", [knn, _knn_matrix])
def test_equals_the_oracle(find, k):
    queries, points = normal(0, 3, 8, 3), normal(1, 3, 30, 3)
    index = find(queries, points, k)
    assert index.dtype == torch.int64
    for b in range(3):
        for q in range(8):
            expected = oracle.neighbours(queries[b, q].double().numpy(), points[b].double().numpy(), k)
            assert index[b, q].tolist() == expected


def test_chunks_of_queries_change_nothing(monkeypatch):
    queries, points = normal(0, 2, 50, 3), normal(1, 2, 200, 3)
    monkeypatch.setattr("pointdistill.geometry.neighbours._MATRIX_ELEMENTS", 2 * 200 * 7)
    assert torch.equal(_knn_matrix(queries, points, 9), knn(queries, points, 9))


@given(st.integers(0, 10_000), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_ascending_and_independent_of_order_and_place(seed, k):
    queries, points = normal(seed, 1, 4, 3).double(), normal(seed + 1, 1, 20, 3).double()
    index = knn(queries, points, k)
    distances = squared_distances(queries, points).gather(2, index)
    assert bool((distances.diff(dim=2) >= 0).all())
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(order[knn(queries, points[:, order], k)], index)
    shift = torch.tensor([5.0, 1.0, -4.0], dtype=torch.float64)
    assert torch.equal(knn(queries + shift, points + shift, k), index)


def test_close_neighbours_far_from_the_origin_are_told_apart():
    points = torch.tensor([[[1000.0, 0, 0], [1000.001, 0, 0], [1000.002, 0, 0], [1000.003, 0, 0]]])
    for find in (knn, _knn_matrix):
        assert find(points[:, 3:], points, 4)[0, 0].tolist() == [3, 2, 1, 0]


def test_many_equal_points_are_no_trouble():
    points = torch.zeros(1, 500, 3)
    index = knn(points[:, :2], points, 500)
    assert sorted(index[0, 0].tolist()) == list(range(500))
    assert torch.equal(index, knn(points[:, :2], points, 500))


def test_empty_batch_and_what_does_not_fit():
    points = normal(0, 2, 10, 3)
    assert knn(points[:0], points[:0], 3).shape == (0, 10, 3)
    assert knn(points[:, :0], points, 3).shape == (2, 0, 3)
    for k in (0, 11):
        with pytest.raises(ValueError, match="10 points"):
            knn(points, points, k)
    with pytest.raises(ValueError, match="finite"):
        knn(points, points * torch.nan, 1)


def test_gather_picks_rows_cloud_by_cloud_and_passes_the_gradient():
    values = normal(2, 2, 6, 4).requires_grad_()
    index = torch.tensor([[[0, 5], [5, 1], [2, 2]], [[1, 1], [3, 0], [4, 5]]])
    rows = gather(values, index)
    assert rows.shape == (2, 3, 2, 4)
    for b in range(2):
        for i in range(3):
            for j in range(2):
                assert torch.equal(rows[b, i, j], values[b, index[b, i, j]])
    rows.sum().backward()
    expected = torch.stack([torch.bincount(part.flatten(), minlength=6) for part in index]).float()
    assert values.grad is not None and torch.equal(values.grad, expected[..., None].expand(2, 6, 4))
    assert torch.equal(gather(values.long(), index[:, 0, 0])[1], values.long()[1, 1])


def test_patches_are_the_oracles_centred_neighbourhoods():
    points = normal(3, 2, 60, 3)
    patches = group_patches(points, count=6, size=8, start=4)
    assert patches.patches.shape == (2, 6, 8, 3)
    for b in range(2):
        cloud = points[b].double().numpy()
        assert patches.centre_index[b].tolist() == oracle.farthest_points(cloud, 6, 4)
        for g in range(6):
            centre = patches.centres[b, g]
            assert torch.equal(centre, points[b, patches.centre_index[b, g]])
            assert patches.index[b, g].tolist() == oracle.neighbours(centre.double().numpy(), cloud, 8)
            assert torch.equal(patches.patches[b, g], points[b, patches.index[b, g]] - centre)
    assert bool((patches.patches[:, :, 0] == 0).all())


def test_equally_near_points_in_order_of_their_index():
    grid = torch.cartesian_prod(*[torch.arange(5.0)] * 3)[
        torch.randperm(125, generator=torch.Generator().manual_seed(3))
    ]
    found = knn(grid[None, :20], grid[None], 30, by_index=True)[0]
    distances = (grid[:20, None] - grid).square().sum(-1)
    for query in range(20):
        ranked = sorted(range(125), key=lambda i, query=query: (distances[query, i].item(), i))
        assert found[query].tolist() == ranked[:30]

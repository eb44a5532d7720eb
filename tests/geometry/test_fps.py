from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import points as oracle
from pointdistill.geometry import farthest_point_sample, fps
from pointdistill.geometry.fps import _sample_numpy, _sample_torch


@pytest.fixture(autouse=True, scope="module", params=["numpy", "numba"])
def form(request):
    """Everything here is true without numba and with it."""
    if request.param == "numba":
        pytest.importorskip("numba")
        assert fps._buckets() is not None
        yield request.param
        return
    found, fps._buckets = fps._buckets, lambda: None
    yield request.param
    fps._buckets = found


def clouds(seed, batch=2, points=40):
    return torch.randn(batch, points, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("batch", [1, 3])
def test_equals_the_oracle(batch, start):
    points = clouds(0, batch)
    chosen = farthest_point_sample(points, 12, start)
    assert chosen.dtype == torch.int64
    for cloud, indices in zip(points.double().numpy(), chosen.tolist(), strict=True):
        assert indices == oracle.farthest_points(cloud, 12, start)


@pytest.mark.parametrize("batch, points, count", [(1, 1000, 64), (5, 300, 300), (40, 1100, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_form_for_gpus_chooses_the_same_points(batch, points, count, dtype):
    data = clouds(1, batch, points).to(dtype)
    assert torch.equal(farthest_point_sample(data, count, 3), _sample_torch(data, count, 3))


def test_ties_go_to_the_lowest_index():
    grid = torch.cartesian_prod(*[torch.arange(4.0)] * 3)[None]
    chosen = farthest_point_sample(grid, 64)
    assert chosen[0].tolist() == oracle.farthest_points(grid[0].numpy(), 64)
    assert torch.equal(chosen, _sample_torch(grid, 64, 0))


def test_index_zero_repeats_when_distinct_points_run_out():
    points = torch.tensor([[[1.0, 0, 0], [0.0, 0, 0], [1.0, 0, 0], [0.0, 0, 0]]])
    assert farthest_point_sample(points, 4, start=1).tolist() == [[1, 0, 0, 0]]


def test_clouds_do_not_see_each_other_whatever_the_threads():
    points = clouds(2, 9, 5000)
    alone = torch.cat([farthest_point_sample(cloud[None], 20) for cloud in points])
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(farthest_point_sample(points, 20), alone)
    finally:
        torch.set_num_threads(threads)


def test_half_precision_no_gradient_and_empty_batch():
    points = clouds(3).requires_grad_()
    assert not farthest_point_sample(points, 5).requires_grad
    rounded = points.detach().bfloat16()
    assert torch.equal(farthest_point_sample(rounded, 5), farthest_point_sample(rounded.float(), 5))
    assert farthest_point_sample(points[:0], 5).shape == (0, 5)


@given(st.integers(0, 10_000), st.integers(0, 39), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_distinct_points_are_chosen_once_from_start_on_and_spread_shrinks(seed, start, count):
    points = clouds(seed, 1)
    chosen = farthest_point_sample(points, count, start)[0].tolist()
    assert chosen[0] == start and len(set(chosen)) == count
    cloud = points[0].numpy()
    gaps = [min(np.linalg.norm(cloud[i] - cloud[j]) for j in chosen[:n]) for n, i in enumerate(chosen) if n]
    assert all(after <= before + 1e-5 for before, after in pairwise(gaps))


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_order_of_points_and_place_of_the_cloud_do_not_matter(seed):
    points = clouds(seed, 1).double()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    start = int((order == 0).nonzero())
    chosen = farthest_point_sample(points, 10)[0]
    assert torch.equal(order[farthest_point_sample(points[:, order], 10, start)[0]], chosen)
    assert torch.equal(farthest_point_sample(points + torch.tensor([3.0, -2.0, 1.0]), 10)[0], chosen)


@pytest.mark.parametrize("count, start", [(0, 0), (41, 0), (5, 40), (5, -1)])
def test_what_does_not_fit_is_refused(count, start):
    with pytest.raises(ValueError, match="40 points"):
        farthest_point_sample(clouds(0), count, start)


@pytest.mark.parametrize("batch", [1, 3])
def test_points_near_the_origin_can_be_skipped(batch):
    points = clouds(1, batch, 80)
    points[:, 40:] *= 0.01
    near = points.square().sum(-1) <= 1e-3
    assert near.sum() > 20 * batch
    found = farthest_point_sample(points, 38, start=5, skip_near_origin=True)
    for cloud, skipped, chosen in zip(points.double().numpy(), near.numpy(), found.numpy(), strict=True):
        kept = np.concatenate([[5], np.flatnonzero(~skipped)])
        assert chosen.tolist() == kept[oracle.farthest_points(cloud[kept], 38)].tolist()
    assert torch.equal(found, _sample_torch(points, 38, 5, skip=True))
    assert not torch.equal(found, farthest_point_sample(points, 38, start=5))


def test_where_all_points_are_near_the_origin_the_first_is_repeated():
    points = torch.full((1, 8, 3), 0.01)
    assert farthest_point_sample(points, 4, start=3, skip_near_origin=True).tolist() == [[3, 0, 0, 0]]


def test_compiled_and_plain_choose_the_same_points_whatever_lies_on_whatever():
    buckets = pytest.importorskip("pointdistill.geometry.fps_buckets").sample_by_buckets
    generator = torch.Generator().manual_seed(0)
    for number in range(60):
        points = int(torch.randint(2, 1500, (1,), generator=generator))
        count, start = (
            int(torch.randint(low, high, (1,), generator=generator)) for low, high in ((1, points + 1), (0, points))
        )
        lattice = torch.randint(-4, 5, (2, points, 3), generator=generator) * torch.tensor([0.1, 0.37, number % 2])
        again = torch.randint(0, max(1, points // 3), (points,), generator=generator)
        for cloud in (lattice, torch.randn(2, points, 3, generator=generator)[:, again]):
            for dtype in (torch.float32, torch.float64):
                arrays = cloud.to(dtype).numpy()
                for skip in (False, True):
                    found = fps._sample_buckets(buckets, arrays, count, start, skip)
                    assert torch.equal(found, _sample_numpy(arrays, count, start, skip))

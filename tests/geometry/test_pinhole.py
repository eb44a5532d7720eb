import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import points as oracle
from pointdistill.geometry import project, transform, unproject

INTRINSICS = np.array([[57.7, 0, 39.5, 0], [0, 58.1, 29.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)


def depth_image(seed=0):
    return np.random.default_rng(seed).uniform(0.5, 4, (6, 8)).astype(np.float32)


def test_unproject_equals_the_oracle_for_arrays_and_tensors():
    depth = depth_image()
    expected = oracle.unprojected(depth, 57.7, 58.1, 39.5, 29.5)
    points = unproject(depth, INTRINSICS)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-6)
    tensor = unproject(torch.from_numpy(depth), torch.from_numpy(INTRINSICS))
    np.testing.assert_allclose(tensor.numpy(), points, rtol=1e-6)
    np.testing.assert_array_equal(unproject(np.stack([depth, depth]), INTRINSICS)[1], points)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_project_undoes_unproject(seed):
    points = unproject(depth_image(seed), INTRINSICS)
    v, u = np.mgrid[:6, :8]
    for found in (project(points, INTRINSICS), project(torch.from_numpy(points), INTRINSICS).numpy()):
        np.testing.assert_allclose(found[..., 0], u, atol=1e-3)
        np.testing.assert_allclose(found[..., 1], v, atol=1e-3)


@pytest.mark.parametrize("z", [0.0, -1.0])
def test_points_behind_the_camera_have_no_pixel(z):
    points = np.array([[0.1, 0.1, z], [0.1, 0.1, 1.0]], np.float32)
    for found in (project(points, INTRINSICS), project(torch.from_numpy(points), INTRINSICS).numpy()):
        assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()


def test_transform_is_the_homogeneous_product():
    pose = np.eye(4)
    pose[:3] = np.random.default_rng(1).normal(size=(3, 4))
    points = np.random.default_rng(2).normal(size=(5, 2, 3)).astype(np.float32)
    moved = transform(points, pose)
    expected = np.einsum("ij,abj->abi", pose, np.concatenate([points, np.ones((5, 2, 1))], -1))[..., :3]
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(transform(torch.from_numpy(points), torch.from_numpy(pose)).numpy(), moved, atol=1e-6)
    np.testing.assert_allclose(transform(moved, np.linalg.inv(pose)), points, atol=1e-4)

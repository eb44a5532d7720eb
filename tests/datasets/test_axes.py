import numpy as np
import pytest

from pointdistill.datasets.axes import AXES, to_z_up, y_up_to_z_up


@pytest.mark.parametrize("axis", AXES)
def test_a_turn_to_z_up_is_a_turn(axis):
    matrix = to_z_up(axis)
    up = np.zeros(3)
    up["xyz".index(axis[-1])] = -1 if axis.startswith("-") else 1
    np.testing.assert_array_equal(matrix[:3, :3] @ up, [0, 0, 1])
    np.testing.assert_array_equal(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
    assert np.linalg.det(matrix) == 1
    np.testing.assert_array_equal(matrix[:, 3], [0, 0, 0, 1])


def test_points_and_poses_are_turned_alike():
    points = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(y_up_to_z_up(points), points @ to_z_up("y")[:3, :3].T)

"""Occlusion: the oracle's points, what geometry says must be seen, and a fixed number of what is."""

import math

import numpy as np
import pytest
import torch

from oracles import points as oracle
from pointdistill.geometry import camera_turns, resample_kept, visible_points


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_turns_are_rotations_about_x_then_y_then_z():
    quarter = torch.tensor([math.pi / 2])
    about_x, about_y, about_z = camera_turns(torch.eye(3) * quarter)
    torch.testing.assert_close(about_x @ torch.tensor([0.0, 1, 0]), torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(about_y @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(about_z @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))
    angles = torch.rand(1, 3, generator=generator()) * 6
    one_by_one = [camera_turns(angles * axis)[0] for axis in torch.eye(3)]
    torch.testing.assert_close(camera_turns(angles)[0], one_by_one[2] @ one_by_one[1] @ one_by_one[0])


@pytest.mark.parametrize(("distance", "points_per_pixel", "slack"), [(2.0, 4.0, 1.0), (3.0, 8.0, 0.3)])
def test_points_seen_are_the_oracles(distance, points_per_pixel, slack):
    points = torch.randn(3, 150, 3, generator=generator(), dtype=torch.float64) * 5 + 100
    turns = camera_turns(torch.rand(3, 3, generator=generator(1), dtype=torch.float64) * 6)
    seen = visible_points(points, turns, distance, points_per_pixel, slack)
    for cloud, turn, found in zip(points.numpy(), turns.numpy(), seen.tolist(), strict=True):
        assert found == oracle.visible(cloud, turn, distance, points_per_pixel, slack)
        assert 10 < sum(found) < 130


def test_of_a_sphere_the_cap_that_faces_the_camera_is_seen():
    """From two radii the horizon lies 60 degrees from the camera's direction."""
    points = torch.nn.functional.normalize(torch.randn(4, 2048, 3, generator=generator()), dim=-1)
    turns = camera_turns(torch.rand(4, 3, generator=generator(1)) * 6)
    seen, facing = visible_points(points, turns), (points @ turns)[..., 2]
    assert seen[facing > 0.6].float().mean() > 0.97
    assert seen[facing < 0].float().mean() < 0.15
    assert not torch.equal(seen[0], seen[1])


def test_a_wall_hides_what_is_behind_it_and_units_do_not_matter():
    wall = torch.rand(2, 1000, 3, generator=generator()) * 2 - 1
    wall[..., 2] = torch.tensor([0.5, -0.5]).repeat_interleave(500)
    wall[:, 500:, :2] *= 0.5
    ahead = torch.eye(3).expand(2, 3, 3)  # looking down z
    seen = visible_points(wall, ahead)
    assert seen[:, :500].all() and seen[:, 500:].float().mean() < 0.1
    behind = visible_points(wall, camera_turns(torch.tensor([[math.pi, 0, 0]]).expand(2, 3)))
    assert behind[:, 500:].all()
    assert torch.equal(visible_points(wall * 64 + 4, ahead), seen)


@pytest.mark.parametrize("count", [5, 30, 97])
def test_resampling_takes_those_kept_once_before_any_of_them_twice(count):
    points = torch.randn(3, 50, 3, generator=generator())
    kept = torch.rand(3, 50, generator=generator(1)) < torch.tensor([[0.3], [0.6], [1.1]])
    taken = resample_kept(points, kept, count, torch.rand(3, 50, generator=generator(2)))
    assert taken.shape == (3, count, 3)
    for cloud, mask, found in zip(points, kept, taken, strict=True):
        times = np.array([(found == point).all(1).sum().item() for point in cloud])
        assert times.sum() == count and not times[~mask.numpy()].any()
        assert times[mask.numpy()].max() - times[mask.numpy()].min() <= 1


def test_resampling_without_noise_goes_round_in_order():
    points = torch.randn(2, 5, 3, generator=generator())
    kept = torch.tensor([[False, True, False, True, False], [True] * 5])
    again = resample_kept(points, kept, 5)
    assert torch.equal(again[0], points[0, [1, 3, 1, 3, 1]]) and torch.equal(again[1], points[1])

import numpy as np
import pytest

from pointdistill.world.cameras import Camera, default_rig, look, walk
from pointdistill.world.rooms import make_room
from pointdistill.world.solids import contains


@pytest.fixture(scope="module")
def rooms():
    return [make_room(seed) for seed in range(300, 310)]


def test_intrinsics():
    camera = Camera.for_size(80, 60, 60.0)
    assert camera.matrix.dtype == np.float32 and camera.matrix.shape == (4, 4)
    edge = (camera.width - 0.5 - camera.cx) / camera.fx
    assert 2 * np.degrees(np.arctan(edge)) == pytest.approx(60.0)
    assert (camera.cx, camera.cy) == (39.5, 29.5)


def test_rig_is_two_different_cameras_a_little_apart():
    rig = default_rig((160, 120), (80, 60))
    assert (rig.colour.width, rig.colour.height, rig.depth.width, rig.depth.height) == (160, 120, 80, 60)
    assert rig.colour.fx / rig.colour.width != pytest.approx(rig.depth.fx / rig.depth.width)
    turn, shift = rig.colour_to_depth[:3, :3], rig.colour_to_depth[:3, 3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert 0 < np.linalg.norm(shift) < 0.1 and 0 < np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 3


def test_look_axes():
    pose = look(np.zeros((1, 3)), np.array([0.0]), np.array([0.0]), np.array([0.0]))[0]
    np.testing.assert_allclose(pose[:3, 2], (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 0], (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 1], (0, 0, -1), atol=1e-12)
    up = look(np.zeros((1, 3)), np.array([0.3]), np.array([0.5]), np.array([0.2]))[0]
    assert up[2, 2] > 0.4 and np.linalg.det(up[:3, :3]) == pytest.approx(1.0)


def test_walk_stays_in_the_room_and_out_of_furniture(rooms):
    for room in rooms:
        poses = walk(room, 0, 120, 2.0)
        np.testing.assert_allclose(
            np.einsum("nji,njk->nik", poses[:, :3, :3], poses[:, :3, :3]), np.tile(np.eye(3), (120, 1, 1)), atol=1e-9
        )
        position = poses[:, :3, 3]
        assert (np.abs(position[:, :2]) < room.size[:2] / 2 - 0.15).all()
        assert (position[:, 2] > 1.2).all() and (position[:, 2] < 1.8).all()
        # At no height: a person does not walk through beds either.
        for height in np.linspace(0.05, 1.8, 8):
            assert not contains(room.solids, np.column_stack([position[:, :2], np.full(120, height)])).any()
        for place in room.places:
            if place.low < 1.8:
                local = np.abs((position[:, :2] - (place.x, place.y)) @ place.axes().T)
                outside = np.linalg.norm(np.maximum(local - [place.width / 2, place.depth / 2], 0), axis=1)
                assert outside.min() > 0.1, (room.seed, place)


def test_walk_is_smooth_at_thirty_hertz(rooms):
    for room in rooms[:5]:
        poses = walk(room, 1, 900, 30.0)
        step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
        turn = np.einsum("nji,njk->nik", poses[:-1, :3, :3], poses[1:, :3, :3])
        angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
        assert step.max() < 0.035 and angle.max() < 6.0
        assert np.ptp(poses[:, :2, 3], axis=0).max() > 0.5, "the person does walk"


def test_rate_samples_one_path(rooms):
    slow, fast = walk(rooms[0], 5, 20, 1.0), walk(rooms[0], 5, 600, 30.0)
    np.testing.assert_allclose(slow, fast[::30], atol=1e-9)
    np.testing.assert_allclose(walk(rooms[0], 5, 7, 1.0), slow[:7], atol=1e-12)


def test_walk_depends_on_seed_and_room(rooms):
    np.testing.assert_array_equal(walk(rooms[0], 2, 5), walk(rooms[0], 2, 5))
    assert not np.allclose(walk(rooms[0], 2, 5), walk(rooms[0], 3, 5))
    assert walk(rooms[0], 2, 0).shape == (0, 4, 4)

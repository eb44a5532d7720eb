"""The ray caster against an oracle that follows one ray at a time by other formulas, and the sensor's flaws."""

import math

import numpy as np
import pytest

from pointdistill.seeding import numpy_generator
from pointdistill.world.builder import Builder, turn_x, turn_z
from pointdistill.world.cameras import Camera, default_rig, look, walk
from pointdistill.world.render import cast, record
from pointdistill.world.rooms import make_room
from pointdistill.world.solids import BOX, CYLINDER, level


def crossings(kind, half, origin, direction):
    """Distances at which one ray pierces one solid's surface, in the solid's frame, face by face."""
    found = []

    def at(t):
        return [o + t * d for o, d in zip(origin, direction, strict=True)]

    if kind in (BOX, CYLINDER):
        for axis in range(3) if kind == BOX else [2]:
            for sign in (-1, 1):
                if direction[axis] != 0:
                    t = (sign * half[axis] - origin[axis]) / direction[axis]
                    p = at(t)
                    if kind == BOX:
                        within = all(abs(p[k]) <= half[k] for k in range(3) if k != axis)
                    else:
                        within = (p[0] / half[0]) ** 2 + (p[1] / half[1]) ** 2 <= 1
                    if within:
                        found.append(t)
    if kind != BOX:
        dims = 2 if kind == CYLINDER else 3
        a = sum((direction[k] / half[k]) ** 2 for k in range(dims))
        b = 2 * sum(origin[k] * direction[k] / half[k] ** 2 for k in range(dims))
        c = sum((origin[k] / half[k]) ** 2 for k in range(dims)) - 1
        if a > 0 and b * b - 4 * a * c >= 0:
            for sign in (-1, 1):
                t = (-b + sign * math.sqrt(b * b - 4 * a * c)) / (2 * a)
                if kind != CYLINDER or abs(at(t)[2]) <= half[2]:
                    found.append(t)
    return [t for t in found if t > 1e-3]


def one_ray(solids, camera, pose, row, column):
    """Depth along z and the solid that a pixel sees: a unit ray in the outer frame, each solid in turn."""
    ray = np.array([(column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy, 1.0])
    ray /= np.linalg.norm(ray)
    world = pose[:3, :3] @ ray
    best, owner = math.inf, -1
    for i in range(len(solids)):
        local = solids.rotation[i].T @ (pose[:3, 3] - solids.centre[i])
        for t in crossings(solids.kind[i], solids.half[i], local.tolist(), (solids.rotation[i].T @ world).tolist()):
            if t < best:
                best, owner = t, i
    return best * ray[2], owner


def scene():
    builder = Builder("table")
    turn = turn_z(0.4) @ turn_x(0.7)
    builder.box("top", (2.0, 0.3, 0.2), (0.6, 0.9, 0.4), (1, 0, 0), turn)
    builder.cylinder("leg", (1.6, -0.6, 0.0), (0.5, 0.3, 0.8), (0, 1, 0), turn)
    builder.cylinder("leg", (1.5, 0.6, -0.5), (0.5, 0.5, 0.3), (0, 1, 1))
    builder.ellipsoid("leg", (1.8, -0.1, -0.4), (0.7, 0.4, 0.5), (0, 0, 1), turn)
    solids = builder.finish("red", "floor").solids
    shift = np.eye(4)
    shift[:3, 3] = -solids.centre.mean(0)
    return solids.transformed(shift)


def pose_at(position, yaw=0.0, pitch=0.0, roll=0.0):
    return look(np.array([position], dtype=float), np.array([yaw]), np.array([pitch]), np.array([roll]))[0]


def test_caster_equals_oracle_on_turned_solids():
    solids, camera = scene(), Camera(24, 18, 14.0, 13.5, 11.2, 8.9)
    seen = set()
    # From afar, from near (solids behind and beside the camera), and from inside a solid.
    for pose in (
        pose_at((-1.5, 0.1, 0.2), 0.1, -0.1, 0.2),
        pose_at((-0.1, 0.3, 0.3), 2.5, -0.6),
        pose_at(solids.centre[3]),
    ):
        hits = cast(solids, camera, pose)
        for row in range(camera.height):
            for column in range(camera.width):
                depth, owner = one_ray(solids, camera, pose, row, column)
                assert hits.solid[row, column] == owner
                if owner >= 0:
                    assert hits.depth[row, column] == pytest.approx(depth, abs=1e-9)
        seen |= set(hits.solid.ravel().tolist())
        assert (np.isinf(hits.depth) == (hits.solid < 0)).all()
    assert seen == {-1, 0, 1, 2, 3}


def test_caster_equals_oracle_in_rooms():
    camera = Camera.for_size(80, 60, 60.0)
    generator = np.random.default_rng(0)
    for seed in (500, 501, 502):
        room = make_room(seed)
        pose = walk(room, 0, 3)[2]
        hits = cast(room.solids, camera, pose)
        assert (hits.solid >= 0).all(), "a room is closed"
        for row, column in zip(generator.integers(0, 60, 40), generator.integers(0, 80, 40), strict=True):
            depth, _ = one_ray(room.solids, camera, pose, row, column)
            assert hits.depth[row, column] == pytest.approx(depth, abs=1e-9)


def test_depth_is_along_z():
    """A wall that faces the camera has one depth all over, though the rays to its edges are longer."""
    builder = Builder("table")
    builder.box("top", (0, 0, 0), (0.1, 9, 9), (1, 1, 1))
    hits = cast(builder.finish("red", "floor").solids, Camera.for_size(40, 30, 70.0), pose_at((-2.05, 0, 4.5)))
    np.testing.assert_allclose(hits.depth, 2.0, atol=1e-9)
    np.testing.assert_allclose(hits.normal, np.broadcast_to((-1.0, 0, 0), hits.normal.shape), atol=1e-9)


def test_normals_are_the_surfaces_own():
    """A step along the normal leaves the solid, two small steps around the hit stay on it to first order."""
    solids, camera = scene(), Camera.for_size(64, 48, 60.0)
    pose = pose_at((-1.5, 0.1, 0.2))
    hits = cast(solids, camera, pose)
    rows, columns = np.nonzero(hits.solid >= 0)
    z = hits.depth[rows, columns]
    local = np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z], 1)
    points, normals = local @ pose[:3, :3].T + pose[:3, 3], hits.normal[rows, columns]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert (np.einsum("pi,pi->p", normals, pose[:3, 3] - points) > 0).all(), "towards the camera"
    own = hits.solid[rows, columns]
    at = np.arange(len(own))
    assert (level(solids, points + 1e-4 * normals)[at, own] > 1).all()
    tangent = np.cross(normals, np.array([0.3, 0.5, 0.8]))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    drift = np.abs(level(solids, points + 1e-4 * tangent)[at, own] - 1)
    assert np.quantile(drift, 0.95) < 1e-4


@pytest.fixture(scope="module")
def frame():
    room, rig = make_room(510), default_rig((96, 72), (80, 60))
    pose = walk(room, 0, 4)[3]
    return room, rig, pose, record(room, rig, pose, numpy_generator(0))


def test_frame_shapes_and_labels(frame):
    room, rig, pose, shot = frame
    assert shot.colour.shape == (72, 96, 3) and shot.depth.shape == (60, 80)
    assert shot.nyu40.shape == shot.instance.shape == (72, 96)
    np.testing.assert_array_equal(shot.pose, pose)
    classes = {0: {1, 2, 22}} | {thing.id: {thing.nyu40} for thing in room.instances}
    for instance in np.unique(shot.instance):
        assert set(shot.nyu40[shot.instance == instance].tolist()) <= classes[int(instance)]
    hits = cast(room.solids, rig.colour, pose @ rig.colour_to_depth)
    np.testing.assert_array_equal(shot.instance, room.solids.instance[hits.solid])


def test_colour_and_depth_agree_through_the_extrinsics(frame):
    """Depth pixels carried into the colour image by the extrinsics meet the labels that the depth camera would see."""
    room, rig, pose, _ = frame
    hits = cast(room.solids, rig.depth, pose)
    rows, columns = np.nonzero(hits.depth < np.inf)
    z = hits.depth[rows, columns]
    points = np.stack(
        [(columns - rig.depth.cx) / rig.depth.fx * z, (rows - rig.depth.cy) / rig.depth.fy * z, z, np.ones_like(z)]
    )
    x, y, w, _ = np.linalg.inv(rig.colour_to_depth) @ points
    u, v = np.rint(rig.colour.fx * x / w + rig.colour.cx), np.rint(rig.colour.fy * y / w + rig.colour.cy)
    inside = (u >= 0) & (u < rig.colour.width) & (v >= 0) & (v < rig.colour.height)
    shot = cast(room.solids, rig.colour, pose @ rig.colour_to_depth)
    seen = shot.solid[v[inside].astype(int), u[inside].astype(int)]
    same = room.solids.instance[seen] == room.solids.instance[hits.solid[rows, columns][inside]]
    assert inside.mean() > 0.8 and same.mean() > 0.95


def test_depth_noise_grows_and_has_holes():
    room, rig = make_room(511), default_rig((8, 6), (80, 60))
    errors, truths, invalid = [], [], []
    for i, pose in enumerate(walk(room, 0, 12)):
        shot = record(room, rig, pose, numpy_generator(i))
        truth = cast(room.solids, rig.depth, pose).depth
        valid = shot.depth > 0
        errors.append(shot.depth[valid] / 1000 - truth[valid])
        truths.append(truth[valid])
        invalid.append(1 - valid.mean())
    error, truth = np.concatenate(errors), np.concatenate(truths)
    near, far = error[truth < 1.5], error[truth > 2.5]
    assert 0.0008 < near.std() < 0.006 and near.std() * 1.8 < far.std() < 0.05
    assert abs(error.mean()) < 0.001, "no bias"
    assert 0.003 < np.mean(invalid) < 0.2


def test_recording_is_deterministic(frame):
    room, rig, pose, shot = frame
    again, other = (record(room, rig, pose, numpy_generator(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(shot.colour, again.colour)
    np.testing.assert_array_equal(shot.depth, again.depth)
    assert shot.caption == again.caption
    assert not np.array_equal(shot.depth, other.depth)


def test_any_size_and_shading():
    room = make_room(512)
    pose = walk(room, 0, 2)[1]
    for size in ((33, 17), (324, 242)):
        shot = record(room, default_rig(size, (40, 30)), pose, numpy_generator(0))
        assert shot.colour.shape == (size[1], size[0], 3)
        assert 40 < shot.colour.mean() < 240 and shot.colour.std() > 10

import numpy as np
import pytest

from pointdistill.world.builder import Builder, turn_x, turn_z
from pointdistill.world.solids import Solids, contains, sample_surface


def table(*shapes) -> Solids:
    """Solids out of (method, centre, size[, rotation])."""
    builder = Builder("table")
    for method, centre, size, *rotation in shapes:
        getattr(builder, method)("top", centre, size, (0.5, 0.5, 0.5), *rotation)
    solids = builder.finish("grey", "floor").solids
    shift = np.eye(4)
    shift[:3, 3] = np.asarray(shapes[0][1]) - solids.centre[0]
    return solids.transformed(shift)


def test_box_faces_get_points_by_area():
    solids = table(("box", (0, 0, 0), (1, 2, 3)))
    points, normals, owner = sample_surface(solids, 22_000, np.random.default_rng(0))
    assert points.shape == normals.shape == (22_000, 3) and not owner.any()
    shares = (np.abs(normals) > 0.5).mean(0)
    np.testing.assert_allclose(shares, np.array([6, 3, 2]) / 11, atol=0.012)
    on_face = (np.abs(points) / [0.5, 1.0, 1.5]).max(1)
    np.testing.assert_allclose(on_face, 1.0, atol=1e-9)


def test_points_inside_another_solid_are_rejected():
    solids = table(
        ("box", (0, 0, 0), (1, 1, 1)), ("ellipsoid", (0.5, 0, 0), (1, 1, 1)), ("cylinder", (0, 0, 0.5), (0.6, 0.4, 1))
    )
    points, normals, owner = sample_surface(solids, 3000, np.random.default_rng(1))
    assert set(owner) == {0, 1, 2}
    assert not contains(solids, points + 1e-4 * normals).any(), "a point with the outside on its outer side is outer"
    assert contains(solids, points - 1e-4 * normals).any(1).all(), "normals point outwards"


def test_surfaces_that_coincide_count_once():
    """Two boxes that overlap in a flush slab: the top must be as dense there as elsewhere."""
    solids = table(("box", (0, 0, 0), (2, 1, 1)), ("box", (1, 0, 0), (2, 1, 1)))
    points, normals, _ = sample_surface(solids, 30_000, np.random.default_rng(2))
    top = points[normals[:, 2] > 0.5]
    shares = np.histogram(top[:, 0], bins=[-1, 0, 1, 2])[0] / len(top)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)


def test_ellipsoid_and_elliptic_cylinder_are_even():
    """Shares of a half against a numeric integral over a fine mesh."""
    a, b, c = 1.0, 0.4, 0.25
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 1201)[:-1], (np.arange(600) + 0.5) * np.pi / 600)
    x = a * np.sin(v) * np.cos(u)
    area = np.sin(v) * np.sqrt(
        (b * c * np.sin(v) * np.cos(u)) ** 2 + (a * c * np.sin(v) * np.sin(u)) ** 2 + (a * b * np.cos(v)) ** 2
    )
    points = sample_surface(table(("ellipsoid", (0, 0, 0), (2 * a, 2 * b, 2 * c))), 20_000, np.random.default_rng(3))[0]
    assert (np.abs(points[:, 0]) > 0.5).mean() == pytest.approx(area[np.abs(x) > 0.5].sum() / area.sum(), abs=0.012)

    tube = table(("cylinder", (0, 0, 0), (2 * a, 2 * b, 1.0)))
    points, normals, _ = sample_surface(tube, 20_000, np.random.default_rng(4))
    angle = np.linspace(0, 2 * np.pi, 100_001)
    arc = np.hypot(np.diff(a * np.cos(angle)), np.diff(b * np.sin(angle))).sum()
    caps = np.abs(normals[:, 2]) > 0.5
    assert caps.mean() == pytest.approx(2 * np.pi * a * b / (2 * np.pi * a * b + arc), abs=0.012)
    tip = np.abs(points[~caps, 0]) > 0.9
    steps = np.hypot(np.diff(a * np.cos(angle)), np.diff(b * np.sin(angle)))
    assert tip.mean() == pytest.approx(steps[np.abs(np.cos(angle[1:])) > 0.9].sum() / arc, abs=0.015)


def test_bounds_are_tight():
    turn = turn_z(0.7) @ turn_x(0.4)
    shapes = [(kind, (0.3, -0.2, 1.0), (0.6, 0.9, 0.5), turn) for kind in ("box", "cylinder", "ellipsoid")]
    for shape in shapes:
        solids = table(shape)
        points = sample_surface(solids, 20_000, np.random.default_rng(5))[0]
        low, high = solids.bounds()
        assert (points >= low - 1e-9).all() and (points <= high + 1e-9).all()
        np.testing.assert_allclose([points.min(0), points.max(0)], [low, high], atol=0.03)


def test_moving_and_joining():
    solids = table(("box", (0, 0, 0), (1, 2, 3)), ("cylinder", (1, 0, 0), (1, 1, 1)))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn_z(0.5) @ turn_x(1.1), (1, 2, 3)
    moved = solids.transformed(matrix)
    points = np.random.default_rng(6).uniform(-1.5, 1.5, (200, 3))
    np.testing.assert_array_equal(contains(moved, points @ matrix[:3, :3].T + matrix[:3, 3]), contains(solids, points))
    assert len(Solids.concatenate([solids, moved])) == 4
    with pytest.raises(ValueError, match="rigid"):
        solids.transformed(np.diag([2.0, 2.0, 2.0, 1.0]))


def test_same_seed_same_points():
    solids = table(("box", (0, 0, 0), (1, 1, 1)))
    first, second = (sample_surface(solids, 50, np.random.default_rng(7))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)

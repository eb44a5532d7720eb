"""Fusion of a scene whose true surface is known: a sphere above a floor, seen from one side."""

from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

from pointdistill.world.cameras import Camera, Rig
from pointdistill.world.fusion import Fusion, fuse
from pointdistill.world.label_table import class_colours
from pointdistill.world.mesh import Mesh, vertex_normals, write_labels_ply, write_ply
from pointdistill.world.observation import rays_of
from pointdistill.world.render import Frame
from pointdistill.world.surface import surface_nets

CENTRE, RADIUS, FLOOR = np.array([1.3, -0.7, 0.4]), 0.4, -0.25
VOXEL = 0.03
SHIFT = np.array([0.03, -0.01, 0.0])


def _hit(camera: Camera, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth in metres (0 none) and whether the sphere was hit, for each pixel."""
    direction, origin = rays_of(camera) @ pose[:3, :3].T, pose[:3, 3]
    a, b = (direction**2).sum(1), direction @ (origin - CENTRE)
    root = b**2 - a * (((origin - CENTRE) ** 2).sum() - RADIUS**2)
    sphere = root > 0
    with np.errstate(divide="ignore"):
        floor = (FLOOR - origin[2]) / direction[:, 2]
    floor = np.where((floor > 0) & (floor < 3), floor, 0)
    depth = np.where(sphere, (-b - np.sqrt(np.maximum(root, 0))) / a, floor)
    shape = (camera.height, camera.width)
    return depth.reshape(shape), sphere.reshape(shape)


def _pose(origin: np.ndarray) -> np.ndarray:
    forward = (CENTRE - origin) / np.linalg.norm(CENTRE - origin)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = origin
    return pose


def _scene(frames: int = 12, noise: float = 0.004, side: float = 2.5) -> tuple[list[Frame], Rig]:
    depth_camera, colour_camera = Camera.for_size(64, 48, 60), Camera.for_size(90, 68, 62)
    colour_to_depth = np.eye(4)
    colour_to_depth[:3, 3] = SHIFT
    rig, generator, result = Rig(colour_camera, depth_camera, colour_to_depth), np.random.default_rng(0), []
    for angle in np.linspace(0, side, frames):
        pose = _pose(CENTRE + np.array([1.6 * np.cos(angle), 1.6 * np.sin(angle), 0.6]))
        depth, _ = _hit(depth_camera, pose)
        depth = np.where(depth > 0, depth + generator.normal(0, noise, depth.shape), 0)
        seen, sphere = _hit(colour_camera, pose @ colour_to_depth)
        nyu40 = np.where(sphere, 7, np.where(seen > 0, 2, 0)).astype(np.uint8)
        colour = np.where(sphere[..., None], (200, 30, 30), (60, 60, 60)).astype(np.uint8)
        instance = np.where(sphere, 3, 0).astype(np.uint16)
        result.append(Frame(colour, np.rint(depth * 1000).astype(np.uint16), nyu40, instance, pose, ""))
    return result, rig


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return fuse(*_scene(), voxel=VOXEL)


def test_the_surface_is_where_the_true_one_is(mesh: Mesh):
    radial = np.abs(np.linalg.norm(mesh.vertices - CENTRE, axis=1) - RADIUS)
    error = np.minimum(radial, np.abs(mesh.vertices[:, 2] - FLOOR))
    assert np.median(error) < 0.15 * VOXEL
    assert np.quantile(error, 0.98) < VOXEL
    assert (mesh.instance == 3).sum() > 1000 and (mesh.nyu40 == 2).sum() > 3000


def test_labels_and_colours_fall_on_their_surface(mesh: Mesh):
    height = mesh.vertices[:, 2] - FLOOR
    off = np.abs(np.linalg.norm(mesh.vertices - CENTRE, axis=1) - RADIUS)
    on_sphere, on_floor = (off < VOXEL) & (height > 3 * VOXEL), (np.abs(height) < VOXEL) & (off > 3 * VOXEL)
    assert (mesh.instance[on_sphere] == 3).mean() > 0.97
    assert (mesh.nyu40[on_floor] == 2).mean() > 0.97
    np.testing.assert_array_equal(mesh.nyu40[mesh.instance == 3], 7)
    assert np.abs(mesh.colours[on_sphere].mean(0) - (200, 30, 30)).max() < 10


def test_faces_look_outwards_and_unseen_sides_are_missing(mesh: Mesh):
    normals = vertex_normals(mesh)
    sphere = mesh.instance == 3
    outward = (mesh.vertices[sphere] - CENTRE) / RADIUS
    assert ((normals[sphere] * outward).sum(1) > 0.7).mean() > 0.97
    assert normals[mesh.nyu40 == 2, 2].mean() > 0.95
    assert outward[:, 2].min() > -0.95, "nobody saw the sphere from below"


def test_specks_are_dropped():
    frames, rig = _scene(frames=4, noise=0.0)
    for frame in frames:
        frame.depth[:3, :3] = 400
    clean = fuse(frames, rig, VOXEL)
    origin = frames[0].pose[:3, 3]
    assert np.linalg.norm(clean.vertices - origin, axis=1).min() > 0.6


def test_nothing_seen_gives_an_empty_mesh():
    frames, rig = _scene(frames=1)
    frames[0].depth[:] = 0
    assert len(fuse(frames, rig, VOXEL)) == 0
    assert len(Fusion(rig, VOXEL).mesh()) == 0


def test_same_frames_same_bytes(mesh: Mesh, tmp_path: Path):
    write_ply(tmp_path / "a.ply", mesh)
    write_ply(tmp_path / "b.ply", fuse(*_scene(), voxel=VOXEL))
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def test_ply_files_hold_what_scannets_hold(mesh: Mesh, tmp_path: Path):
    write_ply(tmp_path / "a.ply", mesh)
    write_labels_ply(tmp_path / "b.ply", mesh, class_colours())
    plain, labelled = PlyData.read(tmp_path / "a.ply"), PlyData.read(tmp_path / "b.ply")
    assert plain["vertex"].data.dtype.names == ("x", "y", "z", "red", "green", "blue", "alpha")
    np.testing.assert_array_equal(labelled["vertex"]["label"], mesh.nyu40)
    assert labelled["vertex"]["label"].dtype == np.uint16
    np.testing.assert_array_equal(plain["vertex"]["x"], mesh.vertices[:, 0])
    np.testing.assert_array_equal(np.stack(plain["face"]["vertex_indices"]), mesh.faces)


def test_surface_nets_close_a_ball_and_leave_the_unknown_open():
    grid = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), axis=-1)
    distance = (np.linalg.norm(grid - 9.3, axis=-1) - 6).astype(np.float32)
    known = np.zeros_like(distance, dtype=bool)
    known[1:-1, 1:-1, 1:-1] = True
    ball = surface_nets(distance, known)
    edges = np.sort(ball.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses == 2).all(), "a closed surface: each edge has two triangles"
    assert np.abs(np.linalg.norm(ball.vertices - 9.3, axis=1) - 6).max() < 0.1
    known[:, :, 10:] = False
    assert surface_nets(distance, known).vertices[:, 2].max() < 9.5

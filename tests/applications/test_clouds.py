"""Files as others write them, and clouds as pre-training saw them."""

import shutil

import numpy as np
import pytest
import torch

import build_las
from fake_teacher import factory
from pointdistill.applications.clouds import open_cloud, read_cloud, training_form, turn
from pointdistill.errors import DataError
from pointdistill.loader import FrameLoader
from pointdistill.prepare import prepare_frames
from pointdistill.store import FrameStore

POINTS = np.array([[0.5, -1, 2], [3, 4.25, -5], [1e-3, 0, 100]], np.float32)
FAR = np.array([500_123.5, 5_000_321.25, 110])
AXES = {"x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 0, 1], "-x": [-1, 0, 0], "-y": [0, -1, 0], "-z": [0, 0, -1]}
HEADER = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"


def lines(separator, more=""):
    return "".join(separator.join(f"{value:.9g}" for value in row) + f"{more}\n" for row in POINTS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cloud.ply", HEADER + "property uchar red\nend_header\n" + lines(" ", " 255")),
        ("cloud.xyz", lines(" ")),
        ("cloud.txt", "\n" + lines("\t", "\t0.1\t0.2\t0.3")),
        ("cloud.txt", lines(",", ",0,0,1")),
        ("cloud.CSV", lines(",")),
    ],
)
def test_text_files(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    np.testing.assert_array_equal(read_cloud(tmp_path / name).astype(np.float32), POINTS)


def test_a_count_before_the_points(tmp_path):
    (tmp_path / "cloud.pts").write_text(f"{len(POINTS)}\n" + lines(" ", " 12 255 0 7"))
    np.testing.assert_array_equal(read_cloud(tmp_path / "cloud.pts").astype(np.float32), POINTS)
    (tmp_path / "cloud.pts").write_text("3\n1 2 3\n4 five 6\n")
    with pytest.raises(DataError, match="line 3: 'five' is not a number"):
        read_cloud(tmp_path / "cloud.pts")


def test_meshes(tmp_path):
    (tmp_path / "a.obj").write_text("# a\nv 1 2 3\nvn 0 0 1\nv 4 5 6 0.1 0.2 0.3\nf 1 2 1\n")
    (tmp_path / "a.off").write_text("OFF\n2 0 0\n1 2 3\n4 5 6\n")
    for name in ("a.obj", "a.off"):
        assert read_cloud(tmp_path / name).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("minor", [2, 4])
def test_surveys(tmp_path, minor):
    path, points = tmp_path / "a.las", POINTS.astype(np.float64) + FAR
    build_las.write_las(path, points, minor, offset=(5e5, 5e6, 100))
    np.testing.assert_allclose(read_cloud(path), points, atol=6e-4, rtol=0)
    content = path.read_bytes()
    for cut in (10, 200, 300, len(content) - 30):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"a\.las: (does not begin as|declares)"):
            read_cloud(path)
    path.write_bytes(content[:104] + bytes([content[104] | 128]) + content[105:])
    with pytest.raises(DataError, match=r"a\.las: is compressed"):
        read_cloud(path)


def test_far_from_the_origin_nothing_is_lost():
    """Coordinates of maps, millions of metres, a cloud of a metre."""
    near = np.random.default_rng(0).random((200, 3))
    for up in (None, "z", "-y"):
        at, centre, radius = training_form(near, up, "gravity", 200)
        far, far_centre, far_radius = training_form(near + FAR, up, "gravity", 200)
        np.testing.assert_allclose(far, at, atol=1e-6)
        assert far_radius == pytest.approx(radius, rel=1e-6)
        np.testing.assert_allclose(far_centre - centre, turn(up, "gravity") @ FAR, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_arrays(tmp_path, dtype):
    rows = np.concatenate([POINTS, POINTS], 1).astype(dtype)
    np.save(tmp_path / "cloud.npy", rows)
    np.testing.assert_array_equal(read_cloud(tmp_path / "cloud.npy"), rows[:, :3].astype(np.float32))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cloud.stl", b"", r"no known kind of point cloud. Give a \.ply, \.pcd"),
        ("cloud.obj", b"f 1 2 3\n", "has no vertices"),
        ("cloud.obj", b"v 1 2 3\nv 1 2\n", "line 2: a vertex without three numbers"),
        ("absent.obj", None, "no such file"),
        ("absent.las", None, "no such file"),
        ("cloud.las", b"LASF", "does not begin as a survey"),
        ("cloud.npy", b"not an array", "not a readable .npy"),
        ("cloud.txt", b"1 2\n", "2 columns"),
        ("cloud.txt", b"1 2 3\n1 two 3\n", "line 2: 'two' is not a number"),
        ("cloud.xyz", b"\xff\xfe\x00", "not a readable text"),
        ("cloud.ply", b"ply\nformat ascii 1.0\nend_header\n", "no vertices"),
        ("absent.ply", None, "no such file"),
        ("absent.npy", None, "no such file"),
        ("absent.txt", None, "absent.txt"),
    ],
)
def test_what_is_no_cloud_is_said(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_cloud(tmp_path / name)


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "cloud.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="npy"):
        read_cloud(tmp_path / "cloud.npy")


@pytest.mark.parametrize("up", list(AXES))
def test_what_points_up_points_up_in_the_frame_of_pre_training(up):
    for frame, upwards in (("gravity", [0, 0, 1]), ("camera", [0, -1, 0])):
        rotation = turn(up, frame)
        np.testing.assert_array_equal(rotation @ AXES[up], upwards)
        np.testing.assert_array_equal(rotation @ rotation.T, np.eye(3))
        assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_array_equal(turn("-y", "camera"), np.eye(3))
    np.testing.assert_array_equal(turn(None, "camera"), np.eye(3))


@pytest.mark.parametrize("frame", ["camera", "gravity"])
def test_a_frame_comes_out_as_the_loader_draws_it(store, frame):
    opened = FrameStore.open(store)
    (batch,) = FrameLoader(opened, 6, 400, seed=0, frame=frame, shuffle=False).epoch(0)
    for index in range(6):
        assert opened.counts[index] == 400  # both take all of its points, in some order
        cloud, centre, radius = training_form(open_cloud(store, index, frame), None, frame, 400)
        apart = np.linalg.norm(cloud[0].numpy()[:, None] - batch.points[index].numpy()[None], axis=-1)
        assert apart.min(0).max() < 1e-4 and apart.min(1).max() < 1e-4
        back = cloud[0].numpy() * radius + centre
        assert np.abs(np.sort(back, 0) - np.sort(open_cloud(store, index, frame), 0)).max() < 1e-4


def test_a_store_may_hold_targets_of_several_teachers(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    prepare_frames(store.parent, tmp_path / "store", factory(), every=1, points=400, workers=1)
    with pytest.raises(DataError, match="several teachers"):
        FrameStore.open(tmp_path / "store")
    np.testing.assert_array_equal(open_cloud(tmp_path / "store", 2, "camera"), open_cloud(store, 2, "camera"))


def test_points_that_are_not_finite_are_left_out():
    rows = np.random.default_rng(0).standard_normal((50, 3))
    broken = np.concatenate([rows, [[np.nan, 0, 0], [0, np.inf, 0]]])
    assert torch.equal(training_form(broken, "y", "gravity", 40)[0], training_form(rows, "y", "gravity", 40)[0])


def test_clouds_that_cannot_be_used(store):
    rows = np.zeros((70, 3))
    with pytest.raises(DataError, match="one place"):
        training_form(rows, None, "gravity", 10)
    with pytest.raises(DataError, match="70 finite points"):
        training_form(rows, None, "gravity", 10, least=100)
    with pytest.raises(DataError, match="no frame 6"):
        open_cloud(store, 6, "gravity")
    with pytest.raises(DataError, match="--frame"):
        open_cloud(store, None, "gravity")

"""`pointdistill prepare` on every layout of RGB-D recordings, compared with an unprojection of its own."""

import json

import numpy as np
import pytest

import build_rgbd
import build_scannet
import build_sens
import fake_teacher
from fake_teacher import factory
from pointdistill import cli, manifest
from pointdistill.errors import DataError, PointdistillError
from pointdistill.prepare import prepare_frames
from pointdistill.store import FrameStore

WRITERS = {
    "rgbd_dataset_freiburg3_desk": build_rgbd.write_tum,
    "seq-01": build_rgbd.write_seven_scenes,
    "bedroom": build_rgbd.write_redwood,
    "mine": build_rgbd.write_plain,
}
TEACHER = f"{fake_teacher.__file__}:MeanColourTeacher"
Z_UP = {"rgbd_dataset_freiburg3_desk", "mine"}


def _prepare(*arguments: object) -> int:
    try:
        cli.main(["prepare", *(str(argument) for argument in arguments), "--teacher", TEACHER])
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def _every_pixel(written: build_rgbd.Written, frame: int) -> np.ndarray:
    """All valid points of a frame in the camera's frame, by the pinhole formula, pixel by pixel."""
    metres = written.metres[frame]
    rows, columns = np.nonzero(metres)
    z = metres[rows, columns]
    (fx, fy), (cx, cy) = written.focal, written.centre
    return np.stack([(columns - cx) * z / fx, (rows - cy) * z / fy, z], 1)


def _by_pixel(cloud: np.ndarray, written: build_rgbd.Written) -> np.ndarray:
    """The cloud sorted by the pixel of each point."""
    (fx, fy), (cx, cy) = written.focal, written.centre
    columns, rows = (np.rint(cloud[:, k] / cloud[:, 2] * f + c) for k, f, c in ((0, fx, cx), (1, fy, cy)))
    return cloud[np.lexsort((columns, rows))]


@pytest.mark.parametrize("name", WRITERS)
def test_frames_come_out_as_they_were_recorded(tmp_path, name):
    written = WRITERS[name](tmp_path / "data" / name)
    assert _prepare(tmp_path / "data", tmp_path / "store", "--every", 1, "--points", 400_000, "--workers", 1) == 0
    store = FrameStore.open(tmp_path / "store", verify=True)
    assert store.scan_names == [name] and store.frames.tolist() == list(range(len(written.metres)))
    assert store.up == ("z" if name in Z_UP else None) and store.manifest["skipped"] == []
    odd = build_rgbd.PLAIN["colour_to_depth"] if name == "mine" else np.eye(4)
    np.testing.assert_allclose(store.colour_to_depth, [odd] * len(store), atol=1e-6)
    for index, (pose, colour) in enumerate(zip(written.poses, written.colours, strict=True)):
        np.testing.assert_allclose(store.pose(index), pose, atol=1e-5)
        expected = _every_pixel(written, index)
        found = store.cloud(index)
        assert found.shape == expected.shape
        np.testing.assert_allclose(_by_pixel(found, written), expected, atol=2e-4)
        np.testing.assert_allclose(store.targets[index][0], np.array(colour) / 255, atol=0.02)


def test_up_turns_poses_and_is_asked_for(tmp_path, capsys):
    written = build_rgbd.write_redwood(tmp_path / "data")
    for store, options in (("plain", []), ("turned", ["--up", "-y"])):
        assert _prepare(written.folder, tmp_path / store, "--every", 1, "--workers", 1, *options) == 0
    plain, turned = (FrameStore.open(tmp_path / store) for store in ("plain", "turned"))
    assert plain.up is None and turned.up == "z"
    for index, pose in enumerate(written.poses):
        np.testing.assert_allclose(turned.pose(index)[2], -pose[1], atol=1e-6)  # what was -y is z
    capsys.readouterr()
    store = tmp_path / "plain"
    places = ["--data", str(store), "--heldout", str(store), "--out", str(tmp_path / "run"), "--batch-size", "2"]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["pretrain", "quickstart", *places])
    line = capsys.readouterr().err.strip()
    assert "do not say which way is up" in line and "--up" in line and "\n" not in line
    assert not [path for path in (tmp_path / "run").glob("*") if path.name != ".lock"]  # another store may go there


def test_a_scannet_store_from_before_up_was_asked_for(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", ["scene0000_00"], frames=3)
    store = prepare_frames(root, tmp_path / "store", factory(), every=1, points=64, workers=1)
    assert store.up == store.manifest["up"] == "z" and "up_axis" not in store.manifest
    assert not {"up", "up_axis"} & {*json.loads((store.path / "settings.json").read_text())}
    manifest.write(store.path, {name: value for name, value in manifest.read(store.path).items() if name != "up"})
    older = prepare_frames(root, tmp_path / "store", factory(version="b"), every=1, points=64, workers=1)
    assert older.up == "z" and "up" not in older.manifest  # gone on with, its frames untouched


def test_up_where_it_can_mean_nothing(tmp_path):
    known = build_rgbd.write_plain(tmp_path / "known", frames=1)
    with pytest.raises(PointdistillError, match="--up y: the poses of known have z up already"):
        prepare_frames(known.folder, tmp_path / "store", factory(), workers=1, up_axis="y")
    without = build_rgbd.write_redwood(tmp_path / "without", frames=1, trajectory=False)
    with pytest.raises(PointdistillError, match="--up y: without has no poses"):
        prepare_frames(without.folder, tmp_path / "store", factory(), workers=1, up_axis="y")


def test_what_changed_is_refused_and_what_is_broken_is_listed(tmp_path):
    written = build_rgbd.write_seven_scenes(tmp_path / "seq-01", frames=4)
    (written.folder / "frame-000001.pose.txt").unlink()
    (written.folder / "frame-000002.depth.png").write_bytes(b"")
    store = prepare_frames(written.folder, tmp_path / "store", factory(), every=1, points=64, workers=2)
    assert store.frames.tolist() == [0, 3] and store.manifest["source"] == "7-scenes all"
    listed = {entry["frame"]: entry["why"] for entry in store.manifest["skipped"]}
    assert listed == {1: "no pose belongs to it", 2: "the depth image does not decode"}
    np.savetxt(written.folder / "frame-000001.pose.txt", build_sens.pose(1))
    with pytest.raises(DataError, match="seq-01 has changed since"):
        prepare_frames(written.folder, tmp_path / "store", factory(), every=1, points=64, workers=1)

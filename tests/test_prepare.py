import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import build_scannet
import build_sens
from fake_teacher import MeanColourTeacher, factory
from pointdistill import manifest
from pointdistill.datasets.scannet.sens import SensReader
from pointdistill.errors import DataError
from pointdistill.files import exclusive
from pointdistill.prepare import prepare_frames
from pointdistill.scan_part import quantise, unproject
from pointdistill.store import FrameStore
from pointdistill.world.cameras import SPEED
from pointdistill.world.scannet import ScanNetSettings, write_scannet
from pointdistill.world.seeds import SEEDS

SCANS = ["scene0000_00", "scene0001_00", "scene0002_00"]


@pytest.fixture
def root(tmp_path):
    return build_scannet.write_data_set(tmp_path / "scannet", SCANS, frames=5)


def _prepare(root, out, log=None, version="a", **settings):
    return prepare_frames(root, out, factory(log, version), **{"every": 2, "points": 64, "workers": 1, **settings})


def _calls(log):
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def _pixels_of(points):
    """Where points of the camera frame are seen, by the pinhole formula."""
    fx, fy = build_sens.DEPTH_INTRINSICS[[0, 1], [0, 1]]
    cx, cy = build_sens.DEPTH_INTRINSICS[:2, 2]
    return points[:, 0] / points[:, 2] * fx + cx, points[:, 1] / points[:, 2] * fy + cy


def test_frames_come_out_as_they_were_recorded(root, tmp_path):
    store = _prepare(root, tmp_path / "store")
    assert len(store) == 9 and store.scan_names == SCANS
    assert [(store.scan_of(i), int(store.frames[i])) for i in (0, 1, 8)] == [
        (SCANS[0], 0),
        (SCANS[0], 2),
        (SCANS[2], 4),
    ]
    for index in range(9):
        seed = 100 * int(store.scans[index]) + int(store.frames[index])
        np.testing.assert_array_equal(store.pose(index), build_sens.pose(seed))
        np.testing.assert_array_equal(store.depth_intrinsics[index], build_sens.DEPTH_INTRINSICS)
        np.testing.assert_array_equal(store.colour_intrinsics[index], build_sens.COLOUR_INTRINSICS)
        np.testing.assert_allclose(store.colour_to_depth[index], build_sens.COLOUR_TO_DEPTH)
        assert store.colour_size[index].tolist() == [64, 48] and store.depth_size[index].tolist() == [20, 16]
        cloud = store.cloud(index)
        assert cloud.shape == (64, 3) and store.counts[index] == 64
        u, v = _pixels_of(cloud)
        column, row = np.rint(u).astype(int), np.rint(v).astype(int)
        assert np.abs(u - column).max() < 0.01 and np.abs(v - row).max() < 0.01
        assert len({*zip(column, row, strict=True)}) == 64  # no pixel twice
        np.testing.assert_allclose(cloud[:, 2] * 1000, build_sens.depth(seed)[row, column], atol=0.1)
        np.testing.assert_allclose(store.centre[index], cloud.mean(0), atol=1e-4)
        assert abs(np.linalg.norm(cloud - store.centre[index], axis=1).max() - store.scale[index]) < 1e-3
        image = Image.open(io.BytesIO(build_sens.jpeg(seed))).convert("RGB")
        expected = MeanColourTeacher().targets([image])[0].numpy()
        np.testing.assert_allclose(store.targets[index], expected, atol=1e-3)


def test_few_valid_pixels_are_all_kept(root, tmp_path):
    store = _prepare(root, tmp_path / "store", points=16384)
    for index in range(9):
        seed = 100 * int(store.scans[index]) + int(store.frames[index])
        assert store.counts[index] == len(store.cloud(index)) == (build_sens.depth(seed) > 0).sum()
    assert store.points.shape[1] == store.counts.max()  # and no more room than they need


def test_the_result_depends_on_no_worker(root, tmp_path):
    one = _prepare(root, tmp_path / "one")
    two = _prepare(root, tmp_path / "two", workers=2)
    with ThreadPoolExecutor(3) as threads:
        three = _prepare(root, tmp_path / "threads", executor=threads)
    assert one.manifest_hash == two.manifest_hash == three.manifest_hash
    manifests = [json.dumps(store.manifest) + json.dumps(store.targets_manifest) for store in (one, two, three)]
    assert manifests[0] == manifests[1] == manifests[2]
    assert "/" not in manifests[0] and socket.gethostname() not in manifests[0]  # no path, no name of this machine
    other = _prepare(root, tmp_path / "three", seed=1)
    assert not np.array_equal(one.points, other.points)


def test_unusable_frames_are_skipped_and_listed(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", [SCANS[0]])
    frames = build_scannet.odd_frames()
    path = build_sens.write(root / "scans" / SCANS[0] / f"{SCANS[0]}.sens", [*frames, frames[0]])
    path.write_bytes(path.read_bytes()[: -len(frames[0])])
    store = _prepare(root, tmp_path / "store", every=1)
    assert store.frames.tolist() == [0, 4, 7]
    assert store.manifest["skipped_count"] == 6
    listed = {entry["frame"]: entry["why"] for entry in store.manifest["skipped"]}
    assert {entry["scan"] for entry in store.manifest["skipped"]} == {SCANS[0]}
    for frame, why in {1: "pose", 2: "0.0% valid", 3: "decompress", 5: "colour", 6: "2 bytes", 8: "are lost"}.items():
        assert why in listed[frame]


def test_a_second_run_does_nothing_and_an_interrupted_one_goes_on(root, tmp_path, monkeypatch):
    log, out = tmp_path / "log", tmp_path / "store"
    path = root / "scans" / SCANS[1] / f"{SCANS[1]}.sens"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(DataError, match=rf"{SCANS[1]}\.sens, byte"):
        _prepare(root, out, log)
    assert not (out / manifest.NAME).exists() and _calls(log) == [3]
    with pytest.raises(DataError, match="preparation did not finish"):
        FrameStore.open(out)
    path.write_bytes(whole)
    monkeypatch.setattr(manifest, "write", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        _prepare(root, out, log)
    monkeypatch.undo()
    with pytest.raises(DataError, match="preparation did not finish"):
        FrameStore.open(out)
    assert _calls(log) == [3, 3, 3]
    resumed = _prepare(root, out, log)
    assert _calls(log) == [3, 3, 3] and not (out / "parts").exists()
    assert _prepare(root, out, log).manifest_hash == resumed.manifest_hash and _calls(log) == [3, 3, 3]
    assert _prepare(root, tmp_path / "fresh").manifest_hash == resumed.manifest_hash


def _interrupt(*_):
    raise KeyboardInterrupt


def test_a_damaged_part_is_made_again(root, tmp_path, monkeypatch):
    out, log = tmp_path / "store", tmp_path / "log"
    monkeypatch.setattr("pointdistill.prepare.assemble_frames", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        _prepare(root, out, log)
    monkeypatch.undo()
    (targets,) = (out / "targets").glob("*/parts")
    for part in (out / "parts" / f"{SCANS[0]}.npz", targets / f"{SCANS[1]}.npz", targets / f"{SCANS[2]}.npz"):
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 255
        part.write_bytes(data)
    store = _prepare(root, out, log)
    assert _calls(log) == [3, 3, 3, 3, 3]  # what is left of a scan is kept: two had lost their targets, one its frames
    assert store.manifest_hash == _prepare(root, tmp_path / "fresh").manifest_hash


def test_a_recording_that_changed_is_read_again_or_refused(root, tmp_path, monkeypatch):
    """A truncated scan was prepared without its tail; a complete copy of it must not be taken for prepared."""
    out, log = tmp_path / "store", tmp_path / "log"
    path = root / "scans" / SCANS[1] / f"{SCANS[1]}.sens"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    monkeypatch.setattr("pointdistill.prepare.assemble_frames", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        _prepare(root, out, log, every=1)
    monkeypatch.undo()
    path.write_bytes(whole)
    store = _prepare(root, out, log, every=1)
    assert len(store) == 15
    assert len(_calls(log)) == 4  # the changed scan twice, the others once
    path.write_bytes(whole + b"\0")
    with pytest.raises(DataError, match=rf"prepared from other data: {SCANS[1]} has changed since"):
        _prepare(root, out, every=1)


def test_batches_of_the_teacher_never_cross_scans(root, tmp_path):
    log = tmp_path / "log"
    _prepare(root, tmp_path / "store", log, every=1)
    assert _calls(log) == [5, 5, 5]


def test_other_settings_are_refused(root, tmp_path):
    out = tmp_path / "store"
    before = _prepare(root, out).manifest_hash
    with pytest.raises(DataError, match=r"was prepared with every=2, points=64, not with every=1, points=32"):
        _prepare(root, out, every=1, points=32)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(DataError, match=r"not empty \(thesis\.tex\)"):
        _prepare(root, tmp_path / "other")
    assert FrameStore.open(out, verify=True).manifest_hash == before


def test_two_runs_on_one_store(root, tmp_path):
    with exclusive(tmp_path / "store"), pytest.raises(DataError, match="another run"):
        _prepare(root, tmp_path / "store")
    _prepare(root, tmp_path / "store")


def test_a_full_disk_is_said(root, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pointdistill.prepare.assemble_frames", full)
    with pytest.raises(DataError, match="the disk is full"):
        _prepare(root, tmp_path / "store")


def test_images_are_kept_small(root, tmp_path):
    store = _prepare(root, tmp_path / "store", keep_images=24)
    image = store.image(4)
    assert image.size == (32, 24)
    seed = 100 * int(store.scans[4]) + int(store.frames[4])
    original = Image.open(io.BytesIO(build_sens.jpeg(seed))).resize((32, 24), Image.Resampling.BICUBIC)
    difference = np.asarray(image.convert("L"), float) - np.asarray(original.convert("L"), float)
    assert np.abs(difference).mean() < 4
    with pytest.raises(DataError, match="holds no images"):
        _prepare(root, tmp_path / "without").image(0)


def test_no_usable_frame(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", [SCANS[0]])
    build_sens.write(root / "scans" / SCANS[0] / f"{SCANS[0]}.sens", build_scannet.odd_frames()[1:4])
    with pytest.raises(DataError, match="none of the 1 scans has a usable frame; the first: scene0000_00 frame 0"):
        _prepare(root, tmp_path / "store", every=1)


def test_every_25th_frame_by_default(tmp_path):
    """One scan at 30 Hz, as a scanner records: the frames kept lie 25 / 30 of a second apart on one path."""
    at_30_hz = ScanNetSettings((40, 30), (44, 33), frames=52, rate_hz=30.0, frames_only=True)
    write_scannet(tmp_path / "scannet", {"train": SEEDS["train"][:1]}, at_30_hz, workers=1)
    store = prepare_frames(tmp_path / "scannet", tmp_path / "store", factory(), points=64, workers=1)
    assert store.frames.tolist() == [0, 25, 50]
    with SensReader(tmp_path / "scannet" / "scans" / SCANS[0] / f"{SCANS[0]}.sens") as reader:
        poses = np.stack([reader.read(index).pose for index in (0, 25, 50)])
    np.testing.assert_allclose(store.poses, poses, atol=1e-5)
    steps = np.linalg.norm(np.diff(store.poses[:, :3, 3], axis=0), axis=1)
    assert (steps < 2 * SPEED * 25 / 30).all()


def test_unproject_by_hand():
    depth = np.zeros((16, 20), np.uint16)
    depth[3, 7] = 2000
    points = unproject(depth, np.flatnonzero(depth), build_sens.DEPTH_INTRINSICS, 1000.0)
    np.testing.assert_allclose(points, [[(7 - 9.5) / 20 * 2, (3 - 7.5) / 21 * 2, 2]], atol=1e-6)


def test_quantisation_is_finer_than_the_sensor():
    points = np.random.default_rng(0).uniform(-4, 4, (1000, 3)).astype(np.float32)
    points[:, 1] = 2.5  # a flat wall: no extent along y
    q = quantise(points)
    back = q["lower"] + (q["points"].astype(np.float32) + 32768) * q["step"]
    assert np.abs(back - points).max() < 8 / 65535


def test_what_a_killed_write_left_is_no_stranger(tmp_path):
    (tmp_path / ".settings.json.7.part").write_text("{")
    manifest.claim(tmp_path, {"every": 2})
    manifest.claim(tmp_path, {"every": 2})
    (tmp_path / "other" / "notes").mkdir(parents=True)
    with pytest.raises(DataError, match="notes"):
        manifest.claim(tmp_path / "other", {"every": 2})

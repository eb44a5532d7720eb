"""`pointdistill doctor`: what it says of whole, broken and unknown folders."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

import build_rgbd
import build_scannet
import build_sens
from fake_teacher import factory
from pointdistill import cli, manifest
from pointdistill.doctor.cost import bytes_a_frame
from pointdistill.prepare import prepare_frames, prepare_scenes
from pointdistill.teachers.small import PACKAGED
from test_prepare_rgbd import WRITERS

SCANS = ["scene0000_00", "scene0001_00", "scene0002_00"]
FEW = ("--points", 9)
"""As many vertices as the scans here have; one of their boxes is flat."""


@pytest.fixture
def solid(monkeypatch):
    """No flat box."""
    monkeypatch.setattr(build_scannet, "ALIGNED", build_scannet.ALIGNED + [[0, 0, 0.01 * (i == 7)] for i in range(9)])


def _doctor(capsys, *arguments) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    code = 0
    try:
        cli.main(["doctor", *(str(argument) for argument in arguments)])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    printed = capsys.readouterr()
    return code, printed.err if code == 2 else printed.out


def test_a_broken_scannet_folder(tmp_path, capsys, solid):
    root = build_scannet.write_data_set(tmp_path / "scannet", SCANS, frames=6)
    path = root / "scans" / SCANS[1] / f"{SCANS[1]}.sens"
    path.write_bytes(path.read_bytes()[: -8 - len(build_sens.good_frame(105)) - 5])  # IMU, the last frame, and more
    shutil.rmtree(root / "scans" / SCANS[2])
    code, said = _doctor(capsys, root, "--every", 2, *FEW)
    assert code == 1 and "ScanNetV2" in said
    assert "split train: 3 scans, 2 with their .sens" in said
    assert f"missing: .sens of 1 scans ({SCANS[2]}): ScanNet's downloader, --type .sens" in said
    assert f"_vh_clean_2.ply of 1 scans ({SCANS[2]})" in said
    assert f"{SCANS[1]}.sens: ends after frame 4 of 6" in said
    assert (
        "2 of 2 recordings open, 10 frames" in said and " 5 pairs at every 2 (train 5)" in said and "ms a pair" in said
    )
    path.write_bytes(b"\3" * 40)
    (root / "scannetv2_train.txt").write_text(f"{SCANS[0]}\n{SCANS[1]}\n")
    code, said = _doctor(capsys, root, *FEW)
    assert code == 0 and "1 of 2 recordings open, 6 frames" in said and "where 4 belongs" in said


def test_lost_tracking_costs_pairs(tmp_path, capsys, solid):
    root = build_scannet.write_data_set(tmp_path / "scannet", SCANS[:1])
    frames = [build_sens.good_frame(i) for i in range(6)]
    lost = build_scannet.odd_frames()[1]
    path = root / "scans" / SCANS[0] / f"{SCANS[0]}.sens"
    build_sens.write(path, [*frames[:4], lost, *frames[4:]])
    code, said = _doctor(capsys, root, "--every", 2, *FEW)
    assert (
        code == 0 and "7 frames" in said and " 3 pairs at every 2" in said and "tracking was lost in 1 frames" in said
    )
    build_sens.write(path, [lost])
    code, said = _doctor(capsys, root)
    assert code == 2 and "no recording with a usable frame at every 25; the first problem: " in said


def test_scenes_for_the_tasks_alone(tmp_path, capsys, solid):
    root = build_scannet.write_data_set(tmp_path / "scannet", SCANS)
    (root / "scannetv2_test.txt").write_text(f"{SCANS[2]}\n")
    (root / "scannetv2_train.txt").write_text(f"{SCANS[0]}\n{SCANS[1]}\n")
    for scan in SCANS[1:]:  # ScanNet hides the labels of its test scans
        (root / "scans" / scan / f"{scan}.aggregation.json").unlink()
    code, said = _doctor(capsys, root, *FEW)
    assert code == 1 and "split train: 2 scans, 0 with their .sens" in said and "nothing to pre-train on" in said
    assert "1 labelled scenes" in said and "1 scenes" in said and "label-filt" not in said
    assert said.count("missing: .aggregation.json of 1 scans (scene0001_00)") == 1 and "combined.tsv" not in said
    (root / "scannetv2-labels.combined.tsv").unlink()
    assert "missing, for labelled scenes only: scannetv2-labels.combined.tsv" in _doctor(capsys, root)[1]
    shutil.rmtree(root / "scans")
    code, said = _doctor(capsys, root)
    assert code == 2 and "split lists but none of their scans" in said and said.count("\n") == 1


@pytest.mark.parametrize("name", WRITERS)
def test_each_layout(tmp_path, capsys, name):
    written = WRITERS[name](tmp_path / "data" / name)
    count = len(written.metres)
    code, said = _doctor(capsys, tmp_path / "data", "--every", 1)
    assert code == 0 and f"1 of 1 recordings open, {count} frames" in said and f" {count} pairs at every 1" in said
    assert "no list of a split" in said
    assert ("nobody says which way is up" in said) == (name in ("seq-01", "bedroom"))


def test_splits_of_the_users(tmp_path, capsys):
    for number, name in enumerate(("a", "b")):
        build_rgbd.write_redwood(tmp_path / name, frames=3 + number)
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("c\n")
    code, said = _doctor(capsys, tmp_path, "--every", 2)
    assert code == 0 and "split train: 1 recordings" in said and "val.txt, line 1: there is no recording 'c'" in said
    assert " 4 pairs at every 2 (train 2, val 0)" in said


def test_files_and_poses_that_are_missing(tmp_path, capsys):
    written = build_rgbd.write_seven_scenes(tmp_path / "seq-01", frames=4)
    (written.folder / "frame-000001.pose.txt").unlink()
    (written.folder / "frame-000002.depth.png").unlink()
    _, said = _doctor(capsys, written.folder, "--every", 1)
    assert "1 frames without a pose are left out" in said and "frame-000002.depth.png: no such file" in said
    assert " 2 pairs at every 1" in said


def test_a_store_and_what_is_left_of_one(tmp_path, capsys):
    written = build_rgbd.write_redwood(tmp_path / "data", frames=5)
    store = prepare_frames(written.folder, tmp_path / "store", factory(), every=1, points=300, workers=1)
    code, said = _doctor(capsys, store.path)
    assert code == 0 and "5 frames of 1 recordings (redwood all)" in said and "targets of mean-colour-1" in said
    rows = [store.path / f"{name}.npy" for name in ("points", "poses", "counts", "lower", "colour_size")]
    assert all(row.is_file() for row in rows)
    arrays = [*store.path.glob("*.npy"), *store.path.glob("targets/*/*.npy")]
    assert sum(path.stat().st_size - 128 for path in arrays) == 5 * bytes_a_frame(300, (2, 3))
    data = bytearray((store.path / "points.npy").read_bytes())
    data[-1] ^= 255
    (store.path / "points.npy").write_bytes(data)
    code, said = _doctor(capsys, store.path)
    assert code == 2 and "differs from its sha256" in said and said.count("\n") == 1
    (store.path / manifest.NAME).unlink()
    assert "not finished: 0 of 1 recordings" in _doctor(capsys, store.path)[1]


def test_a_store_of_labelled_scenes(tmp_path, capsys, solid):
    root = build_scannet.write_data_set(tmp_path / "scannet", SCANS[:2])
    prepare_scenes(root, tmp_path / "store", ["train"], workers=1)
    code, said = _doctor(capsys, tmp_path / "store", *FEW)
    assert code == 0 and "a store of labelled scenes" in said and "split train: 2, all can be read" in said
    (tmp_path / "store" / f"{SCANS[1]}.npz").write_bytes(b"PK")
    code, said = _doctor(capsys, tmp_path / "store")
    assert code == 1 and f"{SCANS[1]}.npz: not a readable" in said and "split train: 2, 2 problems" in said
    assert f"{SCANS[0]}.npz, scene {SCANS[0]}: has only 9 vertices of 32" in said


def test_a_pretraining_run(tmp_path, capsys):
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {}, "identity": "a"}))
    assert "not finished, no checkpoint yet" in _doctor(capsys, tmp_path)[1]
    save_file({"a": np.zeros(3)}, tmp_path / "state.safetensors")
    assert "not finished, a checkpoint to go on from" in _doctor(capsys, tmp_path)[1]
    (tmp_path / "result.json").write_text(json.dumps({"steps": 7}))
    save_file({"a": np.zeros(3)}, tmp_path / "backbone.safetensors")
    code, said = _doctor(capsys, tmp_path)
    assert code == 2 and "method.safetensors" in said
    shutil.copy(tmp_path / "backbone.safetensors", tmp_path / "method.safetensors")
    code, said = _doctor(capsys, tmp_path)
    assert code == 0 and "whole: 7 steps" in said


def test_a_trained_teacher(tmp_path, capsys):
    code, said = _doctor(capsys, shutil.copytree(PACKAGED, tmp_path / "teacher"))
    assert code == 0 and "a trained teacher" in said and "whole: " in said


def test_nothing_known(tmp_path, capsys):
    code, said = _doctor(capsys, tmp_path)
    assert code == 2 and "no data set that is known" in said and said.count("\n") == 1
    code, said = _doctor(capsys, tmp_path / "nowhere")
    assert code == 2 and "no such folder" in said

"""The command line as a user meets it: one clear line and exit code 2 for what they can mend."""

import subprocess
import sys

import numpy as np
import pytest

from pointdistill import cli
from pointdistill.store import FrameStore
from pointdistill.world.scannet import ScanNetSettings, write_scannet
from pointdistill.world.seeds import SEEDS


def run(*arguments):
    """Run the command in this process; returns its exit code."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        return stopped.code
    return 0


def error_of(capsys, *arguments):
    """The single line a failing command prints."""
    assert run(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("pointdistill: error: ")
    return lines[0]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two recorded rooms in ScanNet's layout."""
    root = tmp_path_factory.mktemp("scannet")
    settings = ScanNetSettings((40, 30), (40, 30), frames=3, frames_only=True)
    write_scannet(root, {"train": SEEDS["train"][:2]}, settings, workers=1)
    return root


def test_missing_data_set(capsys, tmp_path):
    line = error_of(capsys, "prepare", tmp_path / "nowhere", tmp_path / "store")
    assert "nowhere" in line


def test_absent_split_list(capsys, tmp_path, scans):
    line = error_of(capsys, "prepare", scans, tmp_path / "store", "--split", "val")
    assert "scannetv2_val.txt" in line


def test_truncated_sens(capsys, tmp_path, scans):
    path = scans / "scans" / "scene0001_00" / "scene0001_00.sens"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    try:
        line = error_of(capsys, "prepare", scans, tmp_path / "store", "--every", "1", "--workers", "1")
    finally:
        path.write_bytes(whole)
    assert "scene0001_00.sens" in line
    assert "byte" in line


def test_wrong_number_of_columns(tmp_path):
    from pointdistill.datasets.modelnet40 import read_modelnet40
    from pointdistill.errors import DataError

    (tmp_path / "chair").mkdir()
    (tmp_path / "modelnet40_shape_names.txt").write_text("chair\n")
    (tmp_path / "modelnet40_train.txt").write_text("chair_0001\n")
    (tmp_path / "chair" / "chair_0001.txt").write_text("0,0,0,1,0,0\n0,0,1,0\n")
    with pytest.raises(DataError, match=r"chair_0001\.txt, line 2: .*column"):
        read_modelnet40(tmp_path, "train")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("quickstart --workers 0", "--workers 0"),
        ("world scannet OUT --count 0", "--count 0"),
        ("world scannet OUT --rate 0", "--rate 0"),
        ("prepare DATA OUT --every 0", "--every 0"),
        ("prepare DATA OUT --points 0", "--points 0"),
        ("prepare DATA OUT --workers -1", "--workers -1"),
        ("prepare DATA OUT --teacher OUT", "teacher.json"),
        ("pretrain quickstart --data S --heldout S --out OUT --epochs 0", "--epochs 0"),
        ("pretrain quickstart --data S --heldout S --out OUT --batch-size 0", "--batch-size 0"),
        ("pretrain quickstart --data S --heldout S --out OUT --seed -1", "--seed -1"),
        ("pretrain quickstart --data S --heldout S --out OUT --device abacus", "abacus"),
        ("pretrain quickstart --data S --heldout S --out OUT", "manifest.json"),
        ("teacher train OUT --seed -1", "--seed -1"),
        ("report OUT", "no such folder"),
    ],
)
def test_options_that_cannot_be(capsys, tmp_path, monkeypatch, scans, command, named):
    monkeypatch.chdir(tmp_path)
    places = {"OUT": tmp_path / "out", "DATA": scans, "S": tmp_path / "store"}
    assert named in error_of(capsys, *(places.get(word, word) for word in command.split()))


def test_held_out_targets_of_another_teacher(capsys, tmp_path, scans):
    from fake_teacher import factory
    from pointdistill.prepare import prepare_frames

    stores = [tmp_path / version for version in "ab"]
    for version, store in zip("ab", stores, strict=True):
        prepare_frames(scans, store, factory(version=version), every=1, points=64, workers=1)
    line = error_of(
        capsys, "pretrain", "quickstart", "--data", stores[0], "--heldout", stores[1], "--out", tmp_path / "run"
    )
    assert "same teacher" in line
    pretrain = ("pretrain", "quickstart", "--data", stores[0], "--heldout", stores[1], "--out", tmp_path / "run")
    assert "no targets of the teacher clip, only of mean-colour-1-" in error_of(capsys, *pretrain, "--teacher", "clip")


def test_output_folder_of_something_else(capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    line = error_of(capsys, "quickstart", "--fast", "--out", tmp_path)
    assert "thesis.txt" in line
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_output_folder_of_another_recipe(capsys, tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    assert "another recipe" in error_of(capsys, "quickstart", "--fast", "--out", tmp_path)


def test_store_of_another_teacher_is_not_mixed(capsys, tmp_path, scans):
    assert run("prepare", scans, tmp_path / "store", "--every", "1", "--points", "256", "--workers", "1") == 0
    line = error_of(capsys, "prepare", scans, tmp_path / "store", "--every", "2", "--points", "256", "--workers", "1")
    assert "every" in line


def test_papers_recipe_refuses_other_frames(capsys, tmp_path, scans):
    store, out = tmp_path / "store", tmp_path / "run"
    assert run("prepare", scans, store, "--every", "1", "--points", "256", "--workers", "1") == 0
    line = error_of(capsys, "pretrain", "paper", "--data", store, "--heldout", store, "--out", out)
    assert "every 1 instead of 25, 256 points" in line and "source" not in line
    assert not out.exists()


def test_help_names_the_arguments(capsys):
    for verb, arguments in {"prepare": "DATA OUT", "world": "} OUT", "teacher": "[IMAGES]", "report": "RUN"}.items():
        assert run(verb, "--help") == 0
        assert arguments in capsys.readouterr().out.splitlines()[0]


def test_prepare_takes_every_25th_frame_unless_told(capsys, tmp_path):
    settings = ScanNetSettings((40, 30), (40, 30), frames=51, rate_hz=30.0, frames_only=True)
    write_scannet(tmp_path / "scannet", {"train": SEEDS["train"][:1]}, settings, workers=1)
    assert run("prepare", tmp_path / "scannet", tmp_path / "store", "--points", "256", "--workers", "1") == 0
    store = FrameStore.open(tmp_path / "store")
    assert store.frames.tolist() == [0, 25, 50]
    moved = np.linalg.norm(np.diff(store.poses[:, :3, 3], axis=0), axis=1)
    assert (moved > 0).all()


def test_fast_and_thorough_exclude_each_other(capsys):
    assert "exclude each other" in error_of(capsys, "quickstart", "--fast", "--thorough")


def test_debug_shows_the_traceback(capsys, tmp_path):
    assert run("prepare", tmp_path / "nowhere", tmp_path / "store", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_unknown_verbs_and_options_leave_with_2(capsys):
    assert run("quickstrat") == 2
    assert run("quickstart", "--fats") == 2


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("pointdistill 0.")


def test_no_control_characters_outside_a_terminal(scans, tmp_path):
    command = [sys.executable, "-m", "pointdistill", "prepare", scans, tmp_path / "store", "--every", "1"]
    done = subprocess.run([*map(str, command), "--workers", "1"], capture_output=True, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"6 frames of 2 scans" in done.stdout

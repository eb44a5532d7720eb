"""Disks that fill up or close, files that may not grow, two runs at once: one clear line each, and nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import broken_disk
import build_labelled
import build_scannet
import fault_scenes
import killed
from fake_teacher import StallingTeacher, factory
from pointdistill.cli import main
from pointdistill.errors import DataError
from pointdistill.prepare import prepare_frames
from pointdistill.store import FrameStore

TESTS = Path(__file__).parent
SCANS = ["scene0000_00", "scene0001_00"]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts, limits and locks of Linux")


@pytest.fixture
def root(tmp_path):
    return build_scannet.write_data_set(tmp_path / "scannet", SCANS, frames=3)


def _play(scene, root, tmp_path):
    """What came of the runs of a scene; skipped where this user may not mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    done = subprocess.run(
        [*namespace, sys.executable, str(TESTS / "fault_scenes.py"), scene, str(root), str(disk)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])},
        capture_output=True,
        text=True,
    )
    if done.returncode == fault_scenes.NO_MOUNT or done.stderr.startswith("unshare:"):
        pytest.skip("this user may not mount")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_disk_that_is_full(root, tmp_path):
    whole = fault_scenes.prepare(root, tmp_path / "whole")
    *failed, last = _play("filling", root, tmp_path)
    files = [" ".join(run.pop("files")) for run in (*failed, last)]
    for stage in ("settings.json", "parts/scene0001_00.npz", ".npy.partial"):  # the disk's end met every stage
        assert any(stage in found for found in files[:-1]) and any(stage not in found for found in files[:-1])
    assert ".part" not in files[-1]
    for run in failed:
        (line,) = run["said"]
        assert run["code"] == 2 and run["store"] == "none"
        assert "store: the disk is full. Make room and run again; what is finished is kept." in line
    assert last == whole and whole["code"] == 0


def test_a_disk_that_is_read_only(root, tmp_path):
    whole = fault_scenes.prepare(root, tmp_path / "whole")
    begun, broken, half_done, finished, again = _play("closing", root, tmp_path)
    for run in (begun, half_done, again):
        assert run["code"] == 2 and "store: is read-only. Name a folder that you may write to." in run["said"][0]
        assert len(run["said"]) == 1
    assert broken["code"] == 2 and begun["store"] == half_done["store"] == "none"
    assert finished == whole
    assert again["store"] == whole["store"]  # to read from, a closed disk is good enough


def test_a_disk_that_vanishes(root, tmp_path):
    whole = fault_scenes.prepare(root, tmp_path / "whole", f"{fault_scenes.__file__}:MeanColourTeacher")
    taken, back, again = _play("vanishing", root, tmp_path)
    (line,) = taken["said"]
    assert taken["code"] == 2 and taken["store"] == "none" and set(taken["files"]) == {"scene0000_00.npz"}
    assert "store: is gone, or another folder has its name now. Bring its disk back and run again" in line
    assert back["code"] == again["code"] == 0 and back["store"] == again["store"] == whole["store"]


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_disk_that_breaks(verb, tmp_path, root, capsys):
    """At any of the calls that bring content to it; what it holds then is gone on from."""
    told = trained(verb, root, tmp_path)
    with broken_disk.breaking() as calls:
        main([*told, "--out", str(tmp_path / "whole")])
    expected = killed.content(tmp_path / "whole")
    assert len(calls) > 8
    for at in sorted({*range(0, len(calls), 4), len(calls) - 1}):
        out = tmp_path / f"broken{at}"
        capsys.readouterr()
        with broken_disk.breaking(at), pytest.raises(SystemExit, match="2"):
            main([*told, "--out", str(out)])
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{out.name}: its disk fails (Input/output error). See to the disk and run again" in line
        main([*told, "--out", str(out)])
        assert killed.content(out) == expected


def trained(verb, root, tmp_path):
    """A command of a second, its output folder left out."""
    if verb == "pretrain":
        main(["prepare", str(root), str(tmp_path / "store"), "--every", "1", "--points", "64", "--workers", "1"])
        return ["pretrain", "quickstart", "--data", str(tmp_path / "store"), "--epochs", "2", "--batch-size", "3"]
    objects = build_labelled.write_modelnet(tmp_path / "modelnet", per_class=2)
    main(["prepare", str(objects), str(tmp_path / "objects"), "--labels", "--workers", "1"])
    return ["finetune", "classification-small", "--data", str(tmp_path / "objects"), "--epochs", "2"]


def test_a_folder_below_a_file(root, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    run = fault_scenes.prepare(root, tmp_path / "notes.txt" / "store")
    (line,) = run["said"]
    assert run["code"] == 2 and "notes.txt" in line and "not a folder" in line
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_files_that_may_not_grow(root, tmp_path):
    import resource

    whole, out = fault_scenes.prepare(root, tmp_path / "whole"), tmp_path / "store"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (100, 1500):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            run = fault_scenes.prepare(root, out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert run["code"] == 2 and "store: a file may not grow so large" in run["said"][0] and run["store"] == "none"
    assert fault_scenes.prepare(root, out) == whole


def test_two_runs_at_once_and_one_that_is_killed(root, tmp_path):
    out, stalled = tmp_path / "store", tmp_path / "stalled"
    code = (
        "import sys\nfrom functools import partial\nfrom pathlib import Path\n"
        "from fake_teacher import StallingTeacher\n"
        "from pointdistill.prepare import prepare_frames\n"
        "root, out, stalled = map(Path, sys.argv[1:])\n"
        "prepare_frames(root, out, partial(StallingTeacher, stalled), every=1, points=64, workers=1)\n"
    )
    path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(out), str(stalled)], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        while not stalled.exists():
            assert first.poll() is None
            signal.sigtimedwait([], 0.05)
        run = fault_scenes.prepare(root, out)
        (line,) = run["said"]
        assert run["code"] == 2 and "store: another run is writing to it. Wait for it, or name another folder." in line
    finally:
        first.kill()
        first.wait()
    again = partial(StallingTeacher, stalled)
    store = prepare_frames(root, out, again, every=1, points=64, workers=1)
    fresh = prepare_frames(root, tmp_path / "fresh", factory(), every=1, points=64, workers=1)
    assert store.manifest_hash == fresh.manifest_hash
    with pytest.raises(DataError):
        FrameStore.open(tmp_path)

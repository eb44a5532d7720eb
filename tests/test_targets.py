"""Several teachers on one store: each has targets of its own, the frames are prepared once."""

import hashlib
import json

import numpy as np
import pytest

import build_scannet
import build_sens
from fake_teacher import MeanColourTeacher, factory
from pointdistill import targets
from pointdistill.errors import DataError, RecipeError
from pointdistill.prepare import prepare_frames
from pointdistill.pretraining import run_pretrain
from pointdistill.recipes.quickstart import quickstart
from pointdistill.store import FrameStore
from pointdistill.teacher_calls import TeacherSpec, ask

SCANS = ["scene0000_00", "scene0001_00", "scene0002_00"]
HASHES = {version: hashlib.sha256(version.encode()).hexdigest() for version in "ab"}
NAMES = {version: f"mean-colour-1-{HASHES[version][:12]}" for version in "ab"}


@pytest.fixture
def root(tmp_path):
    return build_scannet.write_data_set(tmp_path / "scannet", SCANS, frames=4)


def _prepare(root, out, version="a", log=None, **settings):
    return prepare_frames(root, out, factory(log, version), **{"every": 2, "points": 64, "workers": 1, **settings})


def _files(folder):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_another_teacher_adds_its_targets_and_touches_nothing(root, tmp_path):
    log, out = tmp_path / "log", tmp_path / "store"
    first = _prepare(root, out, "a", keep_images=16)
    before, hash_before = _files(out), first.manifest_hash
    second = _prepare(root, out, "b", log, keep_images=16)
    assert log.read_text().split() == ["2", "2", "2"]  # batches never cross scans, here neither
    after = _files(out)
    assert {path: after[path] for path in before} == before
    added = {str(path.relative_to(out)) for path in set(after) - set(before)}
    assert added == {f"targets/{NAMES['b']}/{name}" for name in ("manifest.json", "settings.json", "targets.npy")}
    assert second.teacher["weights_hash"] == HASHES["b"] and second.manifest_hash != hash_before
    reopened = FrameStore.open(out, NAMES["a"], verify=True)
    assert reopened.manifest_hash == hash_before == first.manifest_hash
    np.testing.assert_array_equal(reopened.points, second.points)
    assert _prepare(root, out, "b", log, keep_images=16).manifest_hash == second.manifest_hash
    assert len(log.read_text().split()) == 3


def test_the_order_of_teachers_changes_no_byte(root, tmp_path):
    for version in "ab":
        _prepare(root, tmp_path / "one", version)
    for version in "ba":
        _prepare(root, tmp_path / "two", version)
    for version in "ab":
        one, two = (FrameStore.open(tmp_path / folder, NAMES[version]) for folder in ("one", "two"))
        assert one.manifest_hash == two.manifest_hash


def test_a_store_of_several_teachers_asks_which(root, tmp_path):
    for version in "ab":
        _prepare(root, tmp_path / "store", version)
    with pytest.raises(DataError, match=rf"several teachers: .*{NAMES['b']}.*--teacher"):
        FrameStore.open(tmp_path / "store")
    with pytest.raises(DataError, match=f"several teachers that mean-colour-1 may mean: {NAMES['b']}, {NAMES['a']}"):
        FrameStore.open(tmp_path / "store", "mean-colour-1")
    with pytest.raises(DataError, match=f"no targets of the teacher clip, only of .*{NAMES['a']}"):
        FrameStore.open(tmp_path / "store", "clip")
    assert FrameStore.open(tmp_path / "store", NAMES["a"][:-8]).teacher["weights_hash"] == HASHES["a"]


def test_one_teacher_is_taken_by_any_name(root, tmp_path):
    _prepare(root, tmp_path / "store")
    for name in (None, "mean-colour-1", "mean", NAMES["a"]):
        assert FrameStore.open(tmp_path / "store", name).targets_name == NAMES["a"]
    assert targets.slug("Hub: openai/CLIP ViT-B/32") == "hub-openai-clip-vit-b-32"


def test_an_interrupted_teacher_goes_on_scan_by_scan(root, tmp_path):
    log, out = tmp_path / "log", tmp_path / "store"
    kept = _prepare(root, out, "a").manifest_hash
    path = root / "scans" / SCANS[1] / f"{SCANS[1]}.sens"
    whole = path.read_bytes()
    path.write_bytes(bytes(4) + whole[4:])
    with pytest.raises(DataError, match=rf"{SCANS[1]}\.sens, byte 0"):
        _prepare(root, out, "b", log)
    assert FrameStore.open(out).manifest_hash == kept  # unfinished targets are no choice
    path.write_bytes(whole)
    store = _prepare(root, out, "b", log)
    assert log.read_text().split() == ["2", "2", "2"]
    assert store.manifest_hash == _prepare(root, tmp_path / "fresh", "b").manifest_hash


def test_interrupted_between_frames_and_targets(root, tmp_path, monkeypatch):
    log, out = tmp_path / "log", tmp_path / "store"

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pointdistill.prepare.assemble_targets", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _prepare(root, out, "a", log)
    monkeypatch.undo()
    with pytest.raises(DataError, match="no finished targets of a teacher: preparation did not finish"):
        FrameStore.open(out)
    store = _prepare(root, out, "a", log)
    assert log.read_text().split() == ["2", "2", "2"] and not list(out.rglob("parts"))
    assert store.manifest_hash == _prepare(root, tmp_path / "fresh").manifest_hash


def test_targets_of_other_frames_are_refused(root, tmp_path):
    """A recording of the same size in which another frame is lost now."""
    out = tmp_path / "store"
    _prepare(root, out, "a")
    path = root / "scans" / SCANS[1] / f"{SCANS[1]}.sens"
    data = path.read_bytes()
    pose = build_sens.pose(102).tobytes()
    assert data.count(pose) == 1
    path.write_bytes(data.replace(pose, np.full((4, 4), np.nan, np.float32).tobytes()))
    with pytest.raises(DataError, match=rf"{SCANS[1]} has 1 usable frames now, 2 when it was prepared \(first: 2\)"):
        _prepare(root, out, "b")
    assert FrameStore.open(out).targets_name == NAMES["a"]


def test_targets_belong_to_the_frames_beside_them(root, tmp_path):
    a, b = (_prepare(root, tmp_path / name, seed=seed).path for name, seed in (("a", 0), ("b", 1)))
    (a / "targets").rename(tmp_path / "moved")
    (b / "targets").rename(a / "targets")
    with pytest.raises(DataError, match="holds targets of other frames"):
        FrameStore.open(a)


def test_damaged_targets_are_noticed(root, tmp_path):
    path = _prepare(root, tmp_path / "store").path / "targets" / NAMES["a"] / "targets.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    FrameStore.open(tmp_path / "store")
    with pytest.raises(DataError, match=r"targets\.npy: differs from its sha256"):
        FrameStore.open(tmp_path / "store", verify=True)


def test_a_store_of_an_older_version_is_refused(root, tmp_path):
    out = _prepare(root, tmp_path / "store").path
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**settings, "format": 1, "teacher": {"identity": "x"}}))
    with pytest.raises(DataError, match=r"prepared by another version \(format 1, this version has 2\)"):
        _prepare(root, out)


def test_pre_training_takes_the_teacher_it_is_told(root, tmp_path):
    recipe = quickstart("fast").pretrain
    for version in "ab":
        _prepare(root, tmp_path / "store", version)
    _prepare(root, tmp_path / "heldout", "a")
    with pytest.raises(DataError, match="several teachers"):
        run_pretrain(recipe, tmp_path / "store", tmp_path / "heldout", tmp_path / "run")
    with pytest.raises(RecipeError, match=f"are of {NAMES['a']}, those of .*store of {NAMES['b']}.*same teacher"):
        run_pretrain(recipe, tmp_path / "store", tmp_path / "heldout", tmp_path / "run", teacher=NAMES["b"])
    with pytest.raises(RecipeError, match="6 frames are fewer than one batch"):
        run_pretrain(recipe, tmp_path / "store", tmp_path / "heldout", tmp_path / "run", teacher=NAMES["a"])


def test_a_teacher_of_other_weights_in_a_worker_is_refused(tmp_path):
    spec = TeacherSpec.of(MeanColourTeacher(version="a"), factory(version="b"))
    with pytest.raises(DataError, match=f"a worker's teacher is mean-colour-1 {HASHES['b'][:8]}, not mean-colour-1"):
        ask(spec, [], tmp_path)

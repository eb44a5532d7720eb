import dataclasses
import json

import numpy as np
import pytest

import build_scannet
from pointdistill.datasets.modelnet40 import read_modelnet40
from pointdistill.datasets.scannet import read_scene
from pointdistill.datasets.shapenetpart import read_shapenetpart
from pointdistill.errors import DataError
from pointdistill.labelled import kind_of, open_labelled
from pointdistill.prepare import (
    open_objects,
    open_part_shapes,
    open_scenes,
    prepare_objects,
    prepare_part_shapes,
    prepare_scenes,
)
from test_cli import run


def _assert_same(a, b):
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
        else:
            assert left == right and type(left) is type(right)


@pytest.fixture
def scannet(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", ["scene0001_00", "scene0000_00"])
    build_scannet.write_scan(root, "scene0002_00")
    (root / "scannetv2_val.txt").write_text("scene0002_00\n")
    return root


def test_scenes_are_parsed_once(scannet, tmp_path, monkeypatch):
    out = tmp_path / "scenes"
    store = prepare_scenes(scannet, out, ("train",), workers=1)
    assert store.names("train") == ("scene0001_00", "scene0000_00")
    _assert_same(open_scenes(out, "train")[1], read_scene(scannet, "scene0000_00"))
    with pytest.raises(DataError, match="holds no split 'val', only train"):
        open_scenes(out, "val")
    prepare_scenes(scannet, out, ("val",), workers=1)
    monkeypatch.setattr("pointdistill.prepared_labels.read_scene", None)
    prepare_scenes(scannet, out, ("train", "val"), workers=1)
    assert [scene.name for scene in open_scenes(out, "val")] == ["scene0002_00"]


def test_an_interrupted_parsing_keeps_what_is_parsed(scannet, tmp_path, monkeypatch):
    from pointdistill import prepared_labels

    def interrupt(*arguments):
        raise KeyboardInterrupt

    out, read = tmp_path / "scenes", []
    monkeypatch.setattr(prepared_labels.manifest, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare_scenes(scannet, out, ("train",), workers=1)
    monkeypatch.undo()
    monkeypatch.setattr(prepared_labels, "read_scene", lambda root, scan, *more: read.append(scan))
    prepare_scenes(scannet, out, ("train",), workers=1)
    assert read == []
    assert len(open_scenes(out, "train")) == 2


def test_scenes_of_other_data_are_refused(scannet, tmp_path):
    prepare_scenes(scannet, tmp_path / "scenes", ("train",), workers=1)
    path = scannet / "scans/scene0000_00/scene0000_00.txt"
    path.write_text(path.read_text() + "more = 1\n")
    with pytest.raises(DataError, match="other data: scene0000_00 has changed"):
        prepare_scenes(scannet, tmp_path / "scenes", ("train",), workers=1)


def test_test_scans_may_have_hidden_labels(scannet, tmp_path):
    (scannet / "scannetv2_test.txt").write_text("scene0001_00\nscene0002_00\n")
    (scannet / "scans/scene0002_00/scene0002_00.aggregation.json").unlink()
    prepare_scenes(scannet, tmp_path / "scenes", ("test",), workers=1)
    shown, hidden = open_scenes(tmp_path / "scenes", "test")
    assert len(shown.boxes) == 2 and len(hidden.boxes) == 0 and not hidden.semantic.any()
    with pytest.raises(DataError, match=r"scene0002_00\.aggregation\.json: no such labels"):
        prepare_scenes(scannet, tmp_path / "other", ("val",), workers=1)


def test_unfinished_scenes_do_not_load(scannet, tmp_path):
    (scannet / "scans/scene0000_00/scene0000_00.txt").unlink()
    with pytest.raises(DataError, match=r"scene0000_00\.txt"):
        prepare_scenes(scannet, tmp_path / "scenes", ("train",), workers=1)
    with pytest.raises(DataError, match="did not finish"):
        open_scenes(tmp_path / "scenes", "train")


def test_objects(tmp_path):
    root, generator = tmp_path / "modelnet", np.random.default_rng(0)
    (root / "chair").mkdir(parents=True)
    for split in ("train", "test"):
        (root / f"modelnet40_{split}.txt").write_text("chair_0001\n")
    np.savetxt(root / "chair/chair_0001.txt", generator.uniform(-1, 1, (8, 6)), delimiter=",")
    prepare_objects(root, tmp_path / "objects", points=6)
    _assert_same(open_objects(tmp_path / "objects", "test"), read_modelnet40(root, "test", points=6))
    (root / "chair/chair_0001.txt").unlink()
    prepare_objects(root, tmp_path / "objects", points=6)  # nothing is read again
    with pytest.raises(DataError, match="points=6, not with points=5"):
        prepare_objects(root, tmp_path / "objects", points=5)
    with pytest.raises(DataError, match="store of parts"):
        open_part_shapes(tmp_path / "objects", "test")


def test_part_shapes(tmp_path):
    root, generator = tmp_path / "shapenet", np.random.default_rng(0)
    (root / "1").mkdir(parents=True)
    (root / "train_test_split").mkdir()
    (root / "synsetoffset2category.txt").write_text("lamp\t1\n")
    (root / "parts.json").write_text(json.dumps({"lamp": {"parts": {"0": "foot", "1": "shade"}}}))
    rows = np.column_stack([generator.uniform(-1, 1, (8, 6)), generator.integers(0, 2, 8)])
    np.savetxt(root / "1/a.txt", rows)
    (root / "train_test_split/shuffled_train_file_list.json").write_text('["shape_data/1/a"]')
    prepare_part_shapes(root, tmp_path / "parts", ("train",))
    _assert_same(open_part_shapes(tmp_path / "parts", "train"), read_shapenetpart(root, "train"))


def test_the_command_prepares_what_the_folder_is(scannet, tmp_path, capsys):
    assert run("prepare", scannet, tmp_path / "scenes", "--labels", "--workers", "1") == 0
    assert "scenes: scenes (train 2, val 1)" in capsys.readouterr().out
    _assert_same(open_scenes(tmp_path / "scenes", "val")[0], read_scene(scannet, "scene0002_00"))
    root = tmp_path / "modelnet"
    (root / "chair").mkdir(parents=True)
    for split in ("train", "val", "test"):
        (root / f"modelnet40_{split}.txt").write_text("chair_0001\n")
    (root / "modelnet40_shape_names.txt").write_text("chair\n")
    np.savetxt(root / "chair/chair_0001.txt", np.random.default_rng(0).uniform(-1, 1, (8, 6)), delimiter=",")
    assert run("prepare", root, tmp_path / "objects", "--labels", "--split", "train", "--split", "test") == 0
    assert "objects: objects (train 1, test 1)" in capsys.readouterr().out
    assert kind_of(tmp_path / "objects") == "objects"


def test_the_command_refuses_what_has_no_labels(scannet, tmp_path, capsys):
    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "recording.json").write_text("{}")
    for arguments, words in {
        ("prepare", recording, tmp_path / "a", "--labels"): "recording: is recording.json: holds no lists of labelled",
        ("prepare", scannet, tmp_path / "a", "--labels", "--split", "test"): "no list of the split 'test'. Take one of",
        ("prepare", scannet, tmp_path / "a", "--labels", "--teacher", "imagenet"): "--teacher belongs to recordings",
        (
            "prepare",
            scannet,
            tmp_path / "a",
            "--split",
            "val",
            "--split",
            "train",
        ): "several --split belong to --labels",
    }.items():
        assert run(*arguments) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_data_as_published_are_no_store(scannet, tmp_path):
    with pytest.raises(DataError, match=r"is ScanNetV2 as published.*pointdistill prepare .*scannet STORE --labels"):
        kind_of(scannet)
    with pytest.raises(DataError, match="did not finish"):
        kind_of(tmp_path / "nowhere")


def test_splits_together(scannet, tmp_path):
    prepare_scenes(scannet, tmp_path / "scenes", ("train", "val"), workers=1)
    for in_memory in (True, False):
        both = open_labelled(tmp_path / "scenes", "train+val", in_memory)
        assert [scene.name for scene in both] == ["scene0001_00", "scene0000_00", "scene0002_00"]
    with pytest.raises(DataError, match="holds no split 'test', only train, val"):
        open_labelled(tmp_path / "scenes", "train+test")


def test_part_shapes_together_are_filled_up(tmp_path):
    root, generator = tmp_path / "shapenet", np.random.default_rng(0)
    (root / "1").mkdir(parents=True)
    (root / "train_test_split").mkdir()
    (root / "synsetoffset2category.txt").write_text("lamp\t1\n")
    (root / "parts.json").write_text(json.dumps({"lamp": {"parts": {"0": "foot", "1": "shade"}}}))
    rows = {}
    for split, count in {"train": 5, "val": 8}.items():
        rows[split] = np.column_stack([generator.uniform(-1, 1, (count, 6)), generator.integers(0, 2, count)])
        np.savetxt(root / "1" / f"{split}.txt", rows[split])
        (root / f"train_test_split/shuffled_{split}_file_list.json").write_text(f'["shape_data/1/{split}"]')
    prepare_part_shapes(root, tmp_path / "parts", ("train", "val"))
    both = open_labelled(tmp_path / "parts", "train+val")
    _assert_same(both, read_shapenetpart(root, "trainval"))
    assert both.counts.tolist() == [5, 8] and both.parts[0, 5:].tolist() == rows["train"][:3, 6].tolist()

import json

import numpy as np
import pytest

import build_scannet
from pointdistill.datasets.scannet import (
    DETECTION_CLASSES,
    SEMANTIC_CLASSES,
    class_names,
    read_label_map,
    read_scene,
    read_split,
)
from pointdistill.datasets.scannet.layout import recordings
from pointdistill.errors import DataError

SCAN = "scene0001_00"


@pytest.fixture
def root(tmp_path):
    return build_scannet.write_data_set(tmp_path / "scannet", [SCAN])


def test_class_lists():
    assert [c.nyu40 for c in SEMANTIC_CLASSES] == [*range(1, 13), 14, 16, 24, 28, 33, 34, 36, 39]
    assert len(DETECTION_CLASSES) == 18
    assert {c.name for c in SEMANTIC_CLASSES} - {c.name for c in DETECTION_CLASSES} == {
        "wall",
        "floor",
        "other furniture",
    }


def test_scene_is_axis_aligned_and_labelled(root):
    scene = read_scene(root, SCAN)
    np.testing.assert_allclose(scene.points, build_scannet.ALIGNED, atol=1e-5)
    assert scene.colours[:, 0].tolist() == list(range(9))
    assert scene.semantic.tolist() == [2, 2, 2, 5, 5, 5, 14, 14, 0]
    assert scene.instance.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 0]


def test_classes_with_boxes_are_a_setting(root):
    scene = read_scene(root, SCAN, box_classes=[2, 5])
    assert scene.box_classes.tolist() == [2, 5]  # now the floor has one, and the desk has none
    assert class_names([2, 5, 39, 21]) == ("floor", "chair", "garbage bin", "21")


def test_boxes_surround_the_aligned_vertices(root):
    scene = read_scene(root, SCAN)
    assert scene.box_classes.tolist() == [5, 14]  # the floor has none
    np.testing.assert_allclose(scene.boxes[0], [1.25, 1.25, 0.6, 0.5, 0.5, 0.4, 0], atol=1e-5)
    np.testing.assert_allclose(scene.boxes[1], [0.3, 2.25, 0.7, 0.2, 0.5, 0, 0], atol=1e-5)


def test_without_alignment_vertices_stay(root):
    path = root / "scans" / SCAN / f"{SCAN}.txt"
    path.write_text("colorHeight = 48\n")
    scene = read_scene(root, SCAN, labelled=False)
    inverse = np.linalg.inv(build_scannet.ALIGNMENT)
    np.testing.assert_allclose(scene.points, build_scannet.ALIGNED @ inverse[:3, :3].T + inverse[:3, 3], atol=1e-5)
    assert not scene.semantic.any() and len(scene.boxes) == 0


def test_mesh_and_labels_that_do_not_belong_together(root):
    path = root / "scans" / SCAN / f"{SCAN}_vh_clean_2.0.010000.segs.json"
    path.write_text(json.dumps({"segIndices": [0, 1]}))
    with pytest.raises(DataError, match=r"segs\.json: has 2 labels for the 9 vertices of .*_vh_clean_2\.ply"):
        read_scene(root, SCAN)


@pytest.mark.parametrize("name", ["_vh_clean_2.ply", ".txt", ".aggregation.json", "_vh_clean_2.0.010000.segs.json"])
def test_missing_and_damaged_files_are_named(root, name):
    path = root / "scans" / SCAN / f"{SCAN}{name}"
    path.write_text("axisAlignment = 1 2 3\n")
    with pytest.raises(DataError, match=path.name):
        read_scene(root, SCAN)
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        read_scene(root, SCAN)


def test_unknown_label(root):
    (root / "scannetv2-labels.combined.tsv").write_text(build_scannet.TABLE.replace("office chair", "stool"))
    with pytest.raises(DataError, match="object 2: label 'office chair' is not in"):
        read_scene(root, SCAN)


def test_label_table(root):
    path = root / "scannetv2-labels.combined.tsv"
    assert read_label_map(path) == {"floor": 2, "office chair": 5, "desk": 14}
    path.write_text(build_scannet.TABLE.replace("\t14", "\tdesk"))
    with pytest.raises(DataError, match="line 4"):
        read_label_map(path)
    path.write_text("id\tcategory\n")
    with pytest.raises(DataError, match="nyu40id, raw_category"):
        read_label_map(path)


@pytest.mark.parametrize("folder", [".", "Tasks/Benchmark", "meta_data"])
def test_split_lists_are_found_where_people_keep_them(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "scannetv2_val.txt").write_text("scene0011_00\nscene0011_01\n")
    assert read_split(tmp_path, "val") == ["scene0011_00", "scene0011_01"]


def test_what_is_missing_is_said_with_a_remedy(root, tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such ScanNet folder\. .*scan-net\.org.*pointdistill world"):
        read_split(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match=r"holds no scannetv2_val\.txt"):
        read_split(root, "val")
    with pytest.raises(DataError, match=r"scene0001_00\.sens: no such recording"):
        recordings(root, "train")
    (root / "scannetv2_train.txt").write_text("scene0009_00\n")
    with pytest.raises(DataError, match="no scan scene0009_00"):
        recordings(root, "train")

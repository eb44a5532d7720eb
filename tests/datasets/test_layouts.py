"""What a folder is, and which recordings a split has."""

import pytest

import build_rgbd
import build_scannet
from pointdistill.datasets.layouts import layout_of, select
from pointdistill.errors import DataError

SCANS = ["scene0000_00", "scene0001_00"]


def _names(root, split):
    return [recording.name for recording in select(root, split).recordings]


def test_labelled_data_and_unknown_folders_are_told_apart(tmp_path):
    marks = {
        "modelnet40": "modelnet40_train.txt",
        "shapenetpart": "synsetoffset2category.txt",
        "captions": "captions.jsonl",
    }
    for name, mark in marks.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / mark).touch()
        assert layout_of(tmp_path / name).name == name
        with pytest.raises(DataError, match="no RGB-D recordings"):
            select(tmp_path / name)
    with pytest.raises(DataError, match=r"nothing: no such folder"):
        layout_of(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"captions\.jsonl: is a file, not a folder"):
        layout_of(tmp_path / "captions" / "captions.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no data set.*ScanNetV2: scannetv2_SPLIT\.txt.*7-Scenes: frame-XXXXXX"):
        layout_of(tmp_path / "empty")


def test_scannet_by_its_lists_or_all(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", SCANS, frames=1)
    (root / "scannetv2_train.txt").write_text(f"{SCANS[1]}\n")
    assert layout_of(root).name == "scannet"
    assert _names(root, "train") == SCANS[1:] and _names(root, "all") == SCANS
    with pytest.raises(DataError, match=r"scannetv2_val\.txt"):
        select(root, "val")
    (root / "scannetv2_train.txt").unlink()
    assert _names(root, "all") == SCANS
    with pytest.raises(DataError, match=r"scannetv2_train\.txt"):  # an official split is never invented
        select(root, "train")


def test_a_folder_named_scans_is_not_always_scannet(tmp_path):
    build_rgbd.write_redwood(tmp_path / "mine" / "scans" / "kitchen", frames=1)
    assert layout_of(tmp_path / "mine").name == "redwood" and _names(tmp_path / "mine", "all") == ["scans_kitchen"]
    build_scannet.write_scan(tmp_path / "downloaded", SCANS[0])  # a mesh without lists
    assert layout_of(tmp_path / "downloaded").name == layout_of(tmp_path / "downloaded" / "scans").name == "scannet"


def test_7_scenes_by_its_own_lists(tmp_path):
    for scene in ("chess", "fire"):
        for sequence in (1, 2, 3):
            build_rgbd.write_seven_scenes(tmp_path / "7" / scene / f"seq-{sequence:02d}", frames=1)
        (tmp_path / "7" / scene / "TrainSplit.txt").write_text("sequence1\nsequence3 \n")
        (tmp_path / "7" / scene / "TestSplit.txt").write_text("sequence2\n")
    assert layout_of(tmp_path / "7").name == layout_of(tmp_path / "7" / "fire").name == "7-scenes"
    assert _names(tmp_path / "7" / "fire", "train") == ["seq-01", "seq-03"]
    assert _names(tmp_path / "7", "train") == [f"{scene}_seq-{n}" for scene in ("chess", "fire") for n in ("01", "03")]
    assert _names(tmp_path / "7", "test") == ["chess_seq-02", "fire_seq-02"] and len(_names(tmp_path / "7", "all")) == 6
    with pytest.raises(DataError, match=r"no list of the split 'val'.*--split all"):
        select(tmp_path / "7", "val")
    (tmp_path / "7" / "fire" / "TestSplit.txt").unlink()
    with pytest.raises(DataError, match=r"fire/TestSplit\.txt: no such list, but other scenes have theirs"):
        select(tmp_path / "7", "test")
    (tmp_path / "7" / "fire" / "TrainSplit.txt").write_text("sequence9\n")
    with pytest.raises(DataError, match=r"holds no seq-09, which TrainSplit\.txt names"):
        select(tmp_path / "7", "train")


def test_a_folder_of_recordings_by_lists_of_the_users(tmp_path):
    for number, name in enumerate(("a", "b/one", "b/two")):
        build_rgbd.write_redwood(tmp_path / "mine" / name, frames=1, first=number)
    (tmp_path / "mine" / "notes").mkdir()
    whole = select(tmp_path / "mine")
    assert (whole.layout.name, whole.split) == ("redwood", "all") and "all 3 recordings" in (whole.note or "")
    assert [recording.name for recording in whole.recordings] == ["a", "b_one", "b_two"]
    (tmp_path / "mine" / "val.txt").write_text("b/two\n\n")
    chosen = select(tmp_path / "mine", "val")
    assert [recording.name for recording in chosen.recordings] == ["b_two"] and chosen.note is None
    with pytest.raises(DataError, match=r"no list of the split 'train'.*train\.txt"):  # not all: val would be in it
        select(tmp_path / "mine")
    (tmp_path / "mine" / "train.txt").write_text("a\nb_one\nc\n")
    with pytest.raises(DataError, match=r"train\.txt, line 3: there is no recording 'c'.*a, b_one, b_two"):
        select(tmp_path / "mine")
    (tmp_path / "mine" / "b_one").mkdir()
    build_rgbd.write_redwood(tmp_path / "mine" / "b_one", frames=1)
    with pytest.raises(DataError, match="would have the name of"):
        select(tmp_path / "mine", "all")


def test_one_recording_is_a_data_set(tmp_path):
    written = build_rgbd.write_plain(tmp_path / "kitchen", frames=1)
    assert _names(written.folder, "train") == _names(written.folder, "all") == ["kitchen"]

"""ScanNet scans of the embedded world, checked against the formats' descriptions with plain libraries."""

import csv
import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from pointdistill.datasets.scannet.scenes import read_scene
from pointdistill.datasets.scannet.sens import SensReader
from pointdistill.errors import DataError
from pointdistill.seeding import numpy_generator
from pointdistill.world import scannet
from pointdistill.world.cameras import default_rig, walk
from pointdistill.world.captioned import write_captioned_images
from pointdistill.world.label_table import COLUMNS, LABELS
from pointdistill.world.recall import caption_of
from pointdistill.world.render import record
from pointdistill.world.rooms import make_room
from pointdistill.world.scannet import ScanNetSettings, scan_placement, write_scan, write_scannet

VOXEL = 0.06
SETTINGS = ScanNetSettings(colour_size=(48, 36), depth_size=(40, 30), frames=12, voxel=VOXEL)
NAME = "scene0000_00"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannet")
    write_scannet(root, {"train": [7], "val": [8]}, SETTINGS, workers=1)
    return root


def _info(folder: Path) -> dict[str, str]:
    return dict(line.split(" = ") for line in (folder / f"{folder.name}.txt").read_text().splitlines())


def _vertices(folder: Path, kind: str = "_vh_clean_2.ply") -> tuple[np.ndarray, PlyData]:
    ply = PlyData.read(folder / f"{folder.name}{kind}")
    return np.stack([ply["vertex"][axis] for axis in "xyz"], axis=1), ply


def test_layout_of_the_root(root: Path):
    assert (root / "scannetv2_train.txt").read_text() == "scene0000_00\n"
    assert (root / "scannetv2_val.txt").read_text() == "scene0001_00\n"
    suffixes = (".sens", ".txt", ".aggregation.json", "_vh_clean_2.ply", "_vh_clean_2.labels.ply")
    suffixes += ("_vh_clean_2.0.010000.segs.json", "_2d-label-filt.zip", "_2d-instance-filt.zip")
    for scan in ("scene0000_00", "scene0001_00"):
        files = {path.name for path in (root / "scans" / scan).iterdir()}
        assert files == {scan + suffix for suffix in suffixes}


def test_label_table_has_the_official_columns_and_unique_names(root: Path):
    with (root / "scannetv2-labels.combined.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS
    raw = {row["raw_category"]: int(row["nyu40id"]) for row in rows}
    assert len(raw) == len(rows) == len(LABELS)
    assert raw["trash can"] == 39 and raw["office chair"] == 5 and raw["couch"] == 6 and raw["kitchen cabinet"] == 3
    assert any(row["id"] != row["nyu40id"] for row in rows)


def test_info_file(root: Path):
    info = _info(root / "scans" / NAME)
    assert (info["colorWidth"], info["colorHeight"], info["depthWidth"], info["depthHeight"]) == (
        "48",
        "36",
        "40",
        "30",
    )
    assert info["numColorFrames"] == info["numDepthFrames"] == "12"
    extrinsics = np.array(info["colorToDepthExtrinsics"].split(), dtype=float).reshape(4, 4)
    assert 0.01 < np.linalg.norm(extrinsics[:3, 3]) < 0.1


def test_alignment_is_a_real_turn_that_straightens_the_room(root: Path):
    folder = root / "scans" / NAME
    align = np.array(_info(folder)["axisAlignment"].split(), dtype=float).reshape(4, 4)
    np.testing.assert_allclose(align @ scan_placement(7), np.eye(4), atol=1e-5)
    assert 10 <= abs(np.degrees(np.arctan2(align[1, 0], align[0, 0]))) <= 80
    points, ply = _vertices(folder, "_vh_clean_2.labels.ply")
    walls = points[ply["vertex"]["label"] == 1]
    half = np.asarray(make_room(7).size)[:2] / 2

    def on_a_wall(places: np.ndarray) -> float:
        return (np.abs(np.abs(places[:, :2]) - half).min(axis=1) < VOXEL).mean()

    assert on_a_wall(walls @ align[:3, :3].T + align[:3, 3]) > 0.95
    assert on_a_wall(walls) < 0.5


def test_segments_never_cross_objects_and_groups_agree_with_the_labels(root: Path):
    folder = root / "scans" / NAME
    segments = json.loads((folder / f"{NAME}_vh_clean_2.0.010000.segs.json").read_text())
    groups = json.loads((folder / f"{NAME}.aggregation.json").read_text())["segGroups"]
    of_vertex = np.array(segments["segIndices"])
    _, ply = _vertices(folder, "_vh_clean_2.labels.ply")
    label = ply["vertex"]["label"]
    assert len(of_vertex) == len(label)
    nyu40 = {row.raw_category: row.nyu40 for row in LABELS}
    taken: set[int] = set()
    for group in groups:
        assert group["id"] == group["objectId"]
        assert not taken & set(group["segments"])
        taken |= set(group["segments"])
        own = np.isin(of_vertex, group["segments"])
        assert own.any() and set(label[own]) == {nyu40[group["label"]]}
    assert (label[~np.isin(of_vertex, list(taken))] == 0).all()
    names = [group["label"] for group in groups]
    assert names.count("wall") == names.count("floor") == 1 and len(names) >= 4


def test_objects_lie_where_the_room_has_them(root: Path):
    folder, room = root / "scans" / NAME, make_room(7)
    segments = np.array(json.loads((folder / f"{NAME}_vh_clean_2.0.010000.segs.json").read_text())["segIndices"])
    groups = json.loads((folder / f"{NAME}.aggregation.json").read_text())["segGroups"]
    align = np.array(_info(folder)["axisAlignment"].split(), dtype=float).reshape(4, 4)
    points = _vertices(folder)[0] @ align[:3, :3].T + align[:3, 3]
    things = sorted(room.instances, key=lambda thing: thing.id)
    outside = []
    for group in groups:
        if group["objectId"] < len(things):
            thing = things[group["objectId"]]
            own = points[np.isin(segments, group["segments"])]
            off = np.abs(own - np.asarray(thing.centre)) - np.asarray(thing.size) / 2
            outside.append((off.max(axis=1) > 0.12).mean())
    assert outside and np.median(outside) < 0.05


def test_label_and_instance_images(root: Path):
    folder = root / "scans" / NAME
    groups = json.loads((folder / f"{NAME}.aggregation.json").read_text())["segGroups"]
    with (
        zipfile.ZipFile(folder / f"{NAME}_2d-label-filt.zip") as labels,
        zipfile.ZipFile(folder / f"{NAME}_2d-instance-filt.zip") as instances,
    ):
        assert labels.namelist() == [f"label-filt/{i}.png" for i in range(12)]
        assert instances.namelist() == [f"instance-filt/{i}.png" for i in range(12)]
        label = np.asarray(Image.open(io.BytesIO(labels.read("label-filt/0.png"))))
        instance = np.asarray(Image.open(io.BytesIO(instances.read("instance-filt/0.png"))))
    assert label.dtype == np.uint16 and instance.dtype == np.uint8 and label.shape == instance.shape == (36, 48)
    raw = {row.id: row.raw_category for row in LABELS}
    for group in groups:
        seen = instance == group["objectId"] + 1
        assert all(raw[int(i)] == group["label"] for i in np.unique(label[seen]))


def test_same_seed_same_bytes_whoever_writes(root: Path, tmp_path: Path):
    folder = write_scan(tmp_path, NAME, 7, SETTINGS)
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (root / "scans" / NAME / path.name).read_bytes(), path.name


def test_restart_keeps_complete_scans_and_redoes_broken_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings, splits = replace(SETTINGS, frames_only=True, frames=3), {"train": [7, 8]}
    real = scannet.write_sens

    def breaks_in_the_second(path: Path, *rest: object) -> int:
        if "scene0001" in path.name:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        return real(path, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(scannet, "write_sens", breaks_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_scannet(tmp_path, splits, settings, workers=1)
    scans = tmp_path / "scans"
    assert (scans / "scene0000_00").is_dir() and not (scans / "scene0001_00").exists()
    assert not (tmp_path / "scannetv2_train.txt").exists()
    os.utime(scans / "scene0000_00" / "scene0000_00.sens", ns=(1, 1))
    monkeypatch.setattr(scannet, "write_sens", real)
    write_scannet(tmp_path, splits, settings, workers=1)
    assert (scans / "scene0000_00" / "scene0000_00.sens").stat().st_mtime_ns == 1
    assert {path.name for path in scans.iterdir()} == {"scene0000_00", "scene0001_00"}
    assert {path.suffix for path in (scans / "scene0001_00").iterdir()} == {".sens", ".txt"}


def test_other_settings_in_the_same_folder_are_refused(root: Path):
    with pytest.raises(DataError, match="other settings"):
        write_scannet(root, {"train": [7], "val": [8]}, replace(SETTINGS, frames=13), workers=1)
    with pytest.raises(DataError, match="other settings"):
        write_scannet(root, {"train": [7], "val": [9]}, SETTINGS, workers=1)


def test_what_a_frame_shows_can_be_told_again(root: Path):
    frame = record(
        make_room(7),
        default_rig(SETTINGS.colour_size, SETTINGS.depth_size),
        walk(make_room(7), 7, SETTINGS.frames, SETTINGS.rate_hz)[5],
        numpy_generator(7, "frame", 5),
    )
    assert caption_of(root, NAME, 5) == frame.caption


def test_the_loaders_read_what_was_written(root: Path):
    scene, room = read_scene(root, NAME), make_room(7)
    assert scene.points.min() > -4 and set(np.unique(scene.semantic)) >= {1, 2}
    true = {thing.id: (thing.nyu40, np.asarray(thing.centre), np.asarray(thing.size)) for thing in room.instances}
    for box, nyu40 in zip(scene.boxes, scene.box_classes, strict=True):
        inside = [
            (np.abs(box[:3] - centre) + box[3:6] / 2 <= size / 2 + 0.15).all()
            for own, centre, size in true.values()
            if own == nyu40
        ]
        assert any(inside), "each box lies within a true thing of its class"
    with SensReader(root / "scans" / NAME / f"{NAME}.sens") as reader:
        assert reader.frame_count == 12 and reader.depth_size == (40, 30) and reader.colour_size == (48, 36)
        frame = reader.read(3)
    expected = scan_placement(7) @ walk(room, 7, 12, 1.0)[3]
    np.testing.assert_allclose(frame.pose, expected, atol=1e-5)


def test_captioned_images(tmp_path: Path):
    write_captioned_images(tmp_path, [3, 4], 2, (48, 36), workers=1)
    captions = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text().splitlines()]
    truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in captions] == [row["file_name"] for row in truth]
    assert len(captions) == 4 and all(row["text"] for row in captions)
    for row in captions:
        assert Image.open(tmp_path / row["file_name"]).size == (48, 36)
    before = (tmp_path / "captions.jsonl").read_bytes()
    (tmp_path / "captions.jsonl").unlink()
    write_captioned_images(tmp_path, [3, 4], 2, (48, 36), workers=1)
    assert (tmp_path / "captions.jsonl").read_bytes() == before
    with pytest.raises(DataError, match="other settings"):
        write_captioned_images(tmp_path, [3, 4], 3, (48, 36), workers=1)

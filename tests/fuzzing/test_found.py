"""What malformed files have shown, one by one: each once ended in a foreign error, or asked for more than it holds."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch

import build_labelled
import build_objects
import build_rgbd
import build_scannet
from pointdistill import create_backbone
from pointdistill.applications.clouds import read_cloud
from pointdistill.datasets import layouts
from pointdistill.datasets.modelnet40 import read_modelnet40
from pointdistill.datasets.scannet import read_scene, read_split
from pointdistill.errors import CheckpointError, DataError
from pointdistill.files import is_below, is_plain, read_arrays, read_json, write_arrays
from pointdistill.io.off import read_off
from pointdistill.io.ply import read_vertices
from pointdistill.io.pth import read_checkpoint
from pointdistill.labelled import open_labelled
from pointdistill.models.checkpoints import load_backbone, save_backbone
from pointdistill.prepared_labels import prepare_labels
from pointdistill.tensors import load_tensors, save_tensors


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", "a/../../x", "a\0b"])
def test_names_that_lead_elsewhere(name):
    assert not is_below(name) and not is_plain(name)


def test_names_that_do_not():
    assert is_below("rgb/1.png") and not is_plain("rgb/1.png") and is_plain("scene0000_00") and not is_plain("x" * 300)


@pytest.fixture
def scan(tmp_path):
    root = build_scannet.write_data_set(tmp_path, ["scene0000_00"])
    return root, root / "scans" / "scene0000_00"


def test_scans_of_other_places(scan):
    root, _ = scan
    for name in ("../../secret", "/tmp", "a/b"):
        (root / "scannetv2_train.txt").write_text(f"scene0000_00\n{name}\n")
        with pytest.raises(DataError, match=r"scannetv2_train\.txt: .* is no name of a scan"):
            read_split(root, "train")


def test_text_in_no_encoding(scan):
    root, folder = scan
    for path in (
        folder / "scene0000_00.txt",
        folder / "scene0000_00.aggregation.json",
        root / "scannetv2-labels.combined.tsv",
    ):
        content = path.read_bytes()
        path.write_bytes(b"\xff" + content)
        with pytest.raises(DataError, match=rf"{path.name}: not a readable text"):
            read_scene(root, "scene0000_00")
        path.write_bytes(content)
    (root / "scannetv2_train.txt").write_bytes(b"scene\xe9")
    with pytest.raises(DataError, match="not a readable text"):
        read_split(root, "train")


@pytest.mark.parametrize("ids", [[10**30], ["a"], [[1], [2, 3]], None])
def test_segments_that_are_no_numbers(scan, ids):
    root, folder = scan
    (folder / "scene0000_00_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": ids}))
    with pytest.raises(DataError, match=r"segs\.json: segIndices are not whole numbers"):
        read_scene(root, "scene0000_00")


@pytest.mark.parametrize(
    "change", [{"objectId": 2**40}, {"objectId": -5}, {"segments": [2**70]}, {"segments": [[1], []]}]
)
def test_objects_that_are_none(scan, change):
    root, folder = scan
    groups = [build_scannet.GROUPS[0] | change]
    (folder / "scene0000_00.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    with pytest.raises(DataError, match=r"aggregation\.json: a segGroup lacks objectId, label or segments"):
        read_scene(root, "scene0000_00")


def test_meshes_that_declare_more_than_they_hold(tmp_path):
    header = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nend_header\n"
    for count in (10**6, 10**40):
        (tmp_path / "a.ply").write_text(header.format(count))
        with pytest.raises(DataError, match=r"a\.ply: declares .* of 'vertex' in \d+ bytes"):
            read_vertices(tmp_path / "a.ply")


def test_corners_that_no_integer_holds(tmp_path):
    text = build_objects.box_off(polygons=True).splitlines()
    text[-1] = f"4 0 1 2 {10**30}"
    (tmp_path / "a.off").write_text("\n".join(text))
    with pytest.raises(DataError, match=r"a\.off, line \d+: a corner is none of the"):
        read_off(tmp_path / "a.off")


@pytest.mark.parametrize(
    "header", ["{'descr': '<f4', 'fortran_order': False, 'shape': (3000000000, 3), }", "{'descr': (((", "{}"]
)
def test_arrays_whose_headers_are_wrong(tmp_path, header):
    np.save(tmp_path / "a.npy", np.zeros((4, 3), np.float32))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:10] + header.ljust(117).encode() + b"\n" + content[128:])
    with pytest.raises(DataError, match=r"a\.npy: not a readable \.npy"):
        read_cloud(tmp_path / "a.npy")


def test_lists_of_shapes_elsewhere(tmp_path):
    build_objects.write_text_release(tmp_path)
    for name in ("../../etc/passwd_1", "x" * 5000):
        (tmp_path / "modelnet40_shape_names.txt").write_text(f"chair\n{name}\n")
        with pytest.raises(DataError, match="is no name below its folder"):
            read_modelnet40(tmp_path, "train")


@pytest.mark.parametrize("splits", [None, [1], "train", 5])
def test_stores_of_labels_without_splits(tmp_path, splits):
    root = build_labelled.write_modelnet(tmp_path / "modelnet", per_class=1)
    prepare_labels(root, tmp_path / "store")
    path = tmp_path / "store" / "manifest.json"
    content = {**json.loads(path.read_text()), "splits": splits}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(DataError, match=r"manifest\.json: is not what a preparation writes"):
        open_labelled(tmp_path / "store", "train")


def test_files_of_arrays_that_are_something_else(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("notes.txt", "words")
    for name in "ab":
        with pytest.raises(DataError, match=rf"{name}\.npz: not a readable \.npz"):
            read_arrays(tmp_path / f"{name}.npz", "Write it again.")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"deep\.json: is damaged"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize("damage", ["header", "deflate", "encrypted", "method"])
def test_arrays_that_are_none(tmp_path, damage):
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.zeros((30, 3), np.float32)}, compress=damage == "deflate")
    content = bytearray(path.read_bytes())
    if damage == "header":
        content = content.replace(b"'<f4'", b"',f4'")
        content = _with_checksum(content)
    elif damage == "deflate":
        content[60:64] = b"\xff\xff\xff\xff"
    for signature, flags, method in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        at = content.index(signature)
        if damage == "encrypted":
            content[at + flags] |= 1
        elif damage == "method":
            content[at + method] = 99
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: not a readable \.npz"):
        read_arrays(path, "Write it again.")


def _with_checksum(content: bytearray) -> bytearray:
    """A zip file of one stored member with that member's right CRC-32."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        member = file.infolist()[0]
    name, extra = struct.unpack_from("<HH", content, member.header_offset + 26)
    begins = member.header_offset + 30 + name + extra
    right = struct.pack("<I", zlib.crc32(content[begins : begins + member.file_size]))
    return content.replace(struct.pack("<I", member.CRC), right)


def test_images_elsewhere(tmp_path):
    build_rgbd.write_tum(tmp_path / "tum")
    for name in ("../../secret.png", "/etc/passwd", "a\0.png"):
        (tmp_path / "tum" / "rgb.txt").write_text(f"0.1 {name}\n")
        with pytest.raises(DataError, match=r"rgb\.txt, line 1: names .*, no file below its folder"):
            for recording in layouts.select(tmp_path / "tum", "all").recordings:
                recording.open()


@pytest.mark.parametrize("cut", range(40, 400, 30))
def test_pickles_that_are_cut_or_changed(tmp_path, cut):
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content[:cut] + b"0" + content[cut + 2 :])
    try:
        read_checkpoint(tmp_path / "a.pth", "Fetch it again")
    except DataError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "change", [{"depth": 10**9}, {"width": 3 * 2**29}, {"width": "wide"}, {"heads": 0}, {"heads": 5}]
)
def test_sizes_out_of_all_proportion(tmp_path, change):
    save_backbone(create_backbone("vit_nano", width=24, depth=1, heads=2), tmp_path, {})
    path = tmp_path / "backbone.safetensors"
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, {**header, "config": json.dumps(json.loads(header["config"]) | change)})
    with pytest.raises(CheckpointError, match=r"backbone\.safetensors: (does not fit|its header holds no)"):
        load_backbone(tmp_path)

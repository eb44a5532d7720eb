"""Files made to do harm: none runs code, none leads to other files, none of their names becomes markup or a place."""

import ast
import csv
import html.parser
import io
import json
import os
import pickle
import re
import shutil
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import build_clipcap
import build_labelled
import build_objects
import build_rgbd
import build_scannet
import pointdistill
from browser import chromium, opened, root
from fake_teacher import factory
from pointdistill import create_backbone
from pointdistill.analyses.feature_maps import FeatureMap, MappedFeatures
from pointdistill.applications.clouds import read_cloud
from pointdistill.applications.embed import load_encoder
from pointdistill.console import in_markdown
from pointdistill.datasets import layouts
from pointdistill.datasets.captions import read_captions
from pointdistill.datasets.shapenet55 import read_cloud as read_shape
from pointdistill.datasets.shapenetpart import read_shapenetpart
from pointdistill.distilled import load_distilled
from pointdistill.engine.checkpoint import resume
from pointdistill.engine.finetune import finetune
from pointdistill.engine.optim import adamw
from pointdistill.errors import CheckpointError, DataError, PointdistillError
from pointdistill.evaluation import Evaluation, run_evaluation
from pointdistill.files import LONGEST_NAME
from pointdistill.finetuning import run_finetuning, starting_backbone
from pointdistill.interchange.command import convert_from
from pointdistill.interchange.peers import PEERS
from pointdistill.io.h5 import read_h5
from pointdistill.labelled import open_labelled
from pointdistill.model_card import model_card
from pointdistill.models.checkpoints import load_backbone, load_backbone_weights, save_backbone
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.predictions.boxes import write_boxes
from pointdistill.predictions.clouds import write_coloured_scene, write_labelled_scene, write_labelled_shape
from pointdistill.prepare import prepare_frames, prepare_labels
from pointdistill.prepare_shapes import prepare_shapes
from pointdistill.pretraining import run_pretrain
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.quickstart import distillation
from pointdistill.report.analyses import Analyses, LabelCurves, ProtocolFigures
from pointdistill.report.analyses.page import analyses_page
from pointdistill.report.evaluation_page import evaluation_page
from pointdistill.report.examples import DetectionExample, Examples, PartExample, PipelineExample, SegmentationExample
from pointdistill.report.page import page
from pointdistill.report.schema import PretrainingPoint, PretrainingRun, Results, Row, TaskResult, read_results
from pointdistill.report.tables import markdown_table
from pointdistill.reproduce.page import sheet_page
from pointdistill.reproduce.text import Grid, Sheet, markdown
from pointdistill.store import FrameStore
from pointdistill.targets import folder_of
from pointdistill.tasks.detection import Detection, Detections
from pointdistill.tasks.part_segmentation import LabelledShape
from pointdistill.tasks.saved import load_task_model
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from pointdistill.teachers.captioned import load_captioned_images
from pointdistill.teachers.named import teacher_factory
from pointdistill.teachers.small import PACKAGED, load_small_teacher
from pointdistill.tensors import load_tensors, save_tensors
from shrunk import shrunk
from task_samples import object_splits, room, shapes

SOURCES = Path(pointdistill.__file__).parent
SIZES = {"width": 24, "depth": 1, "heads": 2, "groups": 8, "group_size": 4}


def refused(action, *arguments, kind=PointdistillError):
    """What the refusal says: one line of printable characters."""
    with pytest.raises(kind) as caught:
        action(*arguments)
    said = str(caught.value)
    assert said.isprintable()
    return said


# Pickles


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """What must not come to be; that it would, if anybody unpickled, is tried first."""
    made = tmp_path / "marker"
    pickle.loads(pickle.dumps(Payload(made)))
    made.rmdir()
    yield made
    assert not made.exists()


def pickles(folder, marker):
    """The ways in which torch has written files, each with the payload in it."""
    folder.mkdir(exist_ok=True)
    content = {"base_model": {"a": torch.ones(2), "payload": Payload(marker)}}
    torch.save(content, folder / "zip.pth")
    torch.save(content, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    (folder / "raw.pth").write_bytes(pickle.dumps(Payload(marker), protocol=4))
    (folder / "old.pth").write_bytes(pickle.dumps(content, protocol=2))
    return sorted(folder.glob("*.pth"))


def test_convert_runs_nothing(tmp_path, marker):
    for file in pickles(tmp_path / "files", marker):
        for peer in PEERS:
            said = refused(convert_from, peer, file, tmp_path / "out", None, None, False, None, kind=CheckpointError)
            assert f"{file.name}: " in said and ("could run code" in said or "not a file of tensors" in said)
    assert not (tmp_path / "out").exists()


def test_starting_weights_and_encoders_run_nothing(tmp_path, marker):
    for file in pickles(tmp_path / "files", marker):
        (tmp_path / file.stem).mkdir()
        shutil.copy(file, tmp_path / file.stem / "backbone.safetensors")
        for given in (file, tmp_path / file.stem):
            assert "not a readable safetensors file" in refused(starting_backbone, BackboneConfig(), given, 0)
            assert "not a readable safetensors file" in refused(load_encoder, given)


def test_teachers_run_nothing(tmp_path, marker, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user is asked whether to run a folder's code"))
    clip = build_clipcap.write_clip(tmp_path / "clip")
    for file in pickles(tmp_path / "files", marker):
        said = refused(teacher_factory(f"clipcap:{file}@{clip}"), kind=CheckpointError)
        assert "could run code" in said or "not a file of tensors" in said
        folder = shutil.copytree(clip, tmp_path / file.stem)
        (folder / "model.safetensors").unlink()
        shutil.copy(file, folder / "pytorch_model.bin")
        for kind in ("clip-feature", "clip-patches"):
            assert "not readable as CLIP" in refused(teacher_factory(f"{kind}:{folder}"))
    (clip / "evil.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    own = {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}, "model_type": "evil"}
    for name in ("config.json", "preprocessor_config.json"):
        settings = json.loads((clip / "config.json").read_text())
        (clip / name).write_text(json.dumps({**settings, **own}))
    for kind in ("clip-feature", "hf", "hf-pooled"):
        refused(teacher_factory(f"{kind}:{clip}"))


def test_resuming_runs_nothing(tmp_path, marker):
    network = create_backbone("vit_nano", **SIZES)
    for file in pickles(tmp_path / "files", marker):
        shutil.copy(file, tmp_path / "state.safetensors")
        shutil.copy(file, tmp_path / "state.previous.safetensors")
        said = refused(lambda: resume(tmp_path / "state.safetensors", network, adamw(network, 1e-3, 0.0), "one", ""))
        assert "not a readable safetensors file" in said


def objects(path, marker):
    array = np.empty((4, 3), object)
    array[:] = Payload(marker)
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=True)
    return path


def test_arrays_of_objects_run_nothing(tmp_path, marker, store, labelled):
    raw = tmp_path / "raw.npy"
    raw.write_bytes(pickle.dumps(Payload(marker)))
    for path in (objects(tmp_path / "a.npy", marker), raw):
        for read in (read_cloud, read_shape):
            assert "not a readable .npy" in refused(read, path, kind=DataError)
    copy = shutil.copytree(store, tmp_path / "store")
    for path in [*copy.glob("*.npy"), *copy.glob("targets/*/*.npy")]:
        content = path.read_bytes()
        objects(path, marker)
        path.write_bytes(path.read_bytes().ljust(len(content), b"\0")[: len(content)])
        assert path.name in refused(lambda: FrameStore.open(copy), kind=DataError)
        path.write_bytes(content)
    copy = shutil.copytree(labelled, tmp_path / "labelled")
    arrays = dict(np.load(copy / "train.npz", allow_pickle=False))
    np.savez(copy / "train.npz", **{**arrays, "points": np.array([Payload(marker)], object)})
    assert "train.npz: not a readable .npz" in refused(lambda: open_labelled(copy, "train"), kind=DataError)


def test_parts_of_objects_are_made_again(tmp_path, marker, monkeypatch, store):
    root = build_scannet.write_data_set(tmp_path / "data", ["scene0000_00"], frames=3)

    class Interrupted(Exception):
        pass

    def stop(*_):
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("pointdistill.prepare.assemble_frames", stop)
        with pytest.raises(Interrupted):
            prepare_frames(root, tmp_path / "store", factory(), every=1, points=64, workers=1)
    (part,) = (tmp_path / "store" / "parts").glob("*.npz")
    arrays = dict(np.load(part, allow_pickle=False))
    for name in ("points", "recording_bytes"):
        np.savez(part, **{**arrays, name: np.array([Payload(marker)], object)})
        again = shutil.copytree(tmp_path / "store", tmp_path / name)
        made = prepare_frames(root, again, factory(), every=1, points=64, workers=1)
        assert len(made) == 3
        assert np.array_equal(made.points, FrameStore.open(store).points)


def test_decoded_images_of_objects(tmp_path, marker):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "captions.jsonl").write_text('{"file_name": "a.png", "text": "a chair"}\n')
    cache = tmp_path / "cache" / "train.npy"
    load_captioned_images(tmp_path, (4, 4), cache)
    objects(cache, marker)
    said = refused(load_captioned_images, tmp_path, (4, 4), cache, kind=DataError)
    assert "train.npy: not a readable array" in said


# Arrays whose headers lie


def npy(header):
    return b"\x93NUMPY\x01\0" + struct.pack("<H", 118) + header.ljust(117).encode() + b"\n"


HEADERS = {
    "huge": "{'descr': '<f4', 'fortran_order': False, 'shape': (3000000000000, 3), }",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }",
    "open": "{'descr': ((((",
    "code": "{'descr': __import__('os').mkdir('marker'), 'shape': (1, 3), }",
    "none": "{}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_clouds_whose_headers_lie(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.npy"
    path.write_bytes(npy(HEADERS[name]) + b"\0" * 24)
    for read in (read_cloud, read_shape):
        assert "a.npy: not a readable .npy" in refused(read, path, kind=DataError)
    assert not (tmp_path / "marker").exists()


def test_an_archive_is_no_cloud(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.ones((4, 3)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    for read in (read_cloud, read_shape):
        assert "archive of arrays" in refused(read, tmp_path / "a.npy", kind=DataError)


def test_members_of_archives_are_names_and_no_files(tmp_path, labelled):
    copy = shutil.copytree(labelled, tmp_path / "labelled")
    with zipfile.ZipFile(copy / "train.npz", "a") as archive:
        archive.writestr("../../outside.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }"))
        archive.writestr("/outside.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }"))
    before = sorted(tmp_path.rglob("*"))
    assert "train.npz: does not hold what was prepared" in refused(lambda: open_labelled(copy, "train"), kind=DataError)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/outside.npy").exists()


# safetensors


def tensor(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def packed(header, body=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def told(text):
    return {"__metadata__": {"pointdistill": text}, "a": tensor()}


DEEP = "[" * 200_000
SAFETENSORS = {
    "longer than the file": packed({"a": tensor()}, length=10**6),
    "longer than any file": packed({"a": tensor()}, length=2**63),
    "as long as can be": packed({"a": tensor()}, length=2**64 - 1),
    "overlapping": packed({"a": tensor(), "b": tensor(data_offsets=[4, 12])}, b"\0" * 12),
    "with a hole": packed({"a": tensor(), "b": tensor(data_offsets=[16, 24])}, b"\0" * 24),
    "out of range": packed({"a": tensor(data_offsets=[0, 10**12])}),
    "negative": packed({"a": tensor(data_offsets=[-8, 0])}),
    "backwards": packed({"a": tensor(data_offsets=[8, 0])}),
    "twice": packed(b'{"a": %b, "a": %b}' % ((json.dumps(tensor()).encode(),) * 2), b"\0" * 8),
    "twice elsewhere": packed(
        b'{"a": %b, "a": %b}' % (json.dumps(tensor()).encode(), json.dumps(tensor(data_offsets=[8, 16])).encode()),
        b"\0" * 16,
    ),
    "no bytes, much shape": packed({"a": tensor(shape=[0, 2**62], data_offsets=[0, 0])}, b""),
    "no bytes, more shape": packed({"a": tensor(shape=[0, 2**40, 2**40], data_offsets=[0, 0])}, b""),
    "no bytes, any shape": packed({"a": tensor(shape=[0, 2**63], data_offsets=[0, 0])}, b""),
    "a shape without end": packed({"a": tensor(shape=[2**40, 2**40])}),
    "a type of its own": packed({"a": tensor(dtype="PYTHON")}),
    "a type of half a byte": packed({"a": tensor(dtype="F4", shape=[16])}),
    "not UTF-8": packed(b'{"\xff": %b}' % json.dumps(tensor()).encode()),
    "deep": packed(b'{"a":' + DEEP.encode()),
    "deep text": packed(told(DEEP)),
    "deep objects": packed(told('{"a":' * 100_000)),
    "text that is a number": packed(told("5")),
    "digits without end": packed(told("9" * 10_000)),
    "a deep configuration": packed({"__metadata__": {"config": DEEP}, "a": tensor()}),
    "a name of two lines": packed({"a\nb\x1b[2J": tensor()}),
    "empty": b"",
    "short": b"\0" * 7,
    "nothing": packed({}, b""),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One of each kind of folder that is read back."""
    folder = tmp_path_factory.mktemp("weights")
    network = create_backbone("vit_nano", **SIZES)
    save_backbone(network, folder / "backbone", {})
    recipe = shrunk(RECIPES["modelnet40"]())
    finetune(recipe.task, recipe.backbone.build(), object_splits(), recipe.schedule(1), 0, folder / "task")
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00"], frames=4)
    prepare_frames(root, folder / "frames", factory(), every=1, points=64, workers=1)
    small = replace(distillation(), backbone=network.config)
    small = replace(
        small, engine=replace(small.engine, epochs=1, batch_size=4), frames=replace(small.frames, points=64)
    )
    run_pretrain(small, folder / "frames", None, folder / "run")
    shutil.copytree(PACKAGED, folder / "teacher")
    return folder


@pytest.fixture(scope="module")
def store(written):
    root = build_scannet.write_data_set(written / "other", ["scene0000_00"], frames=3)
    return prepare_frames(root, written / "store", factory(), every=1, points=64, workers=1).path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    prepare_labels(build_labelled.write_modelnet(folder / "raw"), folder / "store", workers=1)
    return folder / "store"


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors_with_hostile_headers(written, tmp_path, name):
    content, network = SAFETENSORS[name], create_backbone("vit_nano", **SIZES)
    optimizer = adamw(network, 1e-3, 0.0)
    readers = {
        "backbone/backbone.safetensors": load_backbone,
        "task/model.safetensors": lambda path: load_task_model(path.parent),
        "run/method.safetensors": lambda path: load_distilled(path.parent),
        "teacher/teacher.safetensors": lambda path: load_small_teacher(path.parent),
    }
    for file, read in readers.items():
        copy = shutil.copytree(written / Path(file).parent, tmp_path / Path(file).parent)
        path = copy / Path(file).name
        read(path)
        path.write_bytes(content)
        if path.parent.name == "teacher":
            _agree(path)
        assert path.name in refused(read, path, kind=CheckpointError)
    for read in (
        lambda: load_backbone_weights(network, tmp_path / "backbone"),
        lambda: load_encoder(tmp_path / "backbone"),
        lambda: resume(tmp_path / "backbone" / "backbone.safetensors", network, optimizer, "one", "another"),
    ):
        refused(read)
    try:
        tensors, _ = load_tensors(tmp_path / "backbone" / "backbone.safetensors")
        assert sum(value.numel() for value in tensors.values()) <= 16  # read as what it says, and no more
    except CheckpointError as error:
        assert str(error).isprintable()


def _agree(path):
    """Let teacher.json vouch for these weights: only then are they looked at."""
    import hashlib

    described = json.loads((path.parent / "teacher.json").read_text())
    described["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "teacher.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    "change",
    [
        {"words": 5},
        {"config": 5},
        {"config": {"image_size": "large"}},
        {"config": {"language_width": 10**9}},
        {"config": {"text_depth": 10**9}},
        {"identity": "other"},
    ],
)
def test_descriptions_of_teachers_that_cannot_be(tmp_path, change):
    shutil.copytree(PACKAGED, tmp_path / "teacher")
    path = tmp_path / "teacher" / "teacher.json"
    described = json.loads(path.read_text())
    merged = {**described["config"], **change["config"]} if isinstance(change.get("config"), dict) else None
    path.write_text(json.dumps({**described, **change, **({} if merged is None else {"config": merged})}))
    assert "teacher." in refused(lambda: load_small_teacher(tmp_path / "teacher"))
    path.write_text(DEEP)
    assert "not JSON" in refused(lambda: load_small_teacher(tmp_path / "teacher"))


# HDF5


def external_link(file, other):
    import h5py

    file["data"] = h5py.ExternalLink(str(other), "data")


def link_to_a_link(file, other):
    import h5py

    file["other"] = h5py.ExternalLink(str(other), "/")
    file["data"] = h5py.SoftLink("/other/data")


def external_storage(file, other):
    file.create_dataset("data", (8,), "u1", external=[(str(other), 0, 8)])


def virtual(file, other):
    import h5py

    layout = h5py.VirtualLayout((2, 3, 3), "f8")
    layout[:] = h5py.VirtualSource(str(other), "data", (2, 3, 3))
    file.create_virtual_dataset("data", layout)


def declared(file, other):
    file.create_dataset("data", (10**12, 3), "f4", chunks=(1000, 3))


def declared_some(file, other):
    file.create_dataset("data", (10**7, 3), "f4", chunks=(1000, 3))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (external_link, "is a link, or is kept in another file"),
        (link_to_a_link, "is a link, or is kept in another file"),
        (external_storage, "is a link, or is kept in another file"),
        (virtual, "is a link, or is kept in another file"),
        (declared, "declares 12,000,000,000,000 bytes, which the file does not hold"),
        (declared_some, "declares 120,000,000 bytes, which the file does not hold"),
    ],
)
def test_hdf5_that_leads_elsewhere(tmp_path, write, said):
    h5py = pytest.importorskip("h5py")
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["data"] = np.full((2, 3, 3), 7.0)
    build_objects.write_hdf5_release(tmp_path / "modelnet")
    with h5py.File(tmp_path / "modelnet" / "ply_data_train0.h5", "r+") as file:
        del file["data"]
        write(file, other)
    assert said in refused(lambda: read_h5(tmp_path / "modelnet" / "ply_data_train0.h5", ("data",)), kind=DataError)
    (found,) = [line for line in _walk(tmp_path / "modelnet") if isinstance(line, DataError)]
    assert said in str(found)


def _walk(root):
    return layouts.object_source(root).walk("train")


def test_hdf5_as_it_is_published_is_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=np.zeros((10**6, 3), np.float32), compression="gzip", compression_opts=9)
        file.create_dataset("label", data=np.zeros(5, np.uint8))
        file["none"] = h5py.Empty("f4")
    found = read_h5(tmp_path / "a.h5", ("data", "label"))
    assert found["data"].shape == (10**6, 3) and found["label"].shape == (5,)
    assert "holds no array of numbers 'none'" in refused(lambda: read_h5(tmp_path / "a.h5", ("none",)))


# Names in lists that lead elsewhere

PLACES = ["../outside", "/etc/passwd", "a\0b", "..", "x" * 5000]


@pytest.mark.parametrize("name", PLACES)
def test_captions_stay_below_their_folder(tmp_path, name):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "outside", "png")
    (tmp_path / "images" / "captions.jsonl").write_text(json.dumps({"file_name": name, "text": "a chair"}) + "\n")
    assert "captions.jsonl, line 1: " in refused(lambda: read_captions(tmp_path / "images"), kind=DataError)


@pytest.mark.parametrize("name", PLACES)
def test_described_recordings_stay_below_their_folder(tmp_path, name):
    for changes in (
        {"colour": [name] * 3, "depth": ["b"] * 3, "poses": None, "up": None},
        {"colour": ["a"] * 3, "depth": ["b"] * 3, "poses": [name, None, None]},
        {"poses": f"{name}/*.txt"},
        {"colour": name},
    ):
        build_rgbd.write_plain(tmp_path / "data" / "room")
        path = tmp_path / "data" / "room" / "recording.json"
        content = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

        def frames():
            with layouts.select(tmp_path / "data", "all").recordings[0].open() as reader:
                list(reader.every(1))

        assert tmp_path.name in refused(frames, kind=DataError)


def test_parts_stay_below_their_folder(tmp_path):
    root = build_labelled.write_shapenetpart(tmp_path / "parts")
    lists, categories = root / "train_test_split" / "shuffled_train_file_list.json", root / "synsetoffset2category.txt"
    kept = lists.read_text(), categories.read_text()
    for name in [*PLACES, "..\\x"]:
        lists.write_text(json.dumps([f"shape_data/01/{name}"]))
        assert "shuffled_train_file_list.json" in refused(lambda: read_shapenetpart(root, "train"), kind=DataError)
        lists.write_text(kept[0])
        for line in (f"lamp\t{name}\n", f"{name}\t01\n"):
            categories.write_text(line)
            said = refused(lambda: read_shapenetpart(root, "train"), kind=DataError)
            assert "synsetoffset2category.txt, line 1" in said and "is no category and the name of a folder" in said
        categories.write_text(kept[1])
    categories.write_bytes(b"\xff\t01\n")
    assert "not a readable text" in refused(lambda: read_shapenetpart(root, "train"))
    categories.write_text(kept[1])
    for text in (DEEP, '{"a": 1}', "[[1]]"):
        lists.write_text(text)
        refused(lambda: read_shapenetpart(root, "train"), kind=DataError)


@pytest.mark.parametrize("name", ["../secret", "/secret", "a\0b", "a/../../b", "x" * 5000])
def test_manifests_stay_in_their_folder(tmp_path, store, name):
    copy = shutil.copytree(store, tmp_path / "frames")
    content = json.loads((copy / "manifest.json").read_text())
    (tmp_path / "secret").write_bytes(b"12")
    content["files"][name] = {"bytes": 2, "sha256": "", "dtype": "float32", "shape": [1]}
    (copy / "manifest.json").write_text(json.dumps(content))
    for verify in (False, True):
        assert "is no file of a store" in refused(FrameStore.open, copy, None, verify, kind=DataError)
    rooms = {"train": [room(0)], "val": [room(1)]}
    prepare_labels(build_labelled.write_scannet(tmp_path / "raw", rooms), tmp_path / "scenes", workers=1)
    content = json.loads((tmp_path / "scenes" / "manifest.json").read_text())
    content["splits"]["train"] = [name]
    (tmp_path / "scenes" / "manifest.json").write_text(json.dumps(content))
    assert "is no name of a scan" in refused(lambda: open_labelled(tmp_path / "scenes", "train"), kind=DataError)


@pytest.mark.parametrize("name", [*PLACES, "..\\x"])
def test_lists_of_shapes_and_images_stay_below_their_folder(tmp_path, name):
    root = tmp_path / "55"
    build_objects.write_shapenet55(root)
    (root / "ShapeNet-55" / "train.txt").write_text(f"02691156-{name}.npy\n")
    if name != "..":  # "02691156-...npy" is a name like any other
        assert "is no TAXONOMY-MODEL.npy" in refused(prepare_shapes, root, tmp_path / "store")
    root = tmp_path / "h5"
    build_objects.write_hdf5_release(root)
    last = Path(name).name or name  # of a path, the last part counts
    (root / "train_files.txt").write_text(f"data/{name}\n")
    if last in ("outside", "passwd"):
        assert layouts.object_source(root).files("train") == [root / last]
    else:
        assert "is no name of a file" in refused(layouts.object_source(root).files, "train", kind=DataError)
    build_rgbd.write_tum(tmp_path / "tum")
    (tmp_path / "tum" / "rgb.txt").write_text(f"0.1 {name}\n")
    if "\\" not in name:  # a letter like any other, here
        said = refused(lambda: layouts.select(tmp_path / "tum", "all").recordings[0].open())
        assert "rgb.txt, line 1: names " in said and "no file below its folder" in said


def test_a_teacher_cannot_choose_its_folder(tmp_path):
    for identity, digits in (("../../x", "../../../../x"), ("a/b\0", "/etc\0/passwd"), ("", "\n\n")):
        folder = folder_of(tmp_path, {"identity": identity, "weights_hash": digits})
        assert folder.parent == tmp_path / "targets" and re.fullmatch(r"[\w.-]+", folder.name)
    ordinary = {"identity": "mean-colour-1", "weights_hash": "ca978112ca1bbdca"}
    assert folder_of(tmp_path, ordinary).name == "mean-colour-1-ca978112ca1b"


def test_recordings_of_long_names_are_said_before_work_begins(tmp_path):
    build_rgbd.write_redwood(tmp_path / "data" / ("a" * 150) / ("b" * 150))
    said = refused(lambda: layouts.select(tmp_path / "data", "all"), kind=DataError)
    assert f"a name of 301 characters. Rename its folders: {LONGEST_NAME} are the most" in said


def test_refusals_are_one_printable_line():
    error = DataError("a\x1b[2J\udcff", "names '\n\t\x07b'", "Mend\u2028it\x00.")
    assert str(error) == r"a\x1b[2J\udcff: names ' \x07b'. Mend it\x00."
    assert str(error).encode() and str(error).isprintable()


# Names in pages, tables and the files of predictions

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><svg/onload=alert(1)>",
    "<!--",
    "]]><a href='javascript:alert(1)'>x</a>",
    "&lt;b&gt;",
    "../../x",
    "a\nb",
    "x" * 5000,
]


class Skeleton(html.parser.HTMLParser):
    """Elements and the names of their attributes, in order; comments and texts beside."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.elements.append((name, *(key for key, _ in attributes)))
        self.texts += [value for _, value in attributes if value]

    def handle_endtag(self, name):
        self.elements.append((f"/{name}",))

    def handle_comment(self, data):
        self.elements.append(("comment", data))

    def handle_data(self, data):
        self.texts.append(data)


def results(name):
    row = Row("fine-tuning", name, "scratch", {name: [1.0, 2.0]}, [])
    task = TaskResult(name, name, name, name, [0, 1], [1.0, 2.0], [2.0, 3.0], [row], note=name)
    run = PretrainingRun(name, 0, 10, 1.0, 0.5, [PretrainingPoint(1, 1.0, 0.1), PretrainingPoint(2, 0.5, 0.2)])
    facts = {name: name, "list": [name]}
    return Results(name, "full", facts, facts, {name: 1.0}, facts, facts, [run], {name: task})


def examples(name):
    scene, cloud = room(0), np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    labels = np.arange(40) % 2
    return Examples(
        [
            PipelineExample(
                name, stream.getvalue(), np.ones((8, 8), np.uint16), cloud, cloud[:2], np.arange(8).reshape(2, 4),
                name, name, name,
            )
        ],
        [
            DetectionExample(
                name, scene.points, scene.colours, scene.boxes, [name] * len(scene.boxes), scene.boxes[:1], [name],
                np.ones(1),
            )
        ],
        [SegmentationExample(name, cloud, labels, labels, [name, f"{name}2"])],
        [PartExample(name, cloud, labels, labels, [name, f"{name}2"])],
    )  # fmt: skip


def analyses(name):
    places = [(0.0, 1.0), (1.0, 0.0)]
    mapped = MappedFeatures(name, 0.5, 0.1, places, (0.5, 0.2), places)
    return Analyses(
        name,
        name,
        {name: name},
        features=FeatureMap([name, f"{name}2"], [0, 1], 1.0, 0, [mapped]),
        label_curves=[LabelCurves(name, name, name, {name: {1.0: [1.0], 10.0: [2.0]}})],
        protocols=[ProtocolFigures(name, name, name, {name: {name: [1.0, 2.0]}})],
    )


def evaluated(name):
    figures = {"accuracy": 0.5, "accuracy_by_class": {name: 0.5, f"{name}2": None}}
    confusions = [{"true": name, "predicted": f"{name}2", "count": 3}]
    return {
        "task": name, "metric": "accuracy", "recipe": name, "init": {"recipe": name}, "labels": name, "seed": 0,
        "identity": name, "settings": {name: name}, "version": name, "figures": figures, "confusions": confusions,
        "data": {"split": name, "store": name, "pieces": 1}, "backbone": {}, "trained_with": name, "value": 0.5,
    }  # fmt: skip


def sheet(name):
    return Sheet(name, [Grid(name, [name, name], [[name, name], [name, "1"]])], [name, name])


PAGES = {
    "report": lambda name: page(results(name), examples(name)),
    "evaluation": lambda name: evaluation_page(evaluated(name), examples(name)),
    "analyses": lambda name: analyses_page(analyses(name), Examples(detection=examples(name).detection)),
    "reproduced": lambda name: sheet_page(sheet(name), analyses(name).protocols),
}


@pytest.mark.parametrize("kind", PAGES)
def test_names_are_text_on_every_page(kind):
    for name in NASTY:
        letters = re.sub(r"\S", "x", name)  # as long, with the same gaps: long names are cut into lines
        harmless, found = Skeleton(PAGES[kind](letters)), Skeleton(PAGES[kind](name))
        assert len(harmless.elements) > 50
        assert found.elements == harmless.elements, name
        assert sum(name in text or name.capitalize() in text for text in found.texts) >= 3


def test_a_name_that_is_markup_would_be_seen():
    """The comparison above sees what it is for."""
    text = PAGES["analyses"]("harmless name")
    for name in (*NASTY[:2], *NASTY[3:6]):
        assert Skeleton(text.replace("harmless name", name)).elements != Skeleton(text).elements


def test_scripts_make_no_markup_of_names(tmp_path):
    """What page.js writes into tables, menus and labels."""
    name = '<a href="https://example.org/x">link</a><b>bold</b>'
    with chromium() as browser:
        for number, text in enumerate((PAGES["analyses"](name), PAGES["report"](name))):
            path = tmp_path / f"{number}.html"
            path.write_text(text, encoding="utf-8")
            with opened(browser, path) as page:
                assert root(page)["failed"] == "0"
                assert name in page.inner_text("#classes") and name in page.text_content("#scenes-choice")
                assert (
                    not page.locator("a[href*=example]").count() and not page.locator("main b", has_text="bold").count()
                )


def test_tables_of_markdown_hold_names_as_text():
    for name in NASTY:
        for text in (markdown(sheet(name)), markdown_table(results(name))):
            assert not re.search(r"<[A-Za-z/!?]", text) and "](" not in text
    rows = [line for line in markdown(sheet("a|b\nc")).splitlines() if line.startswith("| ")]
    assert rows == [r"| a\|b c | a\|b c |"] * 2 + [r"| a\|b c | 1 |"]
    assert in_markdown("0.5 < 1, <0.001") == "0.5 < 1, <0.001"


def test_the_card_beside_weights_holds_names_as_text(written):
    card = json.loads((written / "run" / "run.json").read_text())
    result = json.loads((written / "run" / "result.json").read_text())
    harmless = model_card(card, result, 1)
    for name in NASTY:
        card["recipe"]["name"] = card["data"]["source"] = card["data"]["terms"] = card["teacher"]["identity"] = name
        text = model_card(card, result, 1)
        assert text.count("\n") == harmless.count("\n") and not re.search(r"<[A-Za-z/!?]", text) and "](" not in text


LEADING = ["../../x", "/etc/x", "a/b", "a\0b", "..", "", "a\\b", "x" * 5000]


@pytest.mark.parametrize("name", LEADING)
def test_predictions_stay_in_their_folder(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    scene = replace(room(0), name=name)
    boxes = len(scene.boxes)
    found = Detections(scene.boxes, np.ones(boxes), np.zeros(boxes, np.int64), np.ones((boxes, 18)))
    split = shapes(0)
    named = replace(split, names=(name, *split.names[1:]))
    called = replace(split, category_names=(name, *split.category_names[1:]))
    shape = LabelledShape(split.points[0], split.parts[0], split.parts[0])
    writers = [
        lambda: write_coloured_scene(folder, scene),
        lambda: write_labelled_scene(folder, SemanticSegmentation(), scene, np.zeros(len(scene.points), np.int64)),
        lambda: write_boxes(folder, Detection(), scene, found),
    ]
    if name not in ("", ".."):  # with the category before it, these are names like any other
        writers += [lambda part=part: write_labelled_shape(folder, part, 0, shape) for part in (named, called)]
    for write in writers:
        assert "no file can be called after" in refused(write, kind=DataError)
    assert not list(folder.iterdir()) and [entry.name for entry in tmp_path.rglob("*")] == ["a", "b"]


def test_predictions_of_odd_names_are_written(tmp_path):
    for name in ("<script>", '"><img src=x onerror=x>', "a\nb", "x" * LONGEST_NAME):
        write_coloured_scene(tmp_path, replace(room(0), name=name))
        assert (tmp_path / f"{name}.ply").is_file()


def test_classes_called_like_markup_through_a_whole_test(tmp_path):
    classes = ['"><img src=x onerror=alert(1)>', "<script>alert(1)<", "a\nb,c", "=cmd|' x"]
    build_objects.write_meshes(tmp_path / "source")
    kept = sorted((tmp_path / "source").glob("*/train/*.off"))[0].read_text()
    for number, name in enumerate(classes):
        for split in ("train", "test"):
            (tmp_path / "raw" / name / split).mkdir(parents=True)
            for shape in range(2):
                (tmp_path / "raw" / name / split / f"<b>{number}{shape}.off").write_text(kept)
    prepare_labels(tmp_path / "raw", tmp_path / "store", workers=1)
    recipe = shrunk(RECIPES["classification-small"](), 1)
    recipe = replace(recipe, splits=("train", "test", "test"))
    run_finetuning(recipe, tmp_path / "store", tmp_path / "run")
    run_evaluation(Evaluation(tmp_path / "run", tmp_path / "store", "test", tmp_path / "out"), 1)
    found = Skeleton((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    assert not {"img", "b"} & {element[0] for element in found.elements}
    assert sum(element[0] == "script" for element in found.elements) == 2 and {*classes} <= {*found.texts}
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and {row["true"] for row in rows} == {*classes}
    assert {f"p({name})" for name in classes} <= rows[0].keys()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "raw", "run", "source", "store"]


def test_results_of_any_text_are_told_from_damaged_ones(tmp_path):
    for text in (DEEP, "9" * 10_000, "[]", "null", '{"schema": "\\u0000"}'):
        (tmp_path / "results.json").write_text(text)
        assert "results.json" in refused(lambda: read_results(tmp_path / "results.json"), kind=DataError)


# The sources themselves

UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "pickletools"}
UNSAFE_NAMES = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
UNSAFE_CALLS = {
    "os.system", "os.popen", "os.execv", "os.spawnl", "yaml.load", "yaml.unsafe_load", "torch.jit.load",
    "torch.hub.load", "pandas.read_pickle", "pd.read_pickle", "subprocess.getoutput",
}  # fmt: skip
REQUIRED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
    "np.lib.format.write_array": ("allow_pickle", False),
    "from_pretrained": ("trust_remote_code", False),
}
JUSTIFIED = {
    ("interchange/command.py", "torch.save"): "a peer's code reads nothing else: text, tensors and dictionaries",
    ("user_code.py", "exec_module"): "what a user names as FILE.py:NAME is code",
    ("bench/sens.py", "exec_module"): "the owners' reader, which a user names to compare with",
    ("bench/peers.py", "import_module of a name that is computed"): "packages to compare with, by names written there",
    ("__init__.py", "import_module of a name that is computed"): "modules of the package's own, imported late",
}
"""Where in the package and what; and why."""


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe(tree):
    """What in a module's source may run what a file holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or "", *names]
            yield from (f"import {name}" for name in modules if name.split(".")[0] in UNSAFE_MODULES)
        if not isinstance(node, ast.Call):
            continue
        name, last = dotted(node.func), dotted(node.func).rpartition(".")[2]
        given = {word.arg: word.value for word in node.keywords}
        if name in UNSAFE_NAMES | UNSAFE_CALLS | {"torch.save"}:
            yield name
        if last in ("exec_module", "spec_from_loader"):
            yield last
        if last == "import_module" and not (node.args and isinstance(node.args[0], ast.Constant)):
            yield "import_module of a name that is computed"
        if "shell" in given:
            yield f"{name} with shell"
        word, value = REQUIRED.get(name, REQUIRED.get(last, (None, None)))
        if word and not (isinstance(given.get(word), ast.Constant) and given[word].value is value):
            yield f"{name} without {word}={value}"


def test_nothing_in_the_package_runs_what_files_hold():
    found = {
        (path.relative_to(SOURCES).as_posix(), what)
        for path in SOURCES.rglob("*.py")
        for what in unsafe(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == {*JUSTIFIED}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import joblib.memory", "from dill import loads", "from numpy import pickle", "eval('1')",
        "exec(text)", "__import__(name)", "torch.load(path)", "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)", "np.load(path)", "np.load(path, allow_pickle=True)",
        "np.load(path, **options)", "os.system('x')", "yaml.load(text)", "subprocess.run('x', shell=True)",
        "subprocess.run('x', shell=flag)", "torch.save(x, path)", "spec.loader.exec_module(module)",
        "importlib.import_module(name)", "AutoModel.from_pretrained(name)", "torch.jit.load(path)", "input('?')",
        "kind.from_pretrained(name, trust_remote_code=True)",
    ],
)  # fmt: skip
def test_what_would_is_seen(source):
    assert list(unsafe(ast.parse(source)))


def test_what_is_safe_is_not_taken_for_it():
    for source in (
        "torch.load(path, weights_only=True)",
        "np.load(path, mmap_mode='r', allow_pickle=False)",
        "json.loads(text)",
        "module.eval()",
        "importlib.import_module('transformers')",
        "subprocess.run([a, b])",
        "safetensors.torch.load(content)",
    ):
        assert not list(unsafe(ast.parse(source)))


def test_weights_written_here_hold_no_pickle(written, tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(2)}, {})
    for path in [tmp_path / "a.safetensors", *written.rglob("*.safetensors")]:
        assert not zipfile.is_zipfile(path) and path.read_bytes()[8:9] == b"{"
    assert not [path for path in written.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".bin")]

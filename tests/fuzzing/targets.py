"""What is read: valid files of each kind, and how the package reads them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import build_labelled
import build_las
import build_objects
import build_rgbd
import build_scannet
import build_sens
from fake_teacher import factory
from pointdistill import create_backbone
from pointdistill.applications.clouds import read_cloud
from pointdistill.console import silence
from pointdistill.datasets import layouts
from pointdistill.datasets.modelnet40 import read_modelnet40
from pointdistill.datasets.scannet import SensReader, read_scene, read_split
from pointdistill.datasets.scannet.labels import read_label_map
from pointdistill.datasets.scanobjectnn import read_scanobjectnn
from pointdistill.datasets.shapenetpart import read_shapenetpart
from pointdistill.distilled import load_distilled
from pointdistill.engine.finetune import finetune
from pointdistill.io.off import read_off
from pointdistill.io.ply import read_vertices, write_ply
from pointdistill.io.pth import read_checkpoint
from pointdistill.labelled import open_labelled
from pointdistill.models.checkpoints import load_backbone, save_backbone
from pointdistill.prepare import prepare_frames
from pointdistill.prepared_labels import prepare_labels
from pointdistill.pretraining import run_pretrain
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.quickstart import distillation
from pointdistill.report.schema import read_results
from pointdistill.store import FrameStore
from pointdistill.tasks.saved import load_task_model
from shrunk import shrunk
from task_samples import object_splits


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: of the kind.
        files: the one that is changed, in turn; valid as they are.
        read: reads all that depends on them; PointdistillError is its way to refuse.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[Path], object]


def targets(folder: Path) -> list[Target]:
    """Write valid files of every kind into an empty folder."""
    torch.manual_seed(0)
    with silence():
        kinds = {"clouds": _clouds, "scans": _scans, "objects": _objects, "recordings": _recordings, "stores": _stores}
        kinds["weights"] = _weights
        return [target for name, write in kinds.items() for target in write(folder / name)]


def _clouds(folder: Path) -> Iterator[Target]:
    folder.mkdir(parents=True)
    points = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    vertices = {axis: points[:, number] for number, axis in enumerate("xyz")}
    write_ply(folder / "binary.ply", vertices, np.array([[0, 1, 2]], np.int32))
    header = ["ply", "format ascii 1.0", "element vertex 30", *(f"property float {axis}" for axis in "xyz")]
    rows = [" ".join(map(str, row)) for row in points]
    (folder / "text.ply").write_text("\n".join([*header, "end_header", *rows, ""]))
    yield Target("ply", (folder / "binary.ply", folder / "text.ply"), read_vertices)
    for name, separator in (("a.txt", " "), ("a.csv", ","), ("a.pts", " "), ("a.xyz", "\t")):
        lines = [separator.join(map(str, row)) for row in points]
        (folder / name).write_text("\n".join([*lines, ""]))
    yield Target("text clouds", tuple(folder / f"a.{ending}" for ending in ("txt", "csv", "pts", "xyz")), read_cloud)
    np.save(folder / "a.npy", points)
    np.save(folder / "b.npy", points.astype(np.float64))
    yield Target("npy clouds", (folder / "a.npy", folder / "b.npy"), read_cloud)
    header = b"VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 30\nHEIGHT 1\nPOINTS 30\nDATA "
    (folder / "a.pcd").write_bytes(header + b"binary\n" + points.tobytes())
    packed = b"".join(bytes([29]) + points.T.tobytes()[at : at + 30] for at in range(0, 360, 30))
    sizes = np.array([len(packed), 360], "<u4").tobytes()
    (folder / "b.pcd").write_bytes(header + b"binary_compressed\n" + sizes + packed)
    (folder / "c.pcd").write_bytes(header + b"ascii\n" + "\n".join(rows).encode())
    yield Target("pcd", tuple(folder / f"{name}.pcd" for name in "abc"), read_cloud)
    (folder / "a.obj").write_text("".join(f"v {row}\n" for row in rows))
    yield Target("obj", (folder / "a.obj",), read_cloud)
    for name, version in (("a.las", 2), ("b.las", 4)):
        build_las.write_las(folder / name, points.astype(np.float64), version)
    yield Target("las", (folder / "a.las", folder / "b.las"), read_cloud)
    (folder / "a.off").write_text(build_objects.box_off())
    (folder / "b.off").write_text(build_objects.box_off(glued=True, polygons=False))
    yield Target("off", (folder / "a.off", folder / "b.off"), read_off)


def _scans(folder: Path) -> Iterator[Target]:
    root = build_scannet.write_data_set(folder / "data", ["scene0000_00"], frames=3)
    scan = root / "scans" / "scene0000_00"
    build_sens.write(folder / "odd.sens", build_scannet.odd_frames())

    def frames(path: Path) -> None:
        with SensReader(path) as reader:
            for frame in reader.every(1, lambda problem: None):
                assert frame.depth.ndim == 2 and isinstance(frame.colour, bytes)
            reader.poses()

    yield Target("sens", (scan / "scene0000_00.sens", folder / "odd.sens"), frames)
    for name, ending in {
        "aggregation": ".aggregation.json",
        "segments": "_vh_clean_2.0.010000.segs.json",
        "scan text": ".txt",
        "scan mesh": "_vh_clean_2.ply",
    }.items():
        yield Target(name, (scan / f"scene0000_00{ending}",), lambda path: read_scene(root, "scene0000_00"))
    yield Target("label table", (root / "scannetv2-labels.combined.tsv",), read_label_map)
    yield Target("split list", (root / "scannetv2_train.txt",), lambda path: read_split(root, "train"))


def _objects(folder: Path) -> Iterator[Target]:
    text, meshes, packed = folder / "text", folder / "meshes", folder / "packed"
    build_objects.write_text_release(text)
    build_objects.write_meshes(meshes)
    build_objects.write_hdf5_release(packed)
    lists = tuple(path for path in sorted(text.iterdir()) if path.suffix == ".txt")
    yield Target("modelnet lists", lists, lambda path: read_modelnet40(text, "train"))
    shape = sorted(text.glob("*/*.txt"))[0]
    yield Target("modelnet shape", (shape,), lambda path: read_modelnet40(text, "train"))
    yield Target(
        "modelnet meshes", (sorted(meshes.glob("*/train/*.off"))[0],), lambda path: read_modelnet40(meshes, "train")
    )
    train = tuple(path for path in sorted(packed.rglob("*.h5")) if "train" in path.name)
    yield Target("hdf5", train, lambda path: read_modelnet40(packed, "train"))
    build_objects.write_scanobjectnn(folder / "scanobjectnn")
    files = tuple(sorted((folder / "scanobjectnn").rglob("*.h5")))
    yield Target(
        "scanobjectnn",
        files[:2],
        lambda path: [read_scanobjectnn(folder / "scanobjectnn", split) for split in ("train", "test")],
    )
    build_labelled.write_shapenetpart(folder / "parts")
    parts = folder / "parts"
    inside = sorted(path for path in parts.rglob("*") if path.is_file())
    chosen = [path for path in inside if path.suffix == ".json"] + [path for path in inside if path.suffix == ".txt"][
        :3
    ]
    yield Target("shapenetpart", tuple(chosen), lambda path: read_shapenetpart(parts, "train"))


def _recordings(folder: Path) -> Iterator[Target]:
    writers = {"tum": build_rgbd.write_tum, "7-scenes": build_rgbd.write_seven_scenes,
               "redwood": build_rgbd.write_redwood, "plain": build_rgbd.write_plain}  # fmt: skip
    for name, write in writers.items():
        root = folder / name
        write(root)

        def frames(path: Path, root: Path = root) -> None:
            for recording in layouts.select(root, "all").recordings:
                with recording.open() as reader:
                    for frame in reader.every(1, lambda problem: None):
                        assert frame.depth.ndim == 2 and isinstance(frame.colour, bytes)

        inside = sorted(path for path in root.rglob("*") if path.is_file())
        text = [path for path in inside if path.suffix in (".txt", ".json", ".log")]
        pictures = [path for path in inside if path.suffix in (".png", ".jpg")]
        yield Target(f"{name} recording", (*text[:4], *pictures[:2]), frames)


def _stores(folder: Path) -> Iterator[Target]:
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00"], frames=6)
    prepare_frames(root, folder / "frames", factory(), every=1, points=64, workers=1)

    def frames(path: Path) -> None:
        store = FrameStore.open(folder / "frames", verify=True)
        store.cloud(0), store.pose(0), np.asarray(store.targets[0])

    inside = sorted(path for path in (folder / "frames").rglob("*") if path.is_file())
    yield Target("store manifests", tuple(path for path in inside if path.suffix == ".json"), frames)
    yield Target("store arrays", tuple(path for path in inside if path.suffix in (".npy", ".npz")), frames)
    build_labelled.write_modelnet(folder / "modelnet")
    prepare_labels(folder / "modelnet", folder / "labelled", workers=1)
    inside = sorted(
        path for path in (folder / "labelled").rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    yield Target("labelled store", tuple(inside), lambda path: open_labelled(folder / "labelled", "train"))


def _weights(folder: Path) -> Iterator[Target]:
    folder.mkdir(parents=True)
    backbone = create_backbone("vit_nano", width=24, depth=1, heads=2, groups=8, group_size=4)
    save_backbone(backbone, folder / "backbone", {})
    files = folder / "backbone" / "backbone.safetensors", folder / "backbone" / "backbone.json"
    yield Target("backbone", files, lambda path: load_backbone(folder / "backbone"))
    recipe = shrunk(RECIPES["modelnet40"]())
    finetune(recipe.task, recipe.backbone.build(), object_splits(), recipe.schedule(1), 0, folder / "task")
    files = folder / "task" / "model.json", folder / "task" / "model.safetensors"
    yield Target("task model", files, lambda path: load_task_model(folder / "task"))
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00"], frames=4)
    prepare_frames(root, folder / "frames", factory(), every=1, points=64, workers=1)
    small = replace(distillation(), backbone=backbone.config)
    small = replace(
        small, engine=replace(small.engine, epochs=1, batch_size=4), frames=replace(small.frames, points=64)
    )
    run_pretrain(small, folder / "frames", None, folder / "run")
    files = folder / "run" / "run.json", folder / "run" / "method.safetensors"
    yield Target("distilled run", files, lambda path: load_distilled(folder / "run"))
    torch.save({"base_model": {"a": torch.ones(3, 4), "b": torch.zeros(2)}}, folder / "peer.pth")
    yield Target("pth", (folder / "peer.pth",), lambda path: read_checkpoint(path, "Fetch it again"))
    results = Path(__file__).parents[2] / "docs" / "results" / "quickstart-full.json"
    (folder / "results.json").write_bytes(results.read_bytes())
    yield Target("results", (folder / "results.json",), read_results)

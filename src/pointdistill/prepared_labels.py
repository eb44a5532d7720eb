"""Labelled data, parsed once: scenes and shapes as .npz files and a manifest, so that the many fine-tunings of a
comparison do not parse meshes and text again."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from pointdistill import manifest
from pointdistill.datasets import layouts
from pointdistill.datasets.layouts import object_source
from pointdistill.datasets.objects import ObjectSet, read_objects
from pointdistill.datasets.scannet.labels import read_label_map
from pointdistill.datasets.scannet.layout import LABEL_TABLE, find_file, read_split, scan_folder
from pointdistill.datasets.scannet.scenes import BOX_CLASSES, Scene, has_labels, read_scene
from pointdistill.datasets.shapenetpart import PartSet, read_shapenetpart
from pointdistill.datasets.user import UserReader, load_user_reader
from pointdistill.errors import DataError
from pointdistill.files import exclusive, is_plain, read_arrays, read_json, write_arrays, write_json
from pointdistill.parallel import parallel_map
from pointdistill.user_code import UserCode

FORMAT = 1
_SOURCES = "sources.json"
_DELETE = "Delete it and prepare again."
Sample = TypeVar("Sample", Scene, ObjectSet, PartSet)


@dataclass(frozen=True)
class SceneStore:
    """Prepared scenes: one .npz a scene.

    Attributes:
        path: the store's folder.
        splits: names of the scans of each split, in the official list's order.
    """

    path: Path
    splits: dict[str, tuple[str, ...]]
    kind: ClassVar[str] = "scenes"

    @classmethod
    def open(cls, path: str | Path) -> "SceneStore":
        """Raises DataError if preparation did not finish there."""
        content = _manifest(Path(path), "scenes")
        return cls(Path(path), {split: tuple(names) for split, names in content["splits"].items()})

    def names(self, split: str) -> tuple[str, ...]:
        return _choose(self.path, self.splits, split)

    def scene(self, name: str) -> Scene:
        if not is_plain(name):
            raise DataError(self.path / manifest.NAME, f"{name[:40]!r} is no name of a scan", manifest.AGAIN)
        return _load(self.path / f"{name}.npz", Scene)

    def scenes(self, split: str) -> list[Scene]:
        """All scenes of a split, in memory."""
        return [self.scene(name) for name in self.names(split)]


@dataclass(frozen=True)
class ObjectStore:
    """Prepared shapes: one .npz a split, holding an ObjectSet or a PartSet.

    Attributes:
        path: the store's folder.
        splits: number of shapes of each split.
        kind: "objects" or "parts".
    """

    path: Path
    splits: dict[str, int]
    kind: str

    def read(self, split: str, kind: type[Sample]) -> Sample:
        _choose(self.path, self.splits, split)
        return _load(self.path / f"{split}.npz", kind)


def prepare_scenes(
    root: str | Path,
    out: str | Path,
    splits: Sequence[str] = ("train", "val"),
    workers: int | None = None,
    box_classes: Sequence[int] = BOX_CLASSES,
) -> SceneStore:
    """Parse the labelled scenes of some ScanNetV2 splits. What is already there is kept; splits can be added later.

    Scans of a split named "test" may lack labels, which ScanNet keeps hidden; all others must have them.

    Args:
        splits: any with a list scannetv2_<split>.txt, the official ones or a user's own.
        box_classes: NYU40 ids of the classes that get boxes.

    Raises:
        DataError: a missing or bad file of the data set, or a folder that was prepared from other data.
    """
    root, out = Path(root), Path(out)
    names = {split: tuple(read_split(root, split)) for split in splits}
    label_map = read_label_map(find_file(root, LABEL_TABLE))
    own = {} if tuple(box_classes) == BOX_CLASSES else {"box_classes": list(box_classes)}
    return _prepare_scenes(
        out,
        names,
        lambda split: partial(_prepare_scene, root, out, split != "test", label_map, tuple(box_classes)),
        lambda scan: _fingerprint(scan_folder(root, scan)),
        {"source": "scannet", **own},
        workers,
    )


def _prepare_scenes(
    out: Path,
    names: dict[str, tuple[str, ...]],
    work: Callable[[str], Callable[[str], None]],
    fingerprint: Callable[[str], str],
    settings: dict[str, Any],
    workers: int | None,
) -> SceneStore:
    """Scenes of some splits by `work`, which gives for a split what writes one of its scans and pickles."""
    with exclusive(out):
        manifest.claim(out, {"format": FORMAT, "kind": "scenes", **settings})
        there = _manifest(out, "scenes") if (out / manifest.NAME).is_file() else {"splits": {}, "sources": {}}
        sources = {scan: fingerprint(scan) for scans in names.values() for scan in scans}
        begun = _claim_sources(out, {**there["sources"], **_begun_sources(out)}, sources)
        for split, scans in names.items():
            missing = [scan for scan in scans if not (out / f"{scan}.npz").is_file()]
            parallel_map(work(split), missing, f"preparing {split} scenes", workers)
        content = {
            "format": FORMAT,
            "kind": "scenes",
            "splits": {**there["splits"], **{split: list(scans) for split, scans in names.items()}},
            "sources": begun,
        }
        manifest.write(out, content)
    return SceneStore.open(out)


def open_scenes(out: str | Path, split: str) -> list[Scene]:
    """All scenes of a prepared split, in memory."""
    return SceneStore.open(out).scenes(split)


def prepare_objects(
    root: str | Path,
    out: str | Path,
    splits: Sequence[str] = ("train", "test"),
    points: int | None = None,
    up: Literal["y", "z"] = "z",
    variant: str | None = None,
) -> ObjectStore:
    """Parse splits of ModelNet40 (any of its forms) or ScanObjectNN; a split that is already there is kept.

    Args:
        points: of each shape; see `datasets.modelnet40.read_modelnet40`.
        up: the axis that is up in the store.
        variant: of ScanObjectNN, for instance "pb_t50_rs".

    Raises:
        DataError: a bad file of the data set, or a folder that was prepared from other data or with other settings.
        MissingPackage: the data set is HDF5, and h5py is not installed.
    """
    source = object_source(root, variant)
    read = partial(read_objects, source, points=points, up=up)
    settings = {"kind": "objects", "points": points, "up": up} | ({"variant": variant} if variant else {})
    files = {split: source.files(split) for split in splits}
    return _prepare_shapes(Path(root), Path(out), read, files, settings)


def open_objects(out: str | Path, split: str) -> ObjectSet:
    """A prepared split of labelled objects, in memory."""
    return _open_shapes(Path(out), "objects").read(split, ObjectSet)


def prepare_part_shapes(
    root: str | Path,
    out: str | Path,
    splits: Sequence[str] = ("train", "val", "test"),
    up: Literal["y", "z"] = "z",
) -> ObjectStore:
    """Parse ShapeNetPart splits (`read_shapenetpart`); a split that is already there is kept.

    Raises:
        DataError: a bad file of the data set, or a folder that was prepared from other data or with other settings.
    """
    read = partial(read_shapenetpart, root, up=up)
    folder = Path(root) / "train_test_split"
    lists = {split: [folder / f"shuffled_{split}_file_list.json"] for split in splits}
    return _prepare_shapes(Path(root), Path(out), read, lists, {"kind": "parts", "up": up})


def open_part_shapes(out: str | Path, split: str) -> PartSet:
    """A prepared ShapeNetPart split, in memory."""
    return _open_shapes(Path(out), "parts").read(split, PartSet)


def prepare_labels(
    root: str | Path,
    out: str | Path,
    splits: Sequence[str] = (),
    workers: int | None = None,
    variant: str | None = None,
) -> SceneStore | ObjectStore:
    """Parse a labelled data set, whatever it is, into scenes, objects or parts.

    Args:
        root: a folder in one of the labelled layouts (`datasets.layouts`).
        splits: which; all that the folder has lists of unless told.
        variant: of ScanObjectNN.

    Raises:
        DataError: nothing known, no labels there, no such split, and as the three functions above.
    """
    root, layout = Path(root), layouts.layout_of(root)
    lists = layouts.label_lists(root, variant)
    if not lists:
        remedy = (
            "Name a folder of ScanNetV2's labelled scenes, ModelNet40, ScanObjectNN or ShapeNetPart (docs/data.md)."
        )
        if layout == layouts.SHAPENET55:
            remedy = "Leave --labels out: its shapes are to pre-train on (docs/data.md)."
        raise DataError(root, f"is {layout.title}: holds no lists of labelled data", remedy)
    absent = next((split for split in splits if split not in lists), None)
    if absent:
        raise DataError(root, f"has no list of the split {absent!r}", f"Take one of {', '.join(lists)}.")
    chosen = tuple(splits) or lists
    if layout == layouts.SCANNET:
        return prepare_scenes(root, out, chosen, workers)
    if layout in layouts.OBJECTS:
        return prepare_objects(root, out, chosen, variant=variant)
    return prepare_part_shapes(root, out, chosen)


def prepare_user_labels(
    reader: UserReader, out: str | Path, splits: Sequence[str] = (), workers: int | None = None
) -> SceneStore | ObjectStore:
    """Parse the labelled data that a reader of the user's own knows, into scenes, objects or parts.

    Args:
        splits: which; all that it has unless told.

    Raises:
        DataError: no labelled data, no such split, what the reader gives is not what it should be, or a folder that was
            prepared from other data or by another content of the reader's file.
    """
    out, there = Path(out), reader.splits()
    absent = next((split for split in splits if split not in there), None)
    if absent or not there:
        problem = f"has no split {absent!r}" if absent else f"has no splits that {reader.code.name} finds"
        raise DataError(reader.root, problem, f"Take one of {', '.join(there) or 'none'}.")
    chosen, kind, settings = tuple(splits) or layouts.usual_order(there), reader.kind, {"reader": reader.code.described}
    if kind == "scenes":
        names = {split: reader.scans(split) for split in chosen}
        work = partial(_prepare_user_scene, reader.code, reader.root, out)
        return _prepare_scenes(out, names, lambda split: work, reader.fingerprint, settings, workers)
    files = {split: reader.files(split) for split in chosen}
    if kind == "parts":
        return _prepare_shapes(reader.root, out, reader.part_set, files, {"kind": "parts", **settings})
    read = partial(read_objects, reader.objects())
    return _prepare_shapes(reader.root, out, read, files, {"kind": "objects", "up": "z", **settings})


def _prepare_user_scene(code: UserCode, root: Path, out: Path, scan: str) -> None:
    _save(out / f"{scan}.npz", load_user_reader(code, root).scene(scan))


def sizes(store: SceneStore | ObjectStore) -> dict[str, int]:
    """How many scenes or shapes each split has."""
    found = {split: names if isinstance(names, int) else len(names) for split, names in store.splits.items()}
    return {split: found[split] for split in layouts.usual_order(found)}


def in_words(store: SceneStore | ObjectStore) -> str:
    """What a store holds, for instance "scenes (train 1201, val 312)"."""
    return f"{store.kind} ({', '.join(f'{split} {size}' for split, size in sizes(store).items())})"


def _prepare_scene(
    root: Path, out: Path, labels_needed: bool, label_map: dict[str, int], box_classes: tuple[int, ...], scan: str
) -> None:
    labelled = labels_needed or has_labels(root, scan)
    _save(out / f"{scan}.npz", read_scene(root, scan, labelled, label_map, box_classes))


def _prepare_shapes(
    root: Path,
    out: Path,
    read: Callable[..., ObjectSet | PartSet],
    files: dict[str, list[Path]],
    settings: dict[str, Any],
) -> ObjectStore:
    with exclusive(out):
        manifest.claim(out, {"format": FORMAT, **settings})
        there = _manifest(out, settings["kind"]) if (out / manifest.NAME).is_file() else {"splits": {}, "sources": {}}
        there_now = {split: paths for split, paths in files.items() if all(path.is_file() for path in paths)}
        sources = {split: _files_hash(root, paths) for split, paths in there_now.items()}
        begun = _claim_sources(out, {**there["sources"], **_begun_sources(out)}, sources)
        splits = dict(there["splits"])
        for split in files:
            path = out / f"{split}.npz"
            if not path.is_file():
                _save(path, read(split))
            if split not in splits:
                splits[split] = len(json.loads(str(read_arrays(path, _DELETE)["others"]))["names"])
        content = {"format": FORMAT, **settings, "splits": splits, "sources": begun}
        manifest.write(out, content)
    return _open_shapes(out, settings["kind"])


def _open_shapes(out: Path, kind: str) -> ObjectStore:
    content = _manifest(out, kind)
    with manifest.reading(out):
        return ObjectStore(out, dict(content["splits"].items()), kind)


def _manifest(path: Path, kind: str) -> dict[str, Any]:
    content = manifest.read(path)
    if content.get("kind") != kind or content.get("format") != FORMAT:
        raise DataError(path / manifest.NAME, f"is not of a store of {kind} of format {FORMAT}", manifest.AGAIN)
    return content


def _choose(path: Path, splits: dict[str, Any], split: str) -> Any:
    if split not in splits:
        raise DataError(path, f"holds no split {split!r}, only {', '.join(sorted(splits))}", "Prepare that split too.")
    return splits[split]


def _fingerprint(folder: Path) -> str:
    """Names and sizes of a scan's meshes and labels: enough to tell another release, or other data of the same name."""
    kinds = (".ply", ".json", ".txt")
    sizes = sorted((entry.name, entry.stat().st_size) for entry in folder.iterdir() if entry.suffix in kinds)
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


def _files_hash(root: Path, paths: list[Path]) -> str:
    """A list by its content; what holds the data itself (meshes, gigabytes of points) by names and sizes."""
    if len(paths) == 1 and paths[0].suffix in (".txt", ".json"):
        return manifest.file_sha256(paths[0])
    sizes = [(path.relative_to(root).as_posix(), path.stat().st_size) for path in paths]
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


def _begun_sources(out: Path) -> dict[str, str]:
    """What an earlier call, finished or not, set out to parse."""
    path = out / _SOURCES
    return read_json(path, manifest.AGAIN) if path.is_file() else {}


def _claim_sources(out: Path, there: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """Write down, before any of it is parsed, what the files of this folder are made from; returns all of it.

    Raises:
        DataError: something that was parsed, or begun, has changed since.
    """
    manifest.check_sources(out, there, now)
    write_json(out / _SOURCES, {**there, **now}, sort_keys=True)
    return {**there, **now}


def _save(path: Path, sample: Scene | ObjectSet | PartSet) -> None:
    """Arrays as arrays, all other fields as one JSON text."""
    values = {f.name: getattr(sample, f.name) for f in fields(sample)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in values.items() if name not in arrays}
    write_arrays(path, {"others": np.array(json.dumps(others)), **arrays})


def _load(path: Path, kind: type[Sample]) -> Sample:
    values: dict[str, Any] = read_arrays(path, _DELETE)
    try:
        return _sample(values, kind)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise DataError(path, f"does not hold what was prepared ({error})", _DELETE) from error


def _sample(values: dict[str, Any], kind: type[Sample]) -> Sample:
    others = json.loads(str(values.pop("others")))
    if kind is PartSet:
        others["part_ids"] = [tuple(ids) for ids in others["part_ids"]]
        others["part_names"] = {int(part): name for part, name in others["part_names"].items()}
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in others.items()}
    if kind is Scene and values["boxes"].shape[1] == 6:  # written before boxes had headings
        values["boxes"] = np.pad(values["boxes"], ((0, 0), (0, 1)))
    return kind(**values)

"""Whether what the package wrote is whole: stores, pre-training runs, teachers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointdistill import manifest, targets
from pointdistill.files import read_json
from pointdistill.prepared_labels import SceneStore, open_objects, open_part_shapes
from pointdistill.store import FrameStore, frames_manifest
from pointdistill.teachers.small import load_small_teacher
from pointdistill.tensors import load_tensors

_LABELLED = {"scenes": "labelled scenes", "objects": "labelled shapes", "parts": "part-labelled shapes"}
_WEIGHTS = ("backbone.safetensors", "method.safetensors")


def examine_finished(path: Path) -> Iterator[str] | None:
    """Lines on a folder that the package wrote; None if it is none.

    Raises (the iterator):
        DataError: a file of it is missing or damaged.
    """
    if (path / "teacher.json").is_file():
        return _teacher(path)
    if "recipe" in _object(path / "run.json"):
        return _run(path)
    settings = _object(path / manifest.SETTINGS)
    kind = settings.get("kind")
    if kind == "frames":
        return _frames(path, settings)
    return _labels(path, kind) if kind in _LABELLED else None


def _object(path: Path) -> dict[str, Any]:
    """The content of a JSON file of ours; nothing if there is none."""
    content = read_json(path, manifest.AGAIN) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _teacher(path: Path) -> Iterator[str]:
    yield f"{path}: a trained teacher"
    teacher = load_small_teacher(path)
    yield f"  whole: {teacher.identity}, weights {teacher.weights_hash[:12]}; prepare --teacher {path} takes it"


def _run(path: Path) -> Iterator[str]:
    yield f"{path}: a pre-training run"
    if not (path / "result.json").is_file():
        there = "a checkpoint to go on from" if (path / "state.safetensors").is_file() else "no checkpoint yet"
        yield f"  not finished, {there}: the same pretrain command goes on"
        return
    result = read_json(path / "result.json", "Run the same pretrain command again.")
    for name in _WEIGHTS:
        load_tensors(path / name)
    yield f"  whole: {result['steps']} steps, {' and '.join(_WEIGHTS)} can be read"


def _frames(path: Path, settings: dict[str, Any]) -> Iterator[str]:
    if not manifest.is_there(path):
        done = len([*(path / "parts").glob("*.npz")])
        yield f"{path}: a store of frames, not finished: {done} of {len(settings.get('scans', []))} recordings"
        yield "  the same prepare command goes on"
        return
    content = frames_manifest(path)
    yield f"{path}: a store of {content['frames']} frames of {len(content['scans'])} recordings ({content['source']})"
    up = content.get("up", "z") or "unknown"
    yield f"  every {content['every']}, {content['skipped_count']} frames skipped, up: {up}"
    found = targets.finished(path)
    if not found:
        yield "  no finished targets of a teacher: the same prepare command goes on"
    for folder in found:
        store = FrameStore.open(path, folder.name, verify=True)
        yield f"  targets of {store.teacher['identity']}, {list(store.target_shape)} each; all files are as written"


def _labels(path: Path, kind: str) -> Iterator[str]:
    if not manifest.is_there(path):
        yield f"{path}: a store of {_LABELLED[kind]}, not finished: the same preparation goes on"
        return
    yield f"{path}: a store of {_LABELLED[kind]}"
    for split in manifest.read(path)["splits"]:
        if kind == "scenes":
            store = SceneStore.open(path)
            count = len([store.scene(name) for name in store.names(split)])
        else:
            count = len((open_objects if kind == "objects" else open_part_shapes)(path, split).names)
        yield f"  split {split}: {count}, all can be read"

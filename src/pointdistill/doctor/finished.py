"""Whether what the package wrote is whole: stores, pre-training runs, backbones, fine-tuned models, teachers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointdistill import manifest, targets
from pointdistill.console import track
from pointdistill.datasets.problems import object_problems, part_problems, scene_problems
from pointdistill.doctor.problem import Problem
from pointdistill.errors import DataError
from pointdistill.files import read_json
from pointdistill.models.checkpoints import FILE_NAME as BACKBONE
from pointdistill.models.checkpoints import load_backbone
from pointdistill.prepared_labels import SceneStore, open_objects, open_part_shapes
from pointdistill.store import FrameStore, frames_manifest
from pointdistill.tasks.saved import CARD, WEIGHTS, load_task_model
from pointdistill.teachers.small import load_small_teacher
from pointdistill.tensors import load_tensors

_LABELLED = {"scenes": "labelled scenes", "objects": "labelled shapes", "parts": "part-labelled shapes"}
_WEIGHTS = (BACKBONE, "method.safetensors")
_CHECKPOINT = "checkpoint.safetensors"


def examine_finished(path: Path, points: int) -> Iterator[str] | None:
    """Lines on a folder that the package wrote; None if it is none.

    Args:
        points: a labelled cloud or scene must hold at least so many.

    Raises (the iterator):
        DataError: a file of it is missing or damaged.
    """
    if (path / "teacher.json").is_file():
        return _teacher(path)
    if "recipe" in _object(path / "run.json"):
        return _run(path)
    if (path / CARD).is_file() or (path / _CHECKPOINT).is_file():
        return _model(path)
    if (path / BACKBONE).is_file():
        return _backbone(path)
    settings = _object(path / manifest.SETTINGS)
    kind = settings.get("kind")
    if kind == "frames":
        return _frames(path, settings)
    if kind == "shapes":
        return _shapes(path)
    return _labels(path, kind, points) if kind in _LABELLED else None


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


def _model(path: Path) -> Iterator[str]:
    if not (path / CARD).is_file():
        yield f"{path}: a fine-tuning, not finished: the same finetune command goes on"
        return
    code = _object(path / CARD).get("code")
    if isinstance(code, dict) and code.get("task"):
        load_tensors(path / WEIGHTS)
        yield f"{path}: a fine-tuned model, its task {code['task']} from a file of its owner's, {code.get('file')}"
        yield f"  whole: weights can be read; evaluate {path} --recipe FILE.py:{code.get('name')} tests it"
        return
    saved = load_task_model(path)
    origin = f"of {saved.card['peer']}'s file {saved.card['file']}" if "peer" in saved.card else "a fine-tuned model"
    yield f"{path}: {origin}, {saved.task.name.replace('_', ' ')}"
    backbone = ", with its backbone" if (path / BACKBONE).is_file() else ""
    yield f"  whole: weights can be read{backbone}; evaluate {path} tests it on a store of {saved.task.store}"


def _backbone(path: Path) -> Iterator[str]:
    backbone, card = load_backbone(path), _object(path / "backbone.json")
    origin = f" of {card['peer']}'s file {card['file']}" if "peer" in card else ""
    yield f"{path}: a backbone{origin}"
    size = f"{backbone.config.depth} blocks of width {backbone.width}"
    yield f"  whole: {size}; finetune and probe take it by --init {path}"


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


def _shapes(path: Path) -> Iterator[str]:
    if not manifest.is_there(path):
        yield f"{path}: a store of shapes, not finished: the same prepare command begins it again"
        return
    content = frames_manifest(path)
    yield f"{path}: a store of {content['frames']} shapes ({content['source']})"
    points = FrameStore.open(path, verify=True).points.shape[1]
    yield f"  {points} points each, z up, without targets (reconstruction needs none); all files are as written"


def _labels(path: Path, kind: str, points: int) -> Iterator[str]:
    if not manifest.is_there(path):
        yield f"{path}: a store of {_LABELLED[kind]}, not finished: the same preparation goes on"
        return
    yield f"{path}: a store of {_LABELLED[kind]}"
    for split, there in manifest.read(path)["splits"].items():
        count, found = len(there) if kind == "scenes" else there, 0
        for error in _label_problems(path, kind, split, points):
            found += 1
            yield Problem.of(error)
        said = "all can be read" if not found else f"{found} problem{'s' if found > 1 else ''}"
        yield f"  split {split}: {count}, {said}"


def _label_problems(path: Path, kind: str, split: str, points: int) -> Iterator[DataError]:
    """What is wrong with the samples of a split; a file that cannot be read is one problem."""
    if kind == "scenes":
        store = SceneStore.open(path)
        for name in track(store.names(split), f"reading {split} scenes"):
            try:
                yield from scene_problems(store.scene(name), path / f"{name}.npz", points)
            except DataError as error:
                yield error
        return
    try:
        if kind == "objects":
            yield from object_problems(open_objects(path, split), path / f"{split}.npz", points)
        else:
            yield from part_problems(open_part_shapes(path, split), path / f"{split}.npz", points)
    except DataError as error:
        yield error

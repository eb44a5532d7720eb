"""What a folder is, whether it is whole, and what preparing it would give and cost. Nothing is changed in it."""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter

from PIL import Image

from pointdistill import manifest, targets
from pointdistill.console import track
from pointdistill.datasets import layouts
from pointdistill.datasets.captions import read_captions
from pointdistill.datasets.layouts import Layout
from pointdistill.datasets.recording import Recording
from pointdistill.datasets.rgbd import FolderRecording
from pointdistill.datasets.scannet import read_split
from pointdistill.datasets.scannet.layout import ScanNetRecording, scan_names
from pointdistill.errors import DataError, PointdistillError
from pointdistill.files import UNREADABLE_IMAGE, read_json
from pointdistill.scan_part import FrameSettings, quantise, unproject
from pointdistill.store import FIELDS, FrameStore, frames_manifest
from pointdistill.teachers.base import Teacher
from pointdistill.teachers.small import load_small_teacher
from pointdistill.tensors import load_tensors

_TRIED = 4
_PLACES = ("scans", "scans_test", ".")
_LABELS = {
    ".txt": "--type .txt",
    "_vh_clean_2.ply": "--type _vh_clean_2.ply",
    "_vh_clean_2.0.010000.segs.json": "--type _vh_clean_2.0.010000.segs.json",
    ".aggregation.json": "--type .aggregation.json",
}
_MATRICES, _VECTORS, _SIZES = 4, 3, 2
"""How many of a store's fields hold 4x4, 3 and 2 numbers a frame; beside points, the rest hold one."""


def examine(path: str | Path, every: int = 25) -> Iterator[str]:
    """Lines on what lies at `path`: a data set, a store, or a pre-training run.

    Args:
        every: pairs are counted, and their cost is estimated, for every n-th frame.

    Raises:
        DataError: it is nothing known, or not usable as what it is.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        yield from _run(path)
    elif (path / manifest.SETTINGS).is_file():
        yield from _store(path)
    else:
        layout = layouts.layout_of(path)
        yield f"{path}: {layout.title}"
        yield from _recordings(path, layout, every) if layout.records else _labelled(path, layout)


def _run(path: Path) -> Iterator[str]:
    yield f"{path}: a pre-training run"
    if not (path / "result.json").is_file():
        there = "a checkpoint to go on from" if any(path.glob("*checkpoint*")) else "no checkpoint yet"
        yield f"  not finished; {there}: the same pretrain command goes on"
        return
    result = read_json(path / "result.json", "Run the same pretrain command again.")
    for name in ("backbone.safetensors", "method.safetensors"):
        load_tensors(path / name)
    yield f"  whole: {result['steps']} steps, backbone.safetensors can be read"


def _store(path: Path) -> Iterator[str]:
    if not manifest.is_there(path):
        settings = read_json(path / manifest.SETTINGS, manifest.AGAIN)
        done = len([*(path / "parts").glob("*.npz")])
        yield f"{path}: a store of frames, not finished: {done} of {len(settings.get('scans', []))} recordings"
        yield "  the same prepare command goes on"
        return
    content = frames_manifest(path)
    yield f"{path}: a store of {content['frames']} frames of {len(content['scans'])} recordings ({content['source']})"
    yield f"  every {content['every']}, {content['skipped_count']} frames skipped, up: {content['up'] or 'unknown'}"
    found = targets.finished(path)
    if not found:
        yield "  no finished targets of a teacher: the same prepare command goes on"
    for folder in found:
        store = FrameStore.open(path, folder.name, verify=True)
        yield f"  targets of {store.teacher['identity']}, {list(store.target_shape)} each; all files are as written"


@dataclass
class _Survey:
    """What was found in the recordings.

    Attributes:
        frames: of each recording that opens, its frames that are wholly there.
        problems: what is wrong, in words.
    """

    frames: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _recordings(path: Path, layout: Layout, every: int) -> Iterator[str]:
    found: list[Recording]
    if layout == layouts.SCANNET:
        yield from _scannet_lists(path)
        found = [*layouts.select(path, layouts.ALL).recordings]
    else:
        lists = layouts.split_lists(path)
        for split in lists:
            yield f"  split {split}: {len(layouts.select(path, split).recordings)} recordings"
        if not lists:
            yield "  no list of a split: --split train takes every recording"
        found = [*layouts.image_recordings(path)]
    survey = _Survey()
    for recording in track(found, "looking at recordings"):
        _look_at(recording, survey)
    yield f"  {len(survey.frames)} of {len(found)} recordings open, {sum(survey.frames.values())} frames"
    yield from (f"  problem: {problem}" for problem in survey.problems)
    usable = [recording for recording in found if survey.frames.get(recording.name)]
    if not usable:
        raise DataError(path, "holds no recording with a frame that can be read", "See what is said of each above.")
    pairs = sum(math.ceil(count / every) for count in survey.frames.values())
    yield from _cost(usable, pairs, every)
    if any(getattr(recording, "up", None) is None for recording in usable):
        yield "  nobody says which way is up: for frame='gravity', prepare with --up and the axis that points up"


def _scannet_lists(path: Path) -> Iterator[str]:
    """Each list's scans, and which files of how many are missing, with what fetches them."""
    there = {*scan_names(path)}
    for split in layouts.split_lists(path):
        names = read_split(path, split)
        absent = [name for name in names if name not in there]
        yield f"  split {split}: {len(names)} scans, {len(names) - len(absent)} with their .sens"
        if absent:
            yield f"  missing: .sens of {len(absent)} scans ({absent[0]}): ScanNet's downloader, --type .sens"
        for suffix, option in _LABELS.items():
            lacking = [
                name for name in names if not any((path / p / name / f"{name}{suffix}").is_file() for p in _PLACES)
            ]
            if lacking:
                yield f"  missing, for labelled scenes only: {suffix} of {len(lacking)} scans ({lacking[0]}): {option}"


def _look_at(recording: Recording, survey: _Survey) -> None:
    """Count its frames without decoding one."""
    try:
        if isinstance(recording, ScanNetRecording):
            _look_at_sens(recording, survey)
        elif isinstance(recording, FolderRecording):
            _look_at_images(recording, survey)
    except PointdistillError as error:
        survey.problems.append(str(error))


def _look_at_sens(recording: ScanNetRecording, survey: _Survey) -> None:
    with recording.open() as reader:
        whole, declared = reader.whole_frames(), reader.frame_count
    survey.frames[recording.name] = whole
    if whole < declared:
        survey.problems.append(
            f"{recording.path}: ends after frame {whole} of {declared}: the tail is lost. Download it again"
        )


def _look_at_images(recording: FolderRecording, survey: _Survey) -> None:
    contents = recording.read(recording.path)
    with recording.open():
        pass
    missing = [file for shot in contents.shots for file in shot.files if not file.is_file()]
    without = sum(shot.pose is None for shot in contents.shots)
    whole = [shot for shot in contents.shots if shot.pose is not None and all(file.is_file() for file in shot.files)]
    survey.frames[recording.name] = len(whole)
    survey.problems += [f"{recording.path}: {what}, left out" for what in contents.left_out]
    if missing:
        survey.problems.append(f"{missing[0]}: no such file, nor {len(missing) - 1} others of {recording.name}")
    if without:
        survey.problems.append(f"{recording.path}: {without} frames without a pose are left out")
    if not recording.has_poses:
        survey.problems.append(f"{recording.path}: no trajectory, so only the camera's frame can be used")


def _cost(recordings: list[Recording], pairs: int, every: int) -> Iterator[str]:
    """The estimate, from a few frames prepared here and now, of which nothing is kept."""
    teacher = load_small_teacher()
    took, sizes = [], []
    for recording in recordings[:_TRIED]:
        began = perf_counter()
        for points in islice(_prepared(recording, teacher, every), _TRIED):
            took.append(perf_counter() - began)
            sizes.append(points)
            began = perf_counter()
    yield f"  {pairs} pairs at every {every}"
    if not took:
        yield "  none of those tried can be decoded, so their cost is not estimated"
        return
    seconds = sorted(took)[len(took) // 2]
    disk = pairs * bytes_a_frame(max(sizes), teacher.target_shape)
    yield (
        f"  to prepare them: about {_duration(pairs * seconds)} of one core ({1000 * seconds:.0f} ms a pair, embedded "
        f"teacher, {len(took)} pairs tried), {disk / 1e6:,.1f} MB"
    )


def _prepared(recording: Recording, teacher: Teacher, every: int) -> Iterator[int]:
    """Prepare frames one by one; yields how many points each has."""
    with recording.open() as reader:
        for frame in reader.every(every, lambda problem: None):
            try:
                image = Image.open(io.BytesIO(frame.colour)).convert("RGB")
            except UNREADABLE_IMAGE:
                continue
            valid = frame.depth.reshape(-1).nonzero()[0]
            if len(valid):
                kept = valid[: FrameSettings().points]
                quantise(unproject(frame.depth, kept, reader.depth_intrinsics, reader.depth_shift))
                teacher.targets([image])
                yield len(kept)


def bytes_a_frame(points: int, target_shape: tuple[int, ...]) -> int:
    """What a store needs for a frame of so many points and its target, without images."""
    single = len(FIELDS) - 1 - _MATRICES - _VECTORS - _SIZES
    numbers = 16 * _MATRICES + 3 * _VECTORS + 2 * _SIZES + single
    return 2 * 3 * points + 4 * numbers + 2 * math.prod(target_shape)


def _labelled(path: Path, layout: Layout) -> Iterator[str]:
    if layout == layouts.CAPTIONS:
        captions = read_captions(path)
        yield f"  {len(captions)} captions of {len({caption.path for caption in captions})} images, all there"
        return
    lists = _modelnet_lists(path) if layout == layouts.MODELNET40 else _shapenet_lists(path)
    if not lists:
        raise DataError(path, f"holds no split list of {layout.title}", "Unpack it again.")
    for split, files in lists.items():
        absent = [file for file in files if not file.is_file()]
        yield f"  split {split}: {len(files)} shapes, {len(files) - len(absent)} there"
        if absent:
            yield f"  missing: {absent[0]} and {len(absent) - 1} more: unpack the data set again"


def _modelnet_lists(path: Path) -> dict[str, list[Path]]:
    lists = sorted(file for file in path.glob("modelnet40_*.txt") if file.stem != "modelnet40_shape_names")
    return {
        file.stem.removeprefix("modelnet40_"): [
            path / name.rpartition("_")[0] / f"{name}.txt" for name in file.read_text(encoding="utf-8").split()
        ]
        for file in lists
    }


def _shapenet_lists(path: Path) -> dict[str, list[Path]]:
    found = {}
    for file in sorted((path / "train_test_split").glob("shuffled_*_file_list.json")):
        try:
            names = [name.removeprefix("shape_data/") for name in json.loads(file.read_text(encoding="utf-8"))]
        except (ValueError, AttributeError):
            raise DataError(file, "is no list of shapes", "Unpack the data set again.") from None
        found[file.name.split("_")[1]] = [path / f"{name}.txt" for name in names]
    return found


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

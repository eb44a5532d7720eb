"""Whether RGB-D recordings are whole, and how many pairs of a cloud and an image they would give."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pointdistill.console import track
from pointdistill.datasets import layouts
from pointdistill.datasets.layouts import Layout
from pointdistill.datasets.recording import Recording, is_upright
from pointdistill.datasets.rgbd import FolderRecording
from pointdistill.datasets.scannet.layout import ScanNetRecording, find_scan, read_split, recordings, scan_names
from pointdistill.doctor.cost import cost_line
from pointdistill.doctor.labelled import scene_lines, table_line
from pointdistill.errors import DataError, PointdistillError

_SHOWN = 20
"""Problems that are printed one by one."""


@dataclass
class _Survey:
    """What was found in the recordings.

    Attributes:
        frames: of each recording that opens, its frames that are wholly there.
        pairs: of each, those among every n-th frame that can be a pair.
        problems: what is wrong, in words.
    """

    frames: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def examine_recordings(path: Path, layout: Layout, every: int, points: int) -> Iterator[str]:
    """Lines on splits, on files that are missing or broken, on pairs at every n-th frame and their cost.

    No image is decoded but those of a few frames that are timed. ScanNet's labelled scenes are read whole.

    Raises:
        DataError: nothing in the folder can be used.
    """
    lists: dict[str, list[str]] = {}
    if layout == layouts.SCANNET:
        lists = {split: read_split(path, split) for split in layouts.split_lists(path)}
        yield from _scannet(path, lists, points)
        found: list[Recording] = [*recordings(path, layouts.ALL)] if _any_sens(path) else []
        if not found:
            yield "  no .sens recording: nothing to pre-train on"
            return
    else:
        yield from _read_lists(path, lists)
        found = [*layouts.image_recordings(path)]
    survey = _Survey()
    for recording in track(found, "looking at recordings"):
        _look_at(recording, every, survey)
    yield f"  {len(survey.frames)} of {len(found)} recordings open, {sum(survey.frames.values())} frames"
    yield from (f"  problem: {problem}" for problem in survey.problems[:_SHOWN])
    if len(survey.problems) > _SHOWN:
        yield f"  and {len(survey.problems) - _SHOWN} problems more"
    usable = [recording for recording in found if survey.pairs.get(recording.name)]
    if not usable:
        why = f"; the first problem: {survey.problems[0]}" if survey.problems else ""
        raise DataError(path, f"holds no recording with a usable frame at every {every}{why}", "Mend or replace them.")
    yield f"  {sum(survey.pairs.values())} pairs at every {every}{_of_splits(survey, lists)}"
    yield cost_line(usable, sum(survey.pairs.values()), every)
    if not all(is_upright(recording) for recording in usable):
        yield "  nobody says which way is up: for frame='gravity', prepare with --up and the axis that points up"


def _read_lists(path: Path, lists: dict[str, list[str]]) -> Iterator[str]:
    """Puts the names of each split's recordings into `lists`."""
    for split in layouts.split_lists(path):
        try:
            lists[split] = [recording.name for recording in layouts.select(path, split).recordings]
            yield f"  split {split}: {len(lists[split])} recordings"
        except DataError as error:
            lists[split] = []
            yield f"  problem: {error}"
    if not lists:
        yield "  no list of a split: all recordings are taken"


def _of_splits(survey: _Survey, lists: dict[str, list[str]]) -> str:
    counts = {split: sum(survey.pairs.get(name, 0) for name in names) for split, names in lists.items()}
    said = ", ".join(f"{split} {count}" for split, count in counts.items())
    return f" ({said})" if said else ""


def _any_sens(path: Path) -> bool:
    try:
        return bool(scan_names(path))
    except DataError:
        return False


def _scannet(path: Path, lists: dict[str, list[str]], points: int) -> Iterator[str]:
    """Each list's scans, and which files of how many are missing, with what fetches them.

    Raises:
        DataError: the folder has neither a recording nor a mesh of any scan.
    """
    if not lists:
        yield "  no split list: put scannetv2_train.txt there (it comes with ScanNet's repository), or use --split all"
    elif not _any_sens(path) and not any(find_scan(path, name) for names in lists.values() for name in names):
        raise DataError(path, "holds split lists but none of their scans", "Download them into scans/.")
    for split, names in lists.items():
        absent = [name for name in names if not _has_sens(path, name)]
        yield f"  split {split}: {len(names)} scans, {len(names) - len(absent)} with their .sens"
        if absent:
            yield f"    missing: .sens of {len(absent)} scans ({absent[0]}): ScanNet's downloader, --type .sens"
        yield from scene_lines(path, split, names, points)
    yield from table_line(path)


def _has_sens(path: Path, name: str) -> bool:
    folder = find_scan(path, name)
    return folder is not None and (folder / f"{name}.sens").is_file()


def _look_at(recording: Recording, every: int, survey: _Survey) -> None:
    try:
        if isinstance(recording, ScanNetRecording):
            _look_at_sens(recording, every, survey)
        elif isinstance(recording, FolderRecording):
            _look_at_images(recording, every, survey)
    except PointdistillError as error:
        survey.problems.append(str(error))


def _look_at_sens(recording: ScanNetRecording, every: int, survey: _Survey) -> None:
    with recording.open() as reader:
        poses, declared = reader.poses(), reader.frame_count
    tracked = np.asarray(np.isfinite(poses).all((1, 2)))
    survey.frames[recording.name], survey.pairs[recording.name] = len(poses), int(tracked[::every].sum())
    if len(poses) < declared:
        said = f"ends after frame {len(poses)} of {declared}: the tail is lost. Download it again"
        survey.problems.append(f"{recording.path}: {said}")
    if not tracked.all():
        survey.problems.append(f"{recording.path}: tracking was lost in {(~tracked).sum()} frames, which are skipped")


def _look_at_images(recording: FolderRecording, every: int, survey: _Survey) -> None:
    contents = recording.read(recording.path)
    with recording.open():
        pass
    shots, missing = contents.shots, []
    for shot in shots:
        missing += [file for file in shot.files if not file.is_file()]
    without = sum(shot.pose is None for shot in shots)
    whole = [shot.pose is not None and all(file.is_file() for file in shot.files) for shot in shots]
    survey.frames[recording.name], survey.pairs[recording.name] = sum(whole), sum(whole[::every])
    survey.problems += [f"{recording.path}: {what}, left out" for what in contents.left_out]
    if missing:
        others = f", nor {len(missing) - 1} others of {recording.name}" if len(missing) > 1 else ""
        survey.problems.append(f"{missing[0]}: no such file{others}. Copy the recording again")
    if without:
        survey.problems.append(f"{recording.path}: {without} frames without a pose are left out")
    if not recording.has_poses:
        survey.problems.append(f"{recording.path}: no trajectory, so only the camera's frame can be used")

"""Recordings -> a store of frames: unproject depth and run the frozen teacher, once a frame (paper, section 3.3).

The unit of work is one scan, read once: its part files (frames, targets) are written whole or not at all, the parts are
put together at the end, and the manifests come last. Neither the number of workers nor interruptions change a byte of
the result.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pointdistill import manifest, targets
from pointdistill.console import say
from pointdistill.datasets.axes import Axis
from pointdistill.datasets.layouts import SCANNET, select
from pointdistill.datasets.recording import Recording, bytes_of, is_upright
from pointdistill.datasets.scannet.layout import terms_of_use as scannet_terms
from pointdistill.datasets.user import UserReader, load_user_reader
from pointdistill.errors import PointdistillError
from pointdistill.files import exclusive
from pointdistill.parallel import parallel_map
from pointdistill.prepared_labels import (
    ObjectStore,
    SceneStore,
    in_words,
    open_objects,
    open_part_shapes,
    open_scenes,
    prepare_labels,
    prepare_objects,
    prepare_part_shapes,
    prepare_scenes,
    prepare_user_labels,
    sizes,
)
from pointdistill.scan_part import FrameSettings, ScanJob, part_path, prepare_scan
from pointdistill.store import FORMAT, FrameStore, frames_manifest, kept_frames
from pointdistill.store_writer import assemble_frames, assemble_targets
from pointdistill.teacher_calls import TeacherSpec, forget_teachers, remember_teacher
from pointdistill.teachers.base import Teacher

__all__ = [
    "FrameSettings",
    "ObjectStore",
    "SceneStore",
    "in_words",
    "load_user_reader",
    "open_objects",
    "open_part_shapes",
    "open_scenes",
    "prepare_frames",
    "prepare_labels",
    "prepare_objects",
    "prepare_part_shapes",
    "prepare_recordings",
    "prepare_scenes",
    "prepare_user_labels",
    "sizes",
]


def prepare_frames(
    root: str | Path,
    out: str | Path,
    teacher_factory: Callable[[], Teacher],
    split: str = "train",
    every: int = 25,
    points: int = 16384,
    keep_images: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    executor: Executor | None = None,
    up_axis: Axis | None = None,
    reader: UserReader | None = None,
) -> FrameStore:
    """Prepare the frames of a split of any data set of RGB-D recordings; see `prepare_recordings`.

    Args:
        root: its folder, in one of the layouts of docs/data.md.
        split: see `datasets.layouts.select`.
        up_axis: see `FrameSettings`.
        reader: of the user's own, for a data set in another layout; made of `root`.
    """
    settings = FrameSettings(every=every, points=points, keep_images=keep_images, seed=seed, up_axis=up_axis)
    if reader is not None:
        source, found = f"{reader.name} {split}", reader.recordings(split)
        code = {"reader": reader.code.described}
        return prepare_recordings(found, out, teacher_factory, settings, source, workers, executor, also=code)
    chosen = select(root, split)
    if chosen.note:
        say(chosen.note)
    source = f"{chosen.layout.name} {chosen.split}"
    terms = scannet_terms(root) if chosen.layout == SCANNET else "those of their owner"
    return prepare_recordings(chosen.recordings, out, teacher_factory, settings, source, workers, executor, terms)


def prepare_recordings(
    recordings: Sequence[Recording],
    out: str | Path,
    teacher_factory: Callable[[], Teacher],
    settings: FrameSettings,
    source: str,
    workers: int | None = None,
    executor: Executor | None = None,
    terms: str = "those of their owner",
    also: dict[str, Any] | None = None,
) -> FrameStore:
    """Prepare recordings into a store at `out`, going on where an interrupted run was.

    What is there is kept: frames are read and unprojected once, however many teachers are asked about them, and each
    teacher once a frame. A second call with another teacher adds its targets and touches nothing else.

    Args:
        teacher_factory: makes the teacher; must pickle, since each worker process makes its own (a function of a
            module, or functools.partial of one).
        source: what the recordings are, for the manifest.
        workers: processes; the number of usable cores unless told. 1 works in this process.
        executor: another concurrent.futures executor to work on, for instance `cluster.cluster_executor`'s.
        terms: under whose terms of use the recordings are, for the manifest and the cards of what learns from them.
        also: what else decides the frames, for the manifest.

    Returns:
        The store, opened with this teacher's targets.

    Raises:
        DataError: a missing or unreadable recording, no usable frame, a folder that holds work with other settings,
            recordings that have changed since, another run at work there, a full disk.
    """
    out = Path(out)
    teacher = teacher_factory()
    spec = TeacherSpec.of(teacher, teacher_factory)
    folder = targets.folder_of(out, spec.described())
    of_frames, of_targets = _claims(recordings, settings, source, terms, spec)
    of_frames |= also or {}
    sizes = {recording.name: bytes_of(recording) for recording in recordings}
    up = _up(recordings, settings.up_axis)
    with exclusive(out):
        manifest.claim(out, of_frames)
        kept = _kept(out, sizes)
        manifest.claim(folder, of_targets)
        if not (kept and _is_finished(folder)):
            jobs = [_job(recording, out, folder, settings, spec, sizes, kept) for recording in recordings]
            _run(sorted(jobs, key=lambda job: job.recording.name), teacher, source, workers, executor)
            if not kept:
                assemble_frames(out, of_frames["scans"], {**of_frames, "up": up, "recording_bytes": sizes})
            assemble_targets(out, folder, of_targets)
            _say_finished(FrameStore.open(out, folder.name))
        return FrameStore.open(out, folder.name)


def _claims(
    recordings: Sequence[Recording], settings: FrameSettings, source: str, terms: str, teacher: TeacherSpec
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What decides a store's frames, and what decides a teacher's targets of them."""
    of_frames = asdict(settings)
    batch = of_frames.pop("batch")
    if settings.up_axis is None:  # so that stores from before there was a choice are gone on with
        del of_frames["up_axis"]
    scans = sorted(recording.name for recording in recordings)
    return (
        {"format": FORMAT, "kind": "frames", "source": source, "terms": terms, "scans": scans, **of_frames},
        {"format": FORMAT, "kind": "targets", "teacher": teacher.described(), "batch": batch},
    )


def _up(recordings: Sequence[Recording], up_axis: str | None) -> str | None:
    """Whether the store's poses lead into a world whose z points up: "z", or None where nobody knows.

    Raises:
        PointdistillError: an axis is named for recordings that know theirs, or that have no poses to turn.
    """
    known = [recording.name for recording in recordings if is_upright(recording)]
    if up_axis is None:
        return "z" if len(known) == len(recordings) else None
    if known and up_axis != "z":
        raise PointdistillError(f"--up {up_axis}: the poses of {known[0]} have z up already. Leave it out")
    without = [recording.name for recording in recordings if not getattr(recording, "has_poses", True)]
    if without:
        raise PointdistillError(f"--up {up_axis}: {without[0]} has no poses that could be turned. Leave it out")
    return "z"


def _job(
    recording: Recording,
    out: Path,
    folder: Path,
    settings: FrameSettings,
    spec: TeacherSpec,
    sizes: dict[str, int],
    kept: dict[str, tuple[int, ...]],
) -> ScanJob:
    name = recording.name
    of_frames, of_targets = (part_path(place.absolute(), name) for place in (out, folder))  # workers stand elsewhere
    return ScanJob(recording, sizes[name], settings, of_frames, of_targets, spec, kept.get(name))


def _kept(out: Path, sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Numbers of each scan's frames where they are finished, else nothing.

    Raises:
        DataError: a recording has changed since.
    """
    if not manifest.is_there(out):
        return {}
    shutil.rmtree(out / "parts", ignore_errors=True)  # an interruption may have left them after the manifest
    manifest.check_sources(out, frames_manifest(out)["recording_bytes"], sizes)
    return kept_frames(out)


def _is_finished(folder: Path) -> bool:
    if not manifest.is_there(folder):
        return False
    shutil.rmtree(folder / "parts", ignore_errors=True)
    return True


def _run(jobs: list[ScanJob], teacher: Teacher, source: str, workers: int | None, executor: Executor | None) -> None:
    """Make the parts that are missing."""
    remember_teacher(teacher)
    try:
        missing = [job for job in jobs if any(job.missing())]
        parallel_map(prepare_scan, missing, f"preparing {source} frames", workers, executor)
    finally:
        forget_teachers()


def _say_finished(store: FrameStore) -> None:
    skipped = store.manifest["skipped"]
    say(
        f"{len(store)} frames of {len(store.scan_names)} scans in {store.path}; {len(skipped)} skipped; targets of "
        f"{store.teacher['identity']}"
    )
    for entry in skipped[:3]:
        say(f"  skipped {entry['scan']} frame {entry['frame']}: {entry['why']}")

"""Recordings -> a store of frames: unproject depth and run the frozen teacher, once a frame (paper, section 3.3).

The unit of work is one scan: its part file is written whole or not at all, the parts are put together at the end, and
the manifest comes last. Neither the number of workers nor interruptions change a byte of the result.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path

from pointdistill import manifest
from pointdistill.console import console
from pointdistill.datasets.recording import Recording
from pointdistill.datasets.scannet.layout import recordings as scannet_recordings
from pointdistill.files import exclusive
from pointdistill.parallel import parallel_map
from pointdistill.prepared_labels import (
    ObjectStore,
    SceneStore,
    open_objects,
    open_part_shapes,
    open_scenes,
    prepare_objects,
    prepare_part_shapes,
    prepare_scenes,
)
from pointdistill.scan_part import (
    FrameSettings,
    ScanJob,
    forget_teachers,
    part_is_whole,
    part_path,
    prepare_scan,
    remember_teacher,
)
from pointdistill.store import FORMAT, FrameStore
from pointdistill.store_writer import assemble
from pointdistill.teachers.base import Teacher

__all__ = [
    "FrameSettings",
    "ObjectStore",
    "SceneStore",
    "open_objects",
    "open_part_shapes",
    "open_scenes",
    "prepare_frames",
    "prepare_objects",
    "prepare_part_shapes",
    "prepare_recordings",
    "prepare_scenes",
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
) -> FrameStore:
    """Prepare the frames of a ScanNetV2 split; see `prepare_recordings`."""
    settings = FrameSettings(every=every, points=points, keep_images=keep_images, seed=seed)
    found = scannet_recordings(root, split)
    return prepare_recordings(found, out, teacher_factory, settings, f"scannet {split}", workers, executor)


def prepare_recordings(
    recordings: Sequence[Recording],
    out: str | Path,
    teacher_factory: Callable[[], Teacher],
    settings: FrameSettings,
    source: str,
    workers: int | None = None,
    executor: Executor | None = None,
) -> FrameStore:
    """Prepare recordings into a store at `out`, going on where an interrupted run was.

    Args:
        teacher_factory: makes the teacher; must pickle, since each worker process makes its own (a function of a
            module, or functools.partial of one).
        source: what the recordings are, for the manifest.
        workers: processes; the number of usable cores unless told. 1 works in this process.
        executor: another concurrent.futures executor to work on.

    Raises:
        DataError: a missing or unreadable recording, no usable frame, a folder that holds work with other settings or
            another teacher, another run at work there, a full disk.
    """
    out = Path(out)
    teacher = teacher_factory()
    settings_there = {
        "format": FORMAT,
        "kind": "frames",
        "source": source,
        "scans": sorted(recording.name for recording in recordings),
        **asdict(settings),
        "teacher": {
            "identity": teacher.identity,
            "weights_hash": teacher.weights_hash,
            "target_shape": list(teacher.target_shape),
        },
    }
    sizes = {recording.name: _bytes_of(recording) for recording in recordings}
    with exclusive(out):
        manifest.claim(out, settings_there)
        if (out / manifest.NAME).is_file():
            shutil.rmtree(out / "parts", ignore_errors=True)  # an interruption may have left them after the manifest
            store = FrameStore.open(out)
            manifest.check_sources(out, store.manifest["recording_bytes"], sizes)
            return store
        teacher_there = settings_there["teacher"]
        jobs = [
            ScanJob(
                recording,
                part_path(out, recording.name),
                settings,
                teacher_there,
                teacher_factory,
                sizes[recording.name],
            )
            for recording in sorted(recordings, key=lambda recording: recording.name)
        ]
        remember_teacher(teacher)
        try:
            (out / "parts").mkdir(exist_ok=True)
            missing = [job for job in jobs if not part_is_whole(job)]
            parallel_map(prepare_scan, missing, f"preparing {source} frames", workers, executor)
        finally:
            forget_teachers()
        assemble(out, [job.recording.name for job in jobs], {**settings_there, "recording_bytes": sizes})
        store = FrameStore.open(out)
    _say_skipped(store)
    return store


def _bytes_of(recording: Recording) -> int:
    """Size of a recording that is one file (`path`), else 0: a copy completed since, or another release, differs."""
    path = getattr(recording, "path", None)
    return Path(path).stat().st_size if path is not None and Path(path).is_file() else 0


def _say_skipped(store: FrameStore) -> None:
    skipped = store.manifest["skipped"]
    console.print(
        f"{len(store)} frames of {len(store.scan_names)} scans in {store.path}; {len(skipped)} skipped", markup=False
    )
    for entry in skipped[:3]:
        console.print(f"  skipped {entry['scan']} frame {entry['frame']}: {entry['why']}", markup=False)

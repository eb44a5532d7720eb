"""One scan's share of a store: one part file of its usable frames, one of a teacher's targets; each whole or absent."""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt16
from PIL import Image

from pointdistill.datasets.axes import Axis, to_z_up
from pointdistill.datasets.coordinates import LARGEST, usable
from pointdistill.datasets.recording import BrokenFrame, Frame, FrameReader, Recording, TruncatedRecording
from pointdistill.datasets.rgbd.poses import is_rigid
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_ARRAY, UNREADABLE_IMAGE, write_arrays
from pointdistill.seeding import numpy_generator
from pointdistill.store import HALF_RANGE
from pointdistill.targets import DTYPE as TARGET_DTYPE
from pointdistill.teacher_calls import TeacherSpec, ask

_STEPS = (1 << 16) - 1
_JPEG_QUALITY = 90
_NO_ARRAY = tuple(kind for kind in UNREADABLE_ARRAY if kind is not OSError)
"""What a file says that holds something else; a disk that fails is another matter."""


@dataclass(frozen=True)
class FrameSettings:
    """What decides the content of a store, beside the recordings and the teacher. All but `batch` decides the frames.

    Attributes:
        every: take every n-th frame of a recording (the paper's "frame sampling 25").
        points: keep so many random valid points of a frame; each draw in training takes fewer, afresh.
        keep_images: also keep the colour images as jpegs, the shorter side this long.
        min_valid: skip frames where a smaller share of the depth pixels is valid.
        batch: images given to the teacher at once; batches never cross scans.
        seed: of the choice of points.
        up_axis: the axis of the recordings' world that points up: poses are turned so that it becomes z. None leaves
            them as they are recorded.
    """

    every: int = 25
    points: int = 16384
    keep_images: int | None = None
    min_valid: float = 0.05
    batch: int = 16
    seed: int = 0
    up_axis: Axis | None = None


@dataclass(frozen=True)
class ScanJob:
    """Everything a worker needs to know to write a scan's part files; small when pickled.

    Attributes:
        recording: the scan.
        recording_bytes: its size: parts of another size are of another recording.
        frames_part, targets_part: where the two part files belong.
        kept: numbers of the scan's frames in a store whose frames are finished; None while they are not.
    """

    recording: Recording
    recording_bytes: int
    settings: FrameSettings
    frames_part: Path
    targets_part: Path
    teacher: TeacherSpec
    kept: tuple[int, ...] | None = None

    def missing(self) -> tuple[bool, bool]:
        """Whether the part of the frames, and that of the targets, has to be made."""
        frames = self.kept is None and not _is_whole(self.frames_part, self.recording_bytes)
        return frames, not _is_whole(self.targets_part, self.recording_bytes)


def part_path(folder: Path, scan: str) -> Path:
    """Where a folder of frames or targets keeps a finished scan until all are."""
    return folder / "parts" / f"{scan}.npz"


def _is_whole(path: Path, recording_bytes: int) -> bool:
    """Whether a finished part of this very recording lies there; the zip's checksums are compared."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                return False
        with np.load(path, allow_pickle=False) as part:
            readable = all(part[name] is not None for name in part.files)  # arrays of objects raise
            return readable and int(part["recording_bytes"]) == recording_bytes
    except (FileNotFoundError, zipfile.BadZipFile, KeyError, TypeError, *_NO_ARRAY):
        return False


def prepare_scan(job: ScanJob) -> None:
    """Read one scan once and write what is missing of it: its frames, the teacher's targets of them, or both."""
    frames_missing, targets_missing = job.missing()
    if not (frames_missing or targets_missing):  # a cluster's worker that was given up for dead has done it meanwhile
        return
    found = _Found()
    with job.recording.open() as reader:
        frames = _usable(job, reader, found.skipped)
        while chunk := list(islice(frames, job.settings.batch)):
            found.numbers += [frame.index for frame, _ in chunk]
            if frames_missing:
                _add_frames(job, reader, chunk, found)
            if targets_missing:
                names = [f"{job.recording.name} frame {frame.index}" for frame, _ in chunk]
                found.targets.append(ask(job.teacher, [image for _, image in chunk], job.targets_part, names))
        if frames_missing:
            _write_frames(job, reader, found)
    if targets_missing:
        _write_targets(job, found)


@dataclass
class _Found:
    """What was found in a scan so far."""

    numbers: list[int] = field(default_factory=list)
    rows: list[dict[str, np.ndarray]] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    targets: list[np.ndarray] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)


def _usable(job: ScanJob, reader: FrameReader, skipped: list[dict[str, Any]]) -> Iterator[tuple[Frame, Image.Image]]:
    """Each usable frame with its colour image; the others are put on the list. The teacher has no say in it."""
    name, settings = job.recording.name, job.settings

    def broken(problem: BrokenFrame) -> None:
        last = isinstance(problem, TruncatedRecording)
        why = f"{problem.problem}; it and all frames after it are lost" if last else problem.problem
        skipped.append({"scan": name, "frame": problem.frame, "why": why})

    for frame in reader.every(settings.every, broken):
        image, why = None, _why_unusable(frame, settings.min_valid)
        if why is None and (image := colour_image(frame)) is None:
            why = "the colour image does not decode"
        if image is None:
            skipped.append({"scan": name, "frame": frame.index, "why": why})
            continue
        yield frame, image


def _add_frames(job: ScanJob, reader: FrameReader, chunk: list[tuple[Frame, Image.Image]], found: _Found) -> None:
    turn = to_z_up(job.settings.up_axis) if job.settings.up_axis else None
    for frame, image in chunk:
        generator = numpy_generator(job.settings.seed, "points", job.recording.name, frame.index)
        points = frame_points(frame, reader, job.settings.points, generator)
        if not usable(points).all() or (len(points) > 1 and np.ptp(points, 0).max() < 1e-6):
            problem = f"its points are all in one place, not finite, or beyond {LARGEST:g} m"
            remedy = "Look at the numbers of its depth camera: focal lengths, centre, units a metre."
            raise DataError(getattr(job.recording, "path", job.recording.name), problem, remedy, f"frame {frame.index}")
        pose = frame.pose if turn is None else turn @ frame.pose
        found.rows.append({**quantise(points), "poses": pose, "frames": np.array(frame.index, np.int32)})
        if job.settings.keep_images:
            found.images.append(_small_jpeg(image, job.settings.keep_images))


def frame_points(
    frame: Frame, reader: FrameReader, most: int, generator: np.random.Generator
) -> Float32[np.ndarray, "points 3"]:
    """At most so many random valid points of a frame, metres, in the depth camera's frame."""
    valid = np.flatnonzero(frame.depth)
    chosen = valid[generator.choice(len(valid), min(most, len(valid)), replace=False, shuffle=False)]
    return unproject(frame.depth, chosen, reader.depth_intrinsics, reader.depth_shift)


def _why_unusable(frame: Frame, min_valid: float) -> str | None:
    if not np.isfinite(frame.pose).all():
        return "the pose is not finite"
    if not (is_rigid(frame.pose) and usable(frame.pose).all()):
        return "the pose is not a turn and a shift"
    valid = np.count_nonzero(frame.depth)
    if valid < max(min_valid * frame.depth.size, 1):
        return f"the depth is almost empty ({valid / frame.depth.size:.1%} valid)"
    return None


def unproject(
    depth: UInt16[np.ndarray, "height width"],
    pixels: Int64[np.ndarray, "points"],
    intrinsics: Float32[np.ndarray, "4 4"],
    depth_shift: float,
) -> Float32[np.ndarray, "points 3"]:
    """Points of some pixels in the camera's frame (x right, y down, z forward), metres.

    Args:
        depth: distance along z in units of 1/depth_shift metres.
        pixels: row-major numbers of the pixels.
        intrinsics: focal lengths and centre in pixels, pixel centres at integers: u = fx x / z + cx.
    """
    row, column = np.divmod(pixels, depth.shape[1])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # of impossible cameras: whoever asks looks
        z = depth.reshape(-1)[pixels] / depth_shift
        x = (column - intrinsics[0, 2]) / intrinsics[0, 0] * z
        y = (row - intrinsics[1, 2]) / intrinsics[1, 1] * z
        return np.stack([x, y, z], 1).astype(np.float32)


def quantise(points: Float32[np.ndarray, "points 3"]) -> dict[str, np.ndarray]:
    """Points as int16 in their own box (a room's frame of 8 m: steps of 0.12 mm, finer than its depth in mm)."""
    columns = np.ascontiguousarray(points.T)  # reductions over long rows are several times faster
    lower, upper = columns.min(1), columns.max(1)
    step = np.maximum((upper - lower) / _STEPS, np.float32(1e-9))
    counted = np.clip(np.rint((points - lower) / step), 0, _STEPS) - HALF_RANGE
    centre = columns.mean(1, dtype=np.float64)
    radius = np.sqrt(np.square(columns - centre[:, None]).sum(0).max())
    return {
        "points": counted.astype(np.int16),
        "lower": lower,
        "step": step,
        "centre": centre.astype(np.float32),
        "scale": np.array(max(radius, 1e-6), np.float32),
    }


def colour_image(frame: Frame) -> Image.Image | None:
    """A frame's colour image; None where it does not decode."""
    try:
        image = Image.open(io.BytesIO(frame.colour))
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")  # `convert` copies even where it need not
    except UNREADABLE_IMAGE:
        return None


def _small_jpeg(image: Image.Image, short_side: int) -> bytes:
    factor = short_side / min(image.size)
    size = (max(round(image.width * factor), short_side), max(round(image.height * factor), short_side))
    data = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(data, "JPEG", quality=_JPEG_QUALITY)
    return data.getvalue()


def _write_frames(job: ScanJob, reader: FrameReader, found: _Found) -> None:
    rows = found.rows
    colour_to_depth = np.linalg.inv(reader.depth_extrinsics.astype(np.float64)) @ reader.colour_extrinsics
    constant = {
        "colour_intrinsics": reader.colour_intrinsics,
        "depth_intrinsics": reader.depth_intrinsics,
        "colour_to_depth": colour_to_depth.astype(np.float32),
        "colour_size": np.array(reader.colour_size, np.int32),
        "depth_size": np.array(reader.depth_size, np.int32),
    }
    arrays = {name: np.stack([value] * len(rows)) for name, value in constant.items() if rows}
    for name in rows[0] if rows else ():
        join = np.concatenate if name == "points" else np.stack
        arrays[name] = join([row[name] for row in rows])
    arrays["counts"] = np.array([len(row["points"]) for row in rows], np.int32)
    arrays["image_bytes"] = np.array([len(image) for image in found.images], np.int64)
    arrays["images"] = np.frombuffer(b"".join(found.images), np.uint8)
    arrays["recording_bytes"] = np.array(job.recording_bytes, np.int64)
    write_arrays(job.frames_part, {"skipped": np.array(json.dumps(found.skipped)), **arrays})


def _write_targets(job: ScanJob, found: _Found) -> None:
    if job.kept is not None:
        require_same_frames(job.recording.name, job.frames_part.parents[1], job.kept, found.numbers)
    arrays = {
        "frames": np.array(found.numbers, np.int32),
        "targets": np.concatenate([np.empty((0, *job.teacher.target_shape), TARGET_DTYPE), *found.targets]),
        "recording_bytes": np.array(job.recording_bytes, np.int64),
    }
    write_arrays(job.targets_part, arrays)


def require_same_frames(scan: str, store: Path, prepared: Sequence[int], found: Sequence[int]) -> None:
    """Targets are only of use with the frames they belong to.

    Raises:
        DataError: a scan's usable frames are not those in the store.
    """
    if list(prepared) != list(found):
        first = min({*prepared} ^ {*found})
        problem = f"{scan} has {len(found)} usable frames now, {len(prepared)} when it was prepared (first: {first})"
        raise DataError(store, problem, "The recording has changed: delete the store, or name another folder.")

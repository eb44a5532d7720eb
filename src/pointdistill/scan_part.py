"""One scan's share of a frame store: its usable frames' points and targets, in one file, written whole or never."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt16
from PIL import Image

from pointdistill.datasets.recording import BrokenFrame, Frame, FrameReader, Recording, TruncatedRecording
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_IMAGE, write_arrays
from pointdistill.seeding import numpy_generator
from pointdistill.store import HALF_RANGE
from pointdistill.teachers.base import Teacher

_STEPS = (1 << 16) - 1
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class FrameSettings:
    """What decides the content of a frame store, beside the recordings and the teacher.

    Attributes:
        every: take every n-th frame of a recording (the paper's "frame sampling 25").
        points: keep so many random valid points of a frame; each draw in training takes fewer, afresh.
        keep_images: also keep the colour images as jpegs, the shorter side this long.
        min_valid: skip frames where a smaller share of the depth pixels is valid.
        batch: images given to the teacher at once; batches never cross scans.
        seed: of the choice of points.
    """

    every: int = 25
    points: int = 16384
    keep_images: int | None = None
    min_valid: float = 0.05
    batch: int = 16
    seed: int = 0


@dataclass(frozen=True)
class ScanJob:
    """Everything a worker needs to know to write one part file."""

    recording: Recording
    part: Path
    settings: FrameSettings
    teacher: dict[str, Any]
    teacher_factory: Callable[[], Teacher]
    recording_bytes: int


def part_path(out: Path, scan: str) -> Path:
    return out / "parts" / f"{scan}.npz"


def part_is_whole(job: ScanJob) -> bool:
    """Whether a finished part of this very recording lies there; the zip's checksums are compared."""
    try:
        with zipfile.ZipFile(job.part) as file:
            if file.testzip() is not None:
                return False
        with np.load(job.part, allow_pickle=False) as part:
            return int(part["recording_bytes"]) == job.recording_bytes
    except (FileNotFoundError, zipfile.BadZipFile, KeyError):
        return False


def prepare_scan(job: ScanJob) -> None:
    """Read one scan, skip what is unusable, ask the teacher, write the part file."""
    skipped: list[dict[str, Any]] = []
    rows: list[dict[str, np.ndarray]] = []
    images: list[bytes] = []
    with job.recording.open() as reader, _one_thread():
        frames = _usable(job, reader, skipped)
        while chunk := list(islice(frames, job.settings.batch)):
            targets = _targets(job, [image for image, _ in chunk])
            for (image, row), target in zip(chunk, targets, strict=True):
                rows.append({**row, "targets": target})
                if job.settings.keep_images:
                    images.append(_small_jpeg(image, job.settings.keep_images))
        _write_part(job, reader, rows, images, skipped)


def _usable(
    job: ScanJob, reader: FrameReader, skipped: list[dict[str, Any]]
) -> Iterator[tuple[Image.Image, dict[str, np.ndarray]]]:
    """The colour image and the point arrays of each usable frame; the others are put on the list."""
    name, settings = job.recording.name, job.settings

    def broken(problem: BrokenFrame) -> None:
        last = isinstance(problem, TruncatedRecording)
        why = f"{problem.problem}; it and all frames after it are lost" if last else problem.problem
        skipped.append({"scan": name, "frame": problem.frame, "why": why})

    for frame in reader.every(settings.every, broken):
        valid = np.flatnonzero(frame.depth)
        image, why = None, _why_unusable(frame, len(valid), settings.min_valid)
        if why is None and (image := _image(frame)) is None:
            why = "the colour image does not decode"
        if image is None:
            skipped.append({"scan": name, "frame": frame.index, "why": why})
            continue
        generator = numpy_generator(settings.seed, "points", name, frame.index)
        count = min(settings.points, len(valid))
        chosen = valid[generator.choice(len(valid), count, replace=False, shuffle=False)]
        points = unproject(frame.depth, chosen, reader.depth_intrinsics, reader.depth_shift)
        row = {**quantise(points), "poses": frame.pose, "frames": np.array(frame.index, np.int32)}
        yield image, row


def _why_unusable(frame: Frame, valid: int, min_valid: float) -> str | None:
    if not np.isfinite(frame.pose).all():
        return "the pose is not finite"
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


def _image(frame: Frame) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(frame.colour_jpeg))
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


def _targets(job: ScanJob, images: list[Image.Image]) -> np.ndarray:
    with torch.inference_mode():
        targets = _teacher(job).targets(images).float().cpu().numpy().astype(np.float16)
    expected = (len(images), *job.teacher["target_shape"])
    if targets.shape != expected:
        problem = f"teacher {job.teacher['identity']} gave targets {targets.shape} where {expected} belong"
        raise DataError(job.part, problem, "Its target_shape must be what it returns.")
    if not np.isfinite(targets).all():
        problem = f"teacher {job.teacher['identity']} gave targets that are not finite, or beyond float16"
        raise DataError(job.part, problem, "Look at its weights, or scale its targets down.")
    return targets


_teachers: dict[tuple[str, str], Teacher] = {}
"""Teachers of this process: a worker makes its teacher once, not once a scan."""


def remember_teacher(teacher: Teacher) -> None:
    _teachers[teacher.identity, teacher.weights_hash] = teacher


def forget_teachers() -> None:
    _teachers.clear()


def _teacher(job: ScanJob) -> Teacher:
    key = (job.teacher["identity"], job.teacher["weights_hash"])
    if key not in _teachers:
        teacher = job.teacher_factory()
        if (teacher.identity, teacher.weights_hash) != key:
            problem = f"a worker's teacher is {teacher.identity} {teacher.weights_hash[:8]}, not {key[0]} {key[1][:8]}"
            raise DataError(job.part, problem, "The teacher's weights must not change while it works.")
        remember_teacher(teacher)
    return _teachers[key]


@contextmanager
def _one_thread() -> Iterator[None]:
    """The order of a sum depends on the number of threads: with one, every worker gives the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_part(
    job: ScanJob, reader: FrameReader, rows: list[dict[str, np.ndarray]], images: list[bytes], skipped: list
) -> None:
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
    arrays["image_bytes"] = np.array([len(image) for image in images], np.int64)
    arrays["images"] = np.frombuffer(b"".join(images), np.uint8)
    arrays["recording_bytes"] = np.array(job.recording_bytes, np.int64)
    write_arrays(job.part, {"skipped": np.array(json.dumps(skipped)), **arrays})

"""What preparing recordings would cost: measured on a few frames, prepared here and now, of which nothing is kept."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from pointdistill.datasets.recording import Recording
from pointdistill.errors import PointdistillError
from pointdistill.scan_part import FrameSettings, colour_image, frame_points, quantise
from pointdistill.seeding import numpy_generator
from pointdistill.store import FIELDS
from pointdistill.teacher_calls import TeacherSpec, ask, forget_teachers, remember_teacher
from pointdistill.teachers.small import load_small_teacher

_TRIED = 4
"""Recordings that are tried, and frames of each."""
_MATRICES, _VECTORS, _SIZES = 4, 3, 2
"""How many of a store's fields hold 4x4, 3 and 2 numbers a frame; beside points, the rest hold one."""


def cost_line(recordings: Sequence[Recording], pairs: int, every: int) -> str:
    """How long one core would take for so many pairs with the embedded teacher, and the room that a store needs."""
    teacher = load_small_teacher()
    spec = TeacherSpec.of(teacher, load_small_teacher)
    remember_teacher(teacher)
    took, sizes = [], []
    try:
        for recording in recordings[:_TRIED]:
            began = perf_counter()
            for points in islice(_prepared(recording, spec, every), _TRIED):
                took.append(perf_counter() - began)
                sizes.append(points)
                began = perf_counter()
    finally:
        forget_teachers()
    if not took:
        return "  none of those tried can be decoded, so their cost is not estimated"
    seconds = float(np.median(took))
    disk = pairs * bytes_a_frame(max(sizes), teacher.target_shape)
    return (
        f"  to prepare them: about {_duration(pairs * seconds)} of one core ({1000 * seconds:.0f} ms a pair with the "
        f"embedded teacher, {len(took)} tried), {disk / 1e6:,.1f} MB (twice while parts are put together)"
    )


def _prepared(recording: Recording, spec: TeacherSpec, every: int) -> Iterator[int]:
    """Prepare frames one by one; yields how many points each has."""
    try:
        with recording.open() as reader:
            for frame in reader.every(every, lambda problem: None):
                image = colour_image(frame)
                if image is not None and frame.depth.any():
                    points = frame_points(frame, reader, FrameSettings().points, numpy_generator(0, "doctor"))
                    quantise(points)
                    ask(spec, [image], Path(recording.name))
                    yield len(points)
    except PointdistillError:  # it was open a moment ago; an estimate needs no more words
        return


def bytes_a_frame(points: int, target_shape: tuple[int, ...]) -> int:
    """What a store needs for a frame of so many points and its target, without images."""
    single = len(FIELDS) - 1 - _MATRICES - _VECTORS - _SIZES
    numbers = 16 * _MATRICES + 3 * _VECTORS + 2 * _SIZES + single
    return 2 * 3 * points + 4 * numbers + 2 * math.prod(target_shape)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""A teacher in a worker: described when it travels, made once a process, asked by one thread at a time."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16
from PIL import Image

from pointdistill.errors import DataError
from pointdistill.parallel import torch_threads
from pointdistill.teachers.base import Teacher


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher as it travels to a worker: what it must turn out to be, and how to make it.

    Attributes:
        identity, weights_hash, target_shape: the teacher's own.
        factory: makes the teacher; small when pickled, since it travels with every scan.
    """

    identity: str
    weights_hash: str
    target_shape: tuple[int, int]
    factory: Callable[[], Teacher]

    @classmethod
    def of(cls, teacher: Teacher, factory: Callable[[], Teacher]) -> "TeacherSpec":
        return cls(teacher.identity, teacher.weights_hash, teacher.target_shape, factory)

    def described(self) -> dict[str, Any]:
        """What a manifest says of a teacher."""
        return {
            "identity": self.identity,
            "weights_hash": self.weights_hash,
            "target_shape": list(self.target_shape),
        }


_lock = threading.Lock()
_teachers: dict[tuple[str, str], Teacher] = {}
"""The last teacher of this process: a worker makes it once, not once a scan."""


def remember_teacher(teacher: Teacher) -> None:
    with _lock:
        _keep(teacher)


def forget_teachers() -> None:
    with _lock:
        _teachers.clear()


def ask(
    spec: TeacherSpec, images: list[Image.Image], where: Path, names: Sequence[str] = ()
) -> Float16[np.ndarray, "images prefix dim"]:
    """The teacher's targets of some images, from one thread of computation whoever asks.

    Threads of one process (a dask worker may run several tasks) take turns: no teacher promises to be safe in more than
    one, and the number of torch's threads is the process's.

    Args:
        where: the file that the targets are for.
        names: what the images are of, for errors.

    Raises:
        DataError: the teacher made here is another, or its targets are not what they should be; `where` is named, and
            the first image whose targets are not finite.
    """
    with _lock, torch_threads(1), torch.inference_mode(), np.errstate(over="ignore"):  # too large: said below
        teacher = _teacher(spec, where)
        try:
            targets = teacher.targets(images).float().cpu().numpy().astype(np.float16)
        except DataError as error:
            if not names:
                raise
            problem = f"{error.problem} (asked about {names[0]} to {names[-1]})"
            raise DataError(error.path, problem, error.remedy, error.place) from error
    expected = (len(images), *spec.target_shape)
    if targets.shape != expected:
        problem = f"teacher {spec.identity} gave targets {targets.shape} where {expected} belong"
        raise DataError(where, problem, "Its target_shape must be what it returns.")
    finite = np.isfinite(targets).all((1, 2))
    if not finite.all():
        problem = f"teacher {spec.identity} gave targets that are not finite, or beyond float16"
        place = names[int(finite.argmin())] if names else None
        raise DataError(where, problem, "Look at its weights, or scale its targets down.", place)
    return targets


def _teacher(spec: TeacherSpec, where: Path) -> Teacher:
    key = (spec.identity, spec.weights_hash)
    if key not in _teachers:
        teacher = spec.factory()
        if (teacher.identity, teacher.weights_hash) != key:
            problem = f"a worker's teacher is {teacher.identity} {teacher.weights_hash[:8]}, not {key[0]} {key[1][:8]}"
            raise DataError(where, problem, "The teacher's weights must not change while it works.")
        _keep(teacher)
    return _teachers[key]


def _keep(teacher: Teacher) -> None:
    _teachers.clear()  # a cluster's worker outlives many runs: only the last teacher stays in its memory
    _teachers[teacher.identity, teacher.weights_hash] = teacher

"""A teacher class in a file of the user's own: found by path in every worker process, and checked before it teaches."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pointdistill.errors import DataError, PointdistillError
from pointdistill.user_code import is_own, load_module, raised

_MEMBERS = ("identity", "weights_hash", "target_shape", "targets")
_REMEDY = "Mend the file (docs/teacher.md shows a whole one)."


class UserTeacher:
    """A `teachers.base.Teacher` around an object of the user's class that says in a line what is wrong with it.

    Args:
        teacher: the object.
        path: its file, for errors.

    Raises:
        DataError: a member is missing or not what `teachers.base.Teacher` asks for.
    """

    def __init__(self, teacher: Any, path: Path):
        self.teacher, self.path, self.name = teacher, path, type(teacher).__name__
        missing = [name for name in _MEMBERS if not hasattr(teacher, name)]
        if missing:
            raise self._wrong(f"lacks {', '.join(missing)}")
        self.identity, self.weights_hash = self._text("identity"), self._text("weights_hash")
        if not callable(teacher.targets):
            raise self._wrong("targets is no method")
        shape = teacher.target_shape
        if not (isinstance(shape, tuple | list) and len(shape) == 2 and all(_positive(size) for size in shape)):
            raise self._wrong(f"target_shape is {shape!r}, not (tokens, width)")
        self.target_shape = (int(shape[0]), int(shape[1]))

    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """The object's targets as float32.

        Raises:
            DataError: its method raised an error, or returned anything but finite floating-point numbers of that shape.
        """
        try:
            with torch.no_grad():
                found = self.teacher.targets(images)
        except PointdistillError:
            raise
        except Exception as error:
            raise raised(self.path, f"{self.name}.targets", error, _REMEDY) from error
        if isinstance(found, np.ndarray) and found.dtype.kind == "f":
            found = torch.from_numpy(np.ascontiguousarray(found, np.float32))
        if not isinstance(found, Tensor) or not found.is_floating_point():
            kind = getattr(found, "dtype", type(found).__name__)
            raise self._wrong(f"targets returned {kind}, not a tensor or array of floating-point numbers")
        expected = (len(images), *self.target_shape)
        if tuple(found.shape) != expected:
            raise self._wrong(f"targets returned the shape {tuple(found.shape)} where {expected} belongs")
        finite = found.isfinite().all(2).all(1)
        if not bool(finite.all()):
            which = f"first of image {int(finite.int().argmin()) + 1} of {len(images)}"
            raise self._wrong(f"targets returned numbers that are not finite, {which}")
        return found.detach().float()

    def _text(self, member: str) -> str:
        value = getattr(self.teacher, member)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(f"{member} is {value!r}, not a text")
        return value

    def _wrong(self, problem: str) -> DataError:
        return DataError(self.path, f"{self.name}: {problem}", _REMEDY)


def load_user_teacher(path: str, name: str) -> UserTeacher:
    """An object of class `name` in the Python file at `path`, made without arguments.

    Worker processes call this too: the file is loaded by its path, once a process, wherever the process was started.

    Raises:
        DataError: no such file, an error while it is loaded or while the object is made, no such class, or a class that
            is no teacher.
    """
    file = Path(path).expanduser().absolute()
    module = load_module(file, _REMEDY)
    made = getattr(module, name, None)
    if not isinstance(made, type):
        there = [key for key, value in vars(module).items() if isinstance(value, type) and is_own(value, module)]
        raise DataError(file, f"has no class {name}", f"It has {', '.join(there) or 'none'}. {_REMEDY}")
    try:
        teacher = made()
    except PointdistillError:
        raise
    except Exception as error:
        raise raised(file, f"{name}()", error, _REMEDY) from error
    return UserTeacher(teacher, file)


def _positive(size: object) -> bool:
    return isinstance(size, int | np.integer) and not isinstance(size, bool) and bool(size > 0)

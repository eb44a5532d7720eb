"""Poses in text files."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pointdistill.errors import DataError
from pointdistill.files import read_text

_AGAIN = "Restore it, or take it away: then only the camera's frame can be used."


def numbers(path: Path, remedy: str) -> list[float]:
    """All numbers of a text, however they are spaced; C's old spellings of infinity and NaN ("1.#INF") among them.

    Raises:
        DataError: it is not readable, or something in it is no number; with its line.
    """
    return [value for _, row in rows(path, remedy) for value in row]


def rows(path: Path, remedy: str) -> list[tuple[int, list[float]]]:
    """Line number and numbers of each line that is neither empty nor a comment ("#")."""
    found = []
    for number, line in enumerate(read_text(path, remedy).splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                found.append((number, [_value(word) for word in words]))
            except ValueError as error:
                raise DataError(path, f"{error}", remedy, f"line {number}") from None
    return found


def _value(word: str) -> float:
    if "#" in word:
        return float("nan")
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{word[:40]!r} is not a number") from None


def read_matrix(path: Path) -> Float32[np.ndarray, "4 4"]:
    """One pose: 16 numbers, row by row.

    Raises:
        DataError: it is not there or holds something else.
    """
    values = numbers(path, _AGAIN)
    if len(values) != 16:
        raise DataError(path, f"holds {len(values)} numbers where 16 belong", _AGAIN)
    return np.array(values, np.float32).reshape(4, 4)


def read_matrices(path: Path) -> list[Float32[np.ndarray, "4 4"]]:
    """Poses one after the other, 16 numbers each, row by row, in one line or four.

    Raises:
        DataError: it is not there or holds something else.
    """
    values = numbers(path, _AGAIN)
    if not values or len(values) % 16:
        raise DataError(path, f"holds {len(values)} numbers, which are not 16 a pose", _AGAIN)
    return list(np.array(values, np.float32).reshape(-1, 4, 4))


def is_rigid(pose: Float32[np.ndarray, "4 4"]) -> bool:
    """Whether a finite matrix is a turn and a shift, as far as printed digits tell."""
    turn = pose[:3, :3].astype(np.float64)
    straight = np.abs(turn @ turn.T - np.eye(3)).max() < 0.02 and np.linalg.det(turn) > 0
    return bool(straight and np.abs(pose[3] - (0, 0, 0, 1)).max() < 1e-3)


def from_quaternion(values: list[float]) -> Float32[np.ndarray, "4 4"]:
    """The pose of tx ty tz qx qy qz qw; not finite where the quaternion is 0."""
    x, y, z, w = np.array(values[3:], np.float64)
    length = np.sqrt(x * x + y * y + z * z + w * w)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y, z, w = np.array([x, y, z, w]) / length
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = values[:3]
    return pose.astype(np.float32)

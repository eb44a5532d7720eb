"""Meshes in Object File Format (.off, http://www.geomview.org/docs/html/OFF.html), as Princeton's ModelNet publishes
them. Some of ModelNet40's have the counts glued to the first word ("OFF490 518 0"): both forms are read."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from pointdistill.errors import DataError

_AGAIN = "Unpack it again from the data set's archive."


class Mesh(NamedTuple):
    """Attributes: vertices: in the file's units and axes. triangles: rows of `vertices`; polygons are cut into fans."""

    vertices: Float64[np.ndarray, "vertices 3"]
    triangles: Int64[np.ndarray, "triangles 3"]


def read_off(path: Path) -> Mesh:
    """The mesh of a text .off file; what follows a face's corners (its colour) is not read.

    Raises:
        DataError: no such file, another format, one that ends early, a line without the numbers that belong there, a
            coordinate that is not finite, or a corner that is no vertex; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise DataError(path, "no such file", _AGAIN) from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if _content(line)]
    vertex_count, face_count, first = _counts(path, lines)
    body = lines[first:]
    if len(body) < vertex_count + face_count:
        problem = f"ends after {len(body)} of {vertex_count} vertices and {face_count} faces"
        raise DataError(path, problem, _AGAIN, f"line {lines[-1][0]}")
    vertices = _vertices(path, body[:vertex_count])
    return Mesh(vertices, _triangles(path, body[vertex_count : vertex_count + face_count], vertex_count))


def _content(line: str) -> str:
    return line.partition("#")[0].strip()


def _counts(path: Path, lines: list[tuple[int, str]]) -> tuple[int, int, int]:
    """Vertices, faces, and at which of the lines the vertices begin."""
    head = _content(lines[0][1]) if lines else ""
    if not head.startswith("OFF"):
        raise DataError(path, "does not begin with OFF", "Give a mesh in Object File Format, as text.", "line 1")
    glued = head.removeprefix("OFF").strip()
    number, words = (lines[0][0], glued) if glued else lines[1] if len(lines) > 1 else (1, "")
    try:
        vertices, faces = (int(word) for word in _content(words).split()[:2])
    except ValueError:
        problem = "the numbers of vertices and faces do not stand here"
        raise DataError(path, problem, _AGAIN, f"line {number}") from None
    if vertices < 0 or faces < 0:
        raise DataError(path, "a negative number of vertices or faces", _AGAIN, f"line {number}")
    return vertices, faces, 1 if glued else 2


def _vertices(path: Path, lines: list[tuple[int, str]]) -> Float64[np.ndarray, "vertices 3"]:
    if not lines:
        return np.zeros((0, 3))
    try:
        found = np.loadtxt([line for _, line in lines], np.float64, comments="#", usecols=(0, 1, 2), ndmin=2)
    except ValueError:
        found = np.array([_numbers(path, number, line, 3, float)[:3] for number, line in lines])
    wrong = ~np.isfinite(found).all(1)
    if wrong.any():
        place = f"line {lines[int(wrong.argmax())][0]}"
        raise DataError(path, "a coordinate that is not a finite number", _AGAIN, place)
    return found


def _triangles(path: Path, lines: list[tuple[int, str]], vertices: int) -> Int64[np.ndarray, "triangles 3"]:
    if not lines:
        return np.zeros((0, 3), np.int64)
    try:
        faces = np.loadtxt([line for _, line in lines], np.int64, comments="#", usecols=(0, 1, 2, 3), ndmin=2)
    except ValueError:
        faces = None
    if faces is not None and (faces[:, 0] == 3).all():
        corners, owners = faces[:, 1:], np.arange(len(faces))
    else:
        corners, owners = _fans(path, lines, vertices)
    wrong = ((corners < 0) | (corners >= vertices)).any(1)
    if wrong.any():
        place = f"line {lines[owners[int(wrong.argmax())]][0]}"
        raise DataError(path, f"a corner is none of the {vertices} vertices", _AGAIN, place)
    return corners


def _fans(
    path: Path, lines: list[tuple[int, str]], vertices: int
) -> tuple[Int64[np.ndarray, "triangles 3"], np.ndarray]:
    """Triangles around each polygon's first corner (exact for convex ones), and the line that each comes from."""
    triangles, owners = [], []
    for row, (number, line) in enumerate(lines):
        count = _numbers(path, number, line.split(maxsplit=1)[0], 1, int)[0]
        corners = _numbers(path, number, line, count + 1, int)[1 : count + 1]
        if not all(0 <= corner < vertices for corner in corners):
            raise DataError(path, f"a corner is none of the {vertices} vertices", _AGAIN, f"line {number}")
        triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, count - 1)]
        owners += [row] * max(0, count - 2)
    return np.array(triangles, np.int64).reshape(-1, 3), np.array(owners, np.int64)


def _numbers(path: Path, number: int, line: str, least: int, kind: type) -> list:
    """The first `least` numbers of a line."""
    try:
        found = [kind(word) for word in _content(line).split()[: max(least, 0)]]
    except ValueError:
        found = []
    if len(found) < least or least < 1:
        raise DataError(path, f"not the {max(least, 1)} numbers that belong here", _AGAIN, f"line {number}")
    return found

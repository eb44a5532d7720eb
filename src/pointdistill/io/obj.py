"""Vertices of Wavefront's .obj meshes."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointdistill.errors import DataError
from pointdistill.files import unreadable

_AGAIN = "Export it again."


def read_obj(path: Path) -> Float64[np.ndarray, "vertices 3"]:
    """The vertices of a text .obj file, without what follows a vertex's coordinates (its weight or colour).

    Raises:
        DataError: no such file, no text, no vertices, or a vertex without three numbers; with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise unreadable(path, error, _AGAIN) from None
    vertices = []
    for number, line in enumerate(lines, 1):
        kind, *words = line.split(maxsplit=4)[:4] or [""]
        if kind == "v":
            try:
                x, y, z = (float(word) for word in words)
            except ValueError:
                raise DataError(path, "a vertex without three numbers", _AGAIN, f"line {number}") from None
            vertices.append((x, y, z))
    if not vertices:
        raise DataError(path, "has no vertices", "Give a mesh of Wavefront's .obj format.")
    return np.array(vertices)

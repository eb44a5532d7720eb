"""Vertices of .ply meshes and clouds."""

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyParseError

from pointdistill.errors import DataError


def read_vertices(path: Path, required: tuple[str, ...] = ("x", "y", "z")) -> np.ndarray:
    """The vertex element as a structured array (V,), one field a property, in the file's order.

    Raises:
        DataError: no such file, a damaged one, or one whose vertices lack a required property.
    """
    try:
        # Knowing that faces are triangles lets plyfile map the file into memory instead of parsing every face.
        ply = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
    except FileNotFoundError:
        raise DataError(path, "no such file", "Download or write this scan again.") from None
    except (PlyParseError, ValueError, KeyError):
        try:
            ply = PlyData.read(str(path), mmap="r")
        except (PlyParseError, ValueError, EOFError, UnicodeDecodeError) as error:
            raise DataError(path, f"not a readable .ply ({error})", "Download or write this scan again.") from None
    if "vertex" not in ply:
        raise DataError(path, "has no vertices", "Download or write this scan again.")
    vertices = ply["vertex"].data
    missing = [name for name in required if name not in (vertices.dtype.names or ())]
    if missing:
        raise DataError(path, f"vertices lack {', '.join(missing)}", "Use the mesh that the data set publishes.")
    return vertices

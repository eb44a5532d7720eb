"""Vertices of .ply meshes and clouds, read and written."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement, PlyParseError

from pointdistill.errors import DataError
from pointdistill.files import write_atomic


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


def write_ply(path: Path, vertices: Mapping[str, np.ndarray], triangles: np.ndarray | None = None) -> None:
    """Write a binary little-endian .ply atomically, for MeshLab, CloudCompare and their like.

    Args:
        path: the file.
        vertices: properties of the vertices by name, in this order: x, y, z, colours as red, green, blue of 8 bits;
            others are scalar fields.
        triangles: (T, 3) indices of vertices; None writes a cloud.
    """
    table = np.empty(len(vertices["x"]), [(name, values.dtype.newbyteorder("<")) for name, values in vertices.items()])
    for name, values in vertices.items():
        table[name] = values
    elements = [PlyElement.describe(table, "vertex")]
    if triangles is not None:
        faces = np.empty(len(triangles), [("vertex_indices", "<i4", (3,))])
        faces["vertex_indices"] = triangles
        elements.append(PlyElement.describe(faces, "face"))
    write_atomic(path, lambda target: PlyData(elements, byte_order="<").write(str(target)), sync=False)

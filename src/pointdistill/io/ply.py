"""Vertices of .ply meshes and clouds, read and written."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement, PlyParseError

from pointdistill.errors import DataError
from pointdistill.files import unreadable, write_atomic

_AGAIN = "Download or write this scan again."
_HEADER = 1 << 16
"""Bytes in which a header ends."""


def read_vertices(path: Path, required: tuple[str, ...] = ("x", "y", "z")) -> np.ndarray:
    """The vertex element as a structured array (V,), one field a property, in the file's order.

    Raises:
        DataError: no such file, a damaged one, or one whose vertices lack a required property.
    """
    _require_room(path)
    try:
        # Knowing that faces are triangles lets plyfile map the file into memory instead of parsing every face.
        ply = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
    except (PlyParseError, ValueError, KeyError):
        try:
            ply = PlyData.read(str(path), mmap="r")
        except Exception as error:  # whatever it makes of a damaged file
            raise DataError(path, f"not a readable .ply ({error})", _AGAIN) from None
    except Exception as error:
        raise DataError(path, f"not a readable .ply ({error})", _AGAIN) from None
    if "vertex" not in ply:
        raise DataError(path, "has no vertices", _AGAIN)
    vertices = ply["vertex"].data
    missing = [name for name in required if name not in (vertices.dtype.names or ())]
    if missing:
        raise DataError(path, f"vertices lack {', '.join(missing)}", "Use the mesh that the data set publishes.")
    return vertices


def _require_room(path: Path) -> None:
    """Raise DataError for a file that declares more than it holds, before anybody makes room for that."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER).split(b"end_header")[0]
    except OSError as error:
        raise unreadable(path, error, _AGAIN) from None
    for name, count in re.findall(rb"^element[ \t]+(\S+)[ \t]+(\d+)", header, re.MULTILINE):
        if int(count[:20]) > size:  # a byte each is the least
            problem = f"declares {int(count[:20]):,} of {name.decode('ascii', 'replace')!r} in {size:,} bytes"
            raise DataError(path, problem, _AGAIN)


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

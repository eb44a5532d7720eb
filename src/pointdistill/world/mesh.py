"""A labelled triangle mesh and ScanNet's two ply files for it (`_vh_clean_2.ply`, `_vh_clean_2.labels.ply`)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16, Int32, UInt8

_PLY_TYPES = {"<f4": "float", "|u1": "uchar", "<u2": "ushort"}


@dataclass(frozen=True)
class Mesh:
    """A reconstructed surface, in the frame of the poses it was fused from; metres, z up.

    `nyu40` and `instance` are 0 where no frame gave a label; the shell of a room is instance 0 with its own nyu40.
    """

    vertices: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    colours: UInt8[np.ndarray, "vertices 3"]
    nyu40: Int16[np.ndarray, "vertices"]
    instance: Int32[np.ndarray, "vertices"]

    def __len__(self) -> int:
        return len(self.vertices)


def vertex_normals(mesh: Mesh) -> Float32[np.ndarray, "vertices 3"]:
    """Unit normals, averaged over the faces around each vertex by area; zero for a vertex without faces."""
    corners = mesh.vertices[mesh.faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.empty((len(mesh), 3))
    for axis in range(3):
        weights = np.repeat(face_normals[:, axis], 3)
        normals[:, axis] = np.bincount(mesh.faces.reshape(-1), weights=weights, minlength=len(mesh))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 1e-12).astype(np.float32)


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """The mesh with its colours, binary little endian, properties as in ScanNet's `_vh_clean_2.ply`."""
    _write(path, mesh, mesh.colours, labels=False)


def write_labels_ply(path: str | Path, mesh: Mesh, palette: UInt8[np.ndarray, "classes 3"]) -> None:
    """The mesh coloured by class (`palette[nyu40]`), with the vertex property `label` = nyu40 id (uint16)."""
    _write(path, mesh, palette[mesh.nyu40], labels=True)


def _write(path: str | Path, mesh: Mesh, colours: UInt8[np.ndarray, "vertices 3"], labels: bool) -> None:
    """By hand: a general ply library writes face lists one by one, which takes longer than the fusion."""
    fields = [(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue", "alpha")]
    vertices = np.empty(len(mesh), dtype=[*fields, ("label", "<u2")] if labels else fields)
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, channel]
    vertices["alpha"] = 255
    if labels:
        vertices["label"] = mesh.nyu40
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("vertex_indices", "<i4", (3,))])
    faces["count"], faces["vertex_indices"] = 3, mesh.faces
    properties = [f"property {_PLY_TYPES[vertices.dtype[name].str]} {name}" for name in vertices.dtype.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}", *properties]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    with Path(path).open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(vertices.tobytes())
        file.write(faces.tobytes())

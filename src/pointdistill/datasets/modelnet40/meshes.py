"""ModelNet40 as Princeton publishes it: one mesh a shape, <class>/{train,test}/<class>_0001.off, z up, any unit.

Source: https://modelnet.cs.princeton.edu, ModelNet40.zip. Points are drawn evenly over each mesh's surface, then
centred on their mean and scaled to the unit sphere, as the two point releases are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from pointdistill.console import track
from pointdistill.datasets.modelnet40.classes import GET
from pointdistill.datasets.objects import Shape, Up
from pointdistill.datasets.surface import sample_surface
from pointdistill.errors import DataError
from pointdistill.io.off import read_off
from pointdistill.seeding import numpy_generator

POINTS = 10_000
"""Drawn from each mesh unless told otherwise: as many as the text release holds."""


def is_here(root: Path) -> bool:
    """Whether a folder has this form."""
    return any(root.glob("*/*/*.off"))


class Meshes:
    """The meshes of a folder; its classes are its folders."""

    up: ClassVar[Up] = "z"

    def __init__(self, root: Path):
        hidden = (".", "_")  # of the operating system: .DS_Store, __MACOSX
        self.root = root
        self.classes = tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(hidden)))

    def splits(self) -> list[str]:
        return sorted({path.parent.name for path in self.root.glob("*/*/*.off")})

    def files(self, split: str) -> list[Path]:
        if split not in self.splits():
            raise DataError(self.root, f"holds no CLASS/{split}/*.off", GET)
        return [path for name in self.classes for path in sorted((self.root / name / split).glob("*.off"))]

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        paths = self.files(split)
        for name in self.classes:
            if not any(path.parent.parent.name == name for path in paths):
                remedy = "Put its shapes there, or take the class away."
                yield DataError(self.root / name / split, "the class folder holds no .off files", remedy)
        for path in track(paths, f"reading {split} shapes"):
            try:
                cloud = sample_shape(path, points or POINTS)
            except DataError as error:
                yield error
            else:
                yield Shape(path.stem, self.classes.index(path.parent.parent.name), cloud, path)


def sample_shape(path: Path, points: int) -> Float32[np.ndarray, "points 3"]:
    """Points of a mesh's surface, centred on their mean, in the unit sphere; the same for the same name and number.

    Raises:
        DataError: a bad file, or a mesh without a surface.
    """
    mesh = read_off(path)
    cloud = sample_surface(mesh.vertices, mesh.triangles, points, numpy_generator(0, "surface", path.stem))
    if cloud is None:
        raise DataError(path, "its faces have no area", "Mend the mesh, or take it away.")
    cloud -= cloud.mean(0)
    radius = np.linalg.norm(cloud, axis=1).max()
    return (cloud / (radius or 1.0)).astype(np.float32)  # a single point has none

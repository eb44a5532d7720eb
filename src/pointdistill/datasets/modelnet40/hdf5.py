"""ModelNet40 as `modelnet40_ply_hdf5_2048` publishes it: 2048 points a shape, some two thousand shapes a file, y up.

Source: the PointNet authors' sampling of Princeton's meshes (https://shapenet.cs.stanford.edu/media/
modelnet40_ply_hdf5_2048.zip): shape_names.txt; {train,test}_files.txt, a path a line of which the last part counts;
ply_data_train0.h5 and so on, with `data` (shapes, 2048, 3) in the unit sphere and `label` (shapes, 1).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pointdistill.console import track
from pointdistill.datasets.modelnet40.classes import CLASSES, GET
from pointdistill.datasets.objects import Shape, Up
from pointdistill.datasets.packed import walk_file
from pointdistill.errors import DataError
from pointdistill.files import is_plain, read_text

_NAMES = "shape_names.txt"
_LIST = "{}_files.txt"


def is_here(root: Path) -> bool:
    """Whether a folder has this form."""
    return any(root.glob("ply_data_*.h5")) and any(root.glob(_LIST.format("*")))


class Hdf5Files:
    """The HDF5 files of a folder. Shapes are named after their file and row: "ply_data_train0, shape 17"."""

    up: ClassVar[Up] = "y"

    def __init__(self, root: Path):
        path = root / _NAMES
        self.root = root
        self.classes = tuple(read_text(path, GET).split()) if path.is_file() else CLASSES

    def splits(self) -> list[str]:
        return sorted(path.stem.removesuffix("_files") for path in self.root.glob(_LIST.format("*")))

    def files(self, split: str) -> list[Path]:
        path = self.root / _LIST.format(split)
        if not path.is_file():
            raise DataError(path, "no such split list", GET)
        listed = [Path(line.strip()).name for line in read_text(path, GET).splitlines() if line.strip()]
        if not listed:
            raise DataError(path, "the split list is empty", GET)
        for name in listed:
            if not is_plain(name):
                raise DataError(path, f"{name[:40]!r} is no name of a file", "Restore the official lists.")
        return [self.root / name for name in listed]

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        for path in track(self.files(split), f"reading {split} shapes"):
            yield from walk_file(path, self.classes, points)

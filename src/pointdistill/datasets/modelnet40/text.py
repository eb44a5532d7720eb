"""ModelNet40 as `modelnet40_normal_resampled` publishes it: one text file a shape, "x,y,z,nx,ny,nz" a line, y up.

Source: the PointNet++ authors' resampling of Princeton's ModelNet40 (https://shapenet.cs.stanford.edu/media/
modelnet40_normal_resampled.zip): modelnet40_shape_names.txt, modelnet40_{train,test}.txt, <class>/<class>_0001.txt.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pointdistill.console import track
from pointdistill.datasets.modelnet40.classes import CLASSES, GET
from pointdistill.datasets.objects import Shape, Up, too_few
from pointdistill.errors import DataError
from pointdistill.files import LONGEST_NAME, is_below, read_text
from pointdistill.io.columns import scan_columns

_NAMES = "modelnet40_shape_names.txt"
_LIST = "modelnet40_{}.txt"
_SHAPE_NAMES = "shape_names"


def is_here(root: Path) -> bool:
    """Whether a folder has this form."""
    return any(root.glob(_LIST.format("*")))


class TextFiles:
    """The text files of a folder; points are centred and lie within the unit sphere."""

    up: ClassVar[Up] = "y"

    def __init__(self, root: Path):
        path = root / _NAMES
        self.root = root
        self.classes = tuple(_listed(path)) if path.is_file() else CLASSES

    def splits(self) -> list[str]:
        found = sorted(path.stem.removeprefix("modelnet40_") for path in self.root.glob(_LIST.format("*")))
        return [split for split in found if split != _SHAPE_NAMES]

    def files(self, split: str) -> list[Path]:
        return [self.root / _LIST.format(split)]

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        path = self.root / _LIST.format(split)
        names = self._names(path)
        empty = {name for name in self.classes if not any((self.root / name).glob("*.txt"))}
        for name in sorted(empty):
            listed = sum(_class_of(shape) == name for shape in names)
            if listed:
                problem = f"the class folder holds no files, but {path.name} lists {listed} shapes of it"
                yield DataError(self.root / name, problem, GET)
        for line, name in enumerate(track(names, f"reading {split} shapes"), 1):
            class_name = _class_of(name)
            if class_name not in self.classes:
                problem = f"{name!r} is of no class in {_NAMES}"
                yield DataError(path, problem, "Restore the official lists.", f"line {line}")
            elif class_name not in empty:
                yield from self._read(name, class_name, points)

    def _names(self, path: Path) -> list[str]:
        if not path.is_file():
            raise DataError(path, "no such split list", GET)
        names = _listed(path)
        if not names:
            raise DataError(path, "the split list is empty", GET)
        return names

    def _read(self, name: str, class_name: str, points: int | None) -> Iterator[Shape | DataError]:
        path = self.root / class_name / f"{name}.txt"
        found = scan_columns(path, 6, ",", points)
        if found.problems:
            yield from found.problems
        elif points is not None and len(found.rows) < points:
            yield too_few(path, len(found.rows), points)
        else:
            yield Shape(name, self.classes.index(class_name), found.rows[:, :3], path)


def _class_of(name: str) -> str:
    return name.rpartition("_")[0]


def _listed(path: Path) -> list[str]:
    """Names of folders or files below the list's own folder."""
    names = read_text(path, GET).split()
    for name in names:
        if not is_below(name) or len(name) > LONGEST_NAME:
            raise DataError(path, f"{name[:40]!r} is no name below its folder", "Restore the official lists.")
    return names

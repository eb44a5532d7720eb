"""ShapeNet-55 as Point-BERT publishes it, one .npy a shape, y up: what Point-BERT and Point-MAE pre-train on.

ShapeNet-55/{train,test}.txt, a file name a line ("02691156-1a04e3eab45ca15dd86060f189eb133.npy": taxonomy, model);
shapenet_pc/ with those files, (8192, 3) float32 of the model's surface in ShapeNetCore's own axes and unit. Source:
https://github.com/Julie-tang00/Point-BERT (DATASET.md), the clouds are PoinTr's. 41,952 shapes are in train.txt, 10,518
in test.txt. Other lists of the release (ShapeNet-34, ShapeNet-Unseen21: for completion) are not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from pointdistill.console import track
from pointdistill.datasets.coordinates import LARGEST, usable
from pointdistill.datasets.objects import Shape, Up, too_few
from pointdistill.errors import DataError
from pointdistill.files import LONGEST_NAME, UNREADABLE_ARRAY, read_text

CLOUDS = "shapenet_pc"
LISTS = "ShapeNet-55"
_LINE = re.compile(rf"(?P<taxonomy>\d{{8}})-[^/\\\0]{{1,{LONGEST_NAME}}}\.npy")
_GET = (
    "Unpack ShapeNet55-34 as Point-BERT's DATASET.md says, or write an embedded one with "
    "`pointdistill world shapenet55`."
)
_RESTORE = "Restore the published list."


def is_shapenet55(root: Path) -> bool:
    """Whether a folder has this layout."""
    return (root / CLOUDS).is_dir() and any((root / LISTS).glob("*.txt"))


class ShapeNet55:
    """The shapes of a folder, read one at a time: all of them are 5 GB.

    Attributes:
        root: the folder.
        classes: taxonomies (WordNet offsets) of all lists, sorted, so that a shape has the same class in each split.

    Raises:
        DataError: no such folder, or no list in it.
    """

    up: ClassVar[Up] = "y"

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not is_shapenet55(self.root):
            raise DataError(root, f"holds no ShapeNet-55 (looked for {CLOUDS}/ and {LISTS}/SPLIT.txt)", _GET)
        found = (_LINE.fullmatch(name) for split in self.splits() for _, name in self._lines(split))
        self.classes = tuple(sorted({match["taxonomy"] for match in found if match}))

    def splits(self) -> list[str]:
        """The splits that have a list."""
        return sorted(path.stem for path in (self.root / LISTS).glob("*.txt"))

    def files(self, split: str) -> list[Path]:
        """The split's list."""
        return [self.root / LISTS / f"{split}.txt"]

    def clouds(self, split: str) -> list[Path]:
        """The files that the split's list names, whether they are there or not; what is no such name is left out."""
        return [self.root / CLOUDS / name for _, name in self._lines(split) if _LINE.fullmatch(name)]

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        """Read a split: its shapes, y up as published, and an error for each problem, so that one pass finds them all.

        Args:
            points: take the first so many of each shape; None: all there are.

        Raises:
            DataError: no such list, or an empty one.
        """
        (path,) = self.files(split)
        lines, seen = self._lines(split), set()
        if not lines:
            raise DataError(path, "the split list is empty", _RESTORE)
        for number, name in track(lines, f"reading {split} shapes"):
            match = _LINE.fullmatch(name)
            if match is None:
                yield DataError(path, f"{name[:60]!r} is no TAXONOMY-MODEL.npy", _RESTORE, f"line {number}")
            elif name in seen:
                yield DataError(path, f"{name} is listed a second time", "Take the line out.", f"line {number}")
            else:
                yield self._read(self.root / CLOUDS / name, self.classes.index(match["taxonomy"]), points)
            seen.add(name)

    def _lines(self, split: str) -> list[tuple[int, str]]:
        """Number and content of each line of a list that is not blank."""
        (path,) = self.files(split)
        if not path.is_file():
            raise DataError(path, "no such split list", _GET)
        lines = enumerate(read_text(path, _RESTORE).splitlines(), 1)
        return [(number, line.strip()) for number, line in lines if line.strip()]

    def _read(self, path: Path, label: int, points: int | None) -> Shape | DataError:
        try:
            cloud = read_cloud(path)
        except DataError as error:
            return error
        if len(cloud) < (points or 1):
            return too_few(path, len(cloud), points or 1)
        return Shape(path.stem, label, cloud[:points], path)


def read_cloud(path: Path) -> Float32[np.ndarray, "points 3"]:
    """The points of one shape, in its own axes and unit.

    Raises:
        DataError: it is not there, no array of three numbers a row, or a number is not finite or far too large.
    """
    if not path.is_file():
        raise DataError(path, "no such file", _GET)
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, it cannot be larger than the file
    except UNREADABLE_ARRAY as error:
        raise DataError(path, f"not a readable .npy array ({error})", _GET) from None
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind != "f":
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else "an archive of arrays"
        raise DataError(path, f"holds {found} where (points, 3) floating-point numbers belong", _GET)
    good = usable(rows)
    if not good.all():
        raise DataError(path, f"point {int(good.argmin())} is not finite, or beyond {LARGEST:g}", _GET)
    return np.array(rows, np.float32)

"""ScanObjectNN as its authors publish it: h5_files/main_split and main_split_nobg, 2048 points a shape, y up.

Source: Uy et al. 2019, https://hkust-vgd.github.io/scanobjectnn. A file holds `data` (shapes, 2048, 3), `label`
(shapes,) and `mask` (shapes, 2048), -1 on background. Which file a variant is: Point-BERT's and Point-MAE's
dataset_configs (obj_only is main_split_nobg, obj_bg is main_split, pb_t50_rs is ..._augmentedrot_scale75), and for the
other perturbations the data set's own README.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Bool

from pointdistill.console import track
from pointdistill.datasets.objects import ObjectSet, Shape, Up, read_objects
from pointdistill.datasets.packed import walk_file
from pointdistill.errors import DataError
from pointdistill.io.h5 import read_h5

Variant = Literal["obj_only", "obj_bg", "pb_t25", "pb_t25_r", "pb_t50_r", "pb_t50_rs"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

CLASSES: tuple[str, ...] = (
    *("bag", "bin", "box", "cabinet", "chair", "desk", "display", "door"),
    *("shelf", "table", "bed", "pillow", "sink", "sofa", "toilet"),
)
"""The 15 classes, in the order of the labels."""

_GET = "Ask for h5_files.zip at https://hkust-vgd.github.io/scanobjectnn and unpack it there."
_FOLDERS = {"obj_only": "main_split_nobg"}
_ENDINGS = {
    "obj_only": "",
    "obj_bg": "",
    "pb_t25": "_augmented25_norot",
    "pb_t25_r": "_augmented25rot",
    "pb_t50_r": "_augmentedrot",
    "pb_t50_rs": "_augmentedrot_scale75",
}
_BEGINNINGS = {"train": "training_objectdataset", "test": "test_objectdataset"}


def is_scanobjectnn(root: Path) -> bool:
    """Whether a folder holds any of the files."""
    return any(_home(root).glob("main_split*/*_objectdataset*.h5"))


class ScanObjectNN:
    """One variant. Shapes are named after their file and row: "test_objectdataset, shape 17"."""

    up: ClassVar[Up] = "y"
    classes: tuple[str, ...] = CLASSES

    def __init__(self, root: str | Path, variant: str):
        if variant not in VARIANTS:
            raise DataError(root, f"{variant!r} is no variant of ScanObjectNN", f"Name one of {', '.join(VARIANTS)}.")
        self.root, self.variant = Path(root), variant

    def splits(self) -> list[str]:
        return [split for split in _BEGINNINGS if self._path(split).is_file()]

    def files(self, split: str) -> list[Path]:
        if split not in _BEGINNINGS:
            raise DataError(self.root, f"has no split {split!r}", f"Name one of {', '.join(_BEGINNINGS)}.")
        path = self._path(split)
        if not path.is_file():
            raise DataError(path, f"no such file, which is the {split} split of {self.variant}", _GET)
        return [path]

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        for path in track(self.files(split), f"reading {split} shapes"):
            yield from walk_file(path, self.classes, points)

    def foreground(self, split: str) -> Bool[np.ndarray, "shapes points"]:
        """Which points of each shape are the object's own (`mask`); no task uses it.

        Raises:
            DataError: a missing or damaged file, or one without mask.
            MissingPackage: h5py is not installed.
        """
        return read_h5(self.files(split)[0], ("mask",))["mask"] != -1

    def _path(self, split: str) -> Path:
        folder = _FOLDERS.get(self.variant, "main_split")
        return _home(self.root) / folder / f"{_BEGINNINGS[split]}{_ENDINGS[self.variant]}.h5"


def variants(root: Path) -> list[Variant]:
    """The variants of which a folder holds any split."""
    return [variant for variant in VARIANTS if ScanObjectNN(root, variant).splits()]


def read_scanobjectnn(
    root: str | Path, split: str, variant: Variant = "pb_t50_rs", points: int | None = None, up: Up = "z"
) -> ObjectSet:
    """Read one split of a variant.

    Args:
        root: the folder that holds main_split and main_split_nobg, or h5_files with them.
        split: "train" or "test".
        variant: the objects alone, with the background in their boxes, or with boxes shifted by up to 25 or 50 %,
            turned (r) and scaled (s); "pb_t50_rs" is the hardest and the one mostly reported.
        points: take the first so many of each shape; None takes all 2048.
        up: the axis that is up in what is returned.

    Raises:
        DataError: no such variant, split or file, or a bad row.
        MissingPackage: h5py is not installed.
    """
    return read_objects(ScanObjectNN(root, variant), split, points, up)


def _home(root: Path) -> Path:
    return root / "h5_files" if (root / "h5_files").is_dir() else root

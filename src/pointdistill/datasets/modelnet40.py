"""ModelNet40 as `modelnet40_normal_resampled` publishes it: one text file a shape, "x,y,z,nx,ny,nz" a line, y up.

Source: the PointNet++ authors' resampling of Princeton's ModelNet40 (https://shapenet.cs.stanford.edu/media/
modelnet40_normal_resampled.zip): modelnet40_shape_names.txt, modelnet40_{train,test}.txt, <class>/<class>_0001.txt.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from pointdistill.console import track
from pointdistill.datasets.axes import y_up_to_z_up
from pointdistill.errors import DataError
from pointdistill.io.columns import read_columns

_GET = "Unpack modelnet40_normal_resampled.zip there, or write an embedded one with `pointdistill world`."

CLASSES: tuple[str, ...] = (
    *("airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup", "curtain"),
    *("desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp", "laptop", "mantel"),
    *("monitor", "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink", "sofa", "stairs"),
    *("stool", "table", "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox"),
)
"""The 40 official classes, used where the folder brings no modelnet40_shape_names.txt."""


@dataclass(frozen=True)
class ObjectSet:
    """Labelled shapes of one split.

    Attributes:
        points: the published coordinates (centred, within the unit sphere), turned to `up`.
        labels: each shape's index into `classes`.
        names: each shape's id, for instance "night_stand_0001".
        classes: class names, in the order of the data set's list.
    """

    points: Float32[np.ndarray, "shapes points 3"]
    labels: Int64[np.ndarray, "shapes"]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def select(self, chosen: Int64[np.ndarray, "chosen"]) -> "ObjectSet":
        """The shapes of these rows, with the same classes."""
        names = tuple(self.names[row] for row in chosen)
        return replace(self, points=self.points[chosen], labels=self.labels[chosen], names=names)


def read_modelnet40(root: str | Path, split: str, points: int | None = None, up: Literal["y", "z"] = "z") -> ObjectSet:
    """Read one split.

    Args:
        root: the data set's folder.
        split: "train" or "test" (any modelnet40_<split>.txt).
        points: take the first so many of each file (its order is that of farthest point sampling or random);
            None takes all, and then all files must hold equally many.
        up: "z" turns shapes to stand on the xy plane; "y" leaves them as published.

    Raises:
        DataError: a missing folder, list or shape, an unknown class, or a bad line, with file and line.
    """
    root = Path(root)
    classes = _classes(root)
    names = _split(root, split)
    clouds, labels = [], []
    for line, name in enumerate(track(names, f"reading {split} shapes"), 1):
        class_name = name.rpartition("_")[0]
        if class_name not in classes:
            place, problem = f"line {line}", f"{name!r} is of no class in modelnet40_shape_names.txt"
            raise DataError(root / f"modelnet40_{split}.txt", problem, "Restore the official lists.", place)
        cloud = _cloud(root / class_name / f"{name}.txt", points, len(clouds[0]) if clouds else None)
        clouds.append(y_up_to_z_up(cloud) if up == "z" else cloud)
        labels.append(classes.index(class_name))
    return ObjectSet(np.stack(clouds), np.array(labels, np.int64), tuple(names), classes)


def _classes(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise DataError(root, "no such ModelNet40 folder", _GET)
    path = root / "modelnet40_shape_names.txt"
    return tuple(path.read_text(encoding="utf-8").split()) if path.is_file() else CLASSES


def _split(root: Path, split: str) -> list[str]:
    path = root / f"modelnet40_{split}.txt"
    if not path.is_file():
        raise DataError(path, "no such split list", _GET)
    names = path.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(path, "the split list is empty", _GET)
    return names


def _cloud(path: Path, points: int | None, expected: int | None) -> Float32[np.ndarray, "points 3"]:
    cloud = read_columns(path, 6, ",", points)[:, :3]
    wanted = points or expected or len(cloud)
    if len(cloud) != wanted:
        remedy = "Ask for fewer points, or unpack the file again."
        raise DataError(path, f"holds {len(cloud)} points where {wanted} belong", remedy)
    return cloud

"""Labelled shapes: what the object data sets have in common, however they lie on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from pointdistill.datasets.axes import y_up_to_z_up, z_up_to_y_up
from pointdistill.errors import DataError

Up = Literal["y", "z"]


@dataclass(frozen=True)
class ObjectSet:
    """Labelled shapes of one split.

    Attributes:
        points: the published coordinates, turned to have z (or y) up.
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


class Shape(NamedTuple):
    """One shape as it was read, in its files' own axes; `path` is the file that it was read from."""

    name: str
    label: int
    points: Float32[np.ndarray, "points 3"]
    path: Path


@runtime_checkable
class ObjectSource(Protocol):
    """A folder of labelled shapes that are still to be read."""

    root: Path
    classes: tuple[str, ...]
    up: ClassVar[Up]  # which axis its files have up

    def splits(self) -> list[str]:
        """The splits that are there."""
        ...

    def files(self, split: str) -> list[Path]:
        """The files that say what the split is, or hold it: who changes them has other data."""
        ...

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        """Read a split: its shapes, and an error for each problem, so that one pass finds them all.

        Args:
            points: how many points a shape must give; None: all there are.

        Raises:
            DataError: the split as a whole cannot be read.
        """
        ...


def read_objects(source: ObjectSource, split: str, points: int | None = None, up: Up = "z") -> ObjectSet:
    """Read one split.

    Args:
        points: how many points a shape must give; None: all there are, which must be equally many in each.
        up: the axis that is up in what is returned.

    Raises:
        DataError: the first problem that there is in the split.
    """
    shapes = []
    for found in source.walk(split, points):
        if isinstance(found, DataError):
            raise found
        if shapes and len(found.points) != len(shapes[0].points):
            raise too_few(found.path, len(found.points), len(shapes[0].points))
        shapes.append(found)
    turn = {("y", "z"): y_up_to_z_up, ("z", "y"): z_up_to_y_up}.get((source.up, up))
    clouds = [turn(shape.points) if turn else shape.points for shape in shapes]
    labels = np.array([shape.label for shape in shapes], np.int64)
    return ObjectSet(np.stack(clouds), labels, tuple(shape.name for shape in shapes), source.classes)


def too_few(path: str | Path, found: int, wanted: int, place: str | None = None) -> DataError:
    """The error of a cloud that holds fewer points than it must."""
    remedy = "Ask for fewer points, or unpack the file again."
    return DataError(path, f"holds {found} points where {wanted} belong", remedy, place)

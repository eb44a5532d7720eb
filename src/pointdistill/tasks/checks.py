"""Checks of labelled data before training starts: each problem gets one clear DataError that names where it is."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.problems import object_problems, part_problems, scene_problems
from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError
from pointdistill.tasks.base import Splits

T = TypeVar("T")
_AGAIN = "Mend or remove it, and prepare the data again."


def check_objects(data: Splits[ObjectSet], minimum: int = 1) -> None:
    """Non-empty splits, equal class lists, labels within them, `minimum` points a cloud, finite coordinates."""
    for name, split in _splits(data):
        if not len(split.labels):
            raise DataError(f"{name} split", "holds no objects", "Give at least one object a split.")
        if tuple(split.classes) != tuple(data.train.classes):
            raise DataError(f"{name} split", "has other classes than the training split", _AGAIN)
        _raise_first(object_problems(split, f"{name} split", minimum))


def check_parts(data: Splits[PartSet], minimum: int = 1) -> None:
    """Non-empty splits, equal categories, part labels that belong to them, `minimum` points a cloud, finite ones."""
    for name, split in _splits(data):
        if not len(split.categories):
            raise DataError(f"{name} split", "holds no shapes", "Give at least one shape a split.")
        if tuple(split.category_names) != tuple(data.train.category_names):
            raise DataError(f"{name} split", "has other categories than the training split", _AGAIN)
        _raise_first(part_problems(split, f"{name} split", minimum))


def check_scenes(data: Splits[Sequence[Scene]], minimum: int, boxes: bool, headings: bool = True) -> None:
    """Non-empty splits with labels, enough vertices, finite coordinates, and (for detection) boxes of positive size.

    Args:
        minimum: vertices a scene needs.
        boxes: what counts as labels: boxes, or else the vertices' classes.
        headings: whether boxes may be turned.
    """
    for name, split in _splits(data):
        if not len(split):
            raise DataError(f"{name} split", "holds no scenes", "Give at least one scene a split.")
        for scene in split:
            _raise_first(scene_problems(scene, f"{name} split", minimum, boxes))
            turned = np.flatnonzero(scene.boxes[:, 6])
            if boxes and len(turned) and not headings:
                place = f"scene {scene.name}, box {turned[0]}"
                remedy = "Give the task's decoder more than one bin of headings (angle_bins)."
                raise DataError(f"{name} split", "a box with a heading", remedy, place)
        if not any(len(scene.boxes) if boxes else scene.semantic.any() for scene in split):
            remedy = "Give scenes with labels (those of ScanNet's test split are hidden)."
            raise DataError(f"{name} split", f"holds no {'boxes' if boxes else 'labelled vertices'}", remedy)


def _raise_first(problems: Iterator[DataError]) -> None:
    for problem in problems:
        raise problem


def _splits(data: Splits[T]) -> Iterator[tuple[str, T]]:
    """Each split under its name; one that serves as several, under the first."""
    named = (("train", data.train), ("validation", data.validation), ("test", data.test))
    first = {id(split): name for name, split in reversed(named)}
    return ((name, split) for name, split in named if first[id(split)] == name)

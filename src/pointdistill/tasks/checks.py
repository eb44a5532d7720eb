"""Checks of labelled data before training starts: each problem gets one clear DataError that names where it is."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError
from pointdistill.tasks.base import Splits

T = TypeVar("T")
_AGAIN = "Mend or remove it, and prepare the data again."


def check_objects(data: Splits[ObjectSet]) -> None:
    """Non-empty splits, equal class lists, labels within them, finite coordinates."""
    for name, split in _splits(data):
        if not len(split.labels):
            raise DataError(f"{name} split", "holds no objects", "Give at least one object a split.")
        if tuple(split.classes) != tuple(data.train.classes):
            raise DataError(f"{name} split", "has other classes than the training split", _AGAIN)
        wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(split.classes)))
        if len(wrong):
            problem = f"label {split.labels[wrong[0]]} is not one of the {len(split.classes)} classes"
            raise DataError(f"{name} split", problem, _AGAIN, f"object {split.names[wrong[0]]}")
        for index, cloud in enumerate(split.points):
            _finite(cloud, name, f"object {split.names[index]}")


def check_parts(data: Splits[PartSet]) -> None:
    """Non-empty splits, equal categories, part labels that belong to the category, finite coordinates."""
    for name, split in _splits(data):
        if not len(split.categories):
            raise DataError(f"{name} split", "holds no shapes", "Give at least one shape a split.")
        if tuple(split.category_names) != tuple(data.train.category_names):
            raise DataError(f"{name} split", "has other categories than the training split", _AGAIN)
        for index, (cloud, parts, category) in enumerate(zip(split.points, split.parts, split.categories, strict=True)):
            _finite(cloud, name, f"shape {index}")
            unknown = set(np.unique(parts).tolist()) - set(split.part_ids[category])
            if unknown:
                problem = f"part label {min(unknown)} is unknown to category {split.category_names[category]}"
                raise DataError(f"{name} split", problem, _AGAIN, f"shape {index}")


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
            place = f"scene {scene.name}"
            if len(scene.points) < minimum:
                raise DataError(f"{name} split", f"has only {len(scene.points)} vertices of {minimum}", _AGAIN, place)
            _finite(scene.points, name, place)
            if boxes:
                _solid(scene.boxes, name, place)
                turned = np.flatnonzero(scene.boxes[:, 6])
                if len(turned) and not headings:
                    remedy = "Give the task's decoder more than one bin of headings (angle_bins)."
                    raise DataError(f"{name} split", "a box with a heading", remedy, f"{place}, box {turned[0]}")
        if not any(len(scene.boxes) if boxes else scene.semantic.any() for scene in split):
            remedy = "Give scenes with labels (those of ScanNet's test split are hidden)."
            raise DataError(f"{name} split", f"holds no {'boxes' if boxes else 'labelled vertices'}", remedy)


def _solid(boxes: Float[np.ndarray, "boxes 7"], split: str, place: str) -> None:
    _finite(boxes, split, f"{place}, boxes")
    flat = np.flatnonzero((boxes[:, 3:6] <= 0).any(1))
    if len(flat):
        raise DataError(f"{split} split", "a box of zero size", _AGAIN, f"{place}, box {flat[0]}")


def _splits(data: Splits[T]) -> Iterator[tuple[str, T]]:
    return iter((("train", data.train), ("validation", data.validation), ("test", data.test)))


def _finite(values: np.ndarray, split: str, place: str) -> None:
    if not np.isfinite(values).all():
        raise DataError(f"{split} split", "coordinates that are not finite numbers", _AGAIN, place)

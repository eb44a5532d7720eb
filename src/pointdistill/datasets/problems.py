"""What can be wrong with labelled samples once their files have been read: an error for each problem, with its place.

Whoever must not go on raises the first (`tasks.checks`); `doctor` lists them all.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pointdistill.datasets.coordinates import LARGEST, usable
from pointdistill.datasets.objects import ObjectSet, too_few
from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError

_AGAIN = "Mend or remove it, and prepare the data again."


def object_problems(split: ObjectSet, where: str | Path, minimum: int = 1) -> Iterator[DataError]:
    """Labels outside the class list, clouds of fewer than `minimum` points, coordinates that are not `usable`."""
    for name, label, cloud in zip(split.names, split.labels, split.points, strict=True):
        place = f"object {name}"
        if not 0 <= label < len(split.classes):
            yield DataError(where, f"label {label} is not one of the {len(split.classes)} classes", _AGAIN, place)
        if len(cloud) < minimum:
            yield too_few(where, len(cloud), minimum, place)
        yield from _not_finite(cloud, where, place)


def part_problems(split: PartSet, where: str | Path, minimum: int = 1) -> Iterator[DataError]:
    """Unknown categories, part labels of other categories, too few points, coordinates that are not `usable`."""
    rows = zip(split.points, split.parts, split.counts, split.categories, split.names, strict=True)
    for index, (cloud, parts, count, category, name) in enumerate(rows):
        place = f"shape {index} ({name})"
        if not 0 <= category < len(split.category_names):
            problem = f"category {category} is not one of the {len(split.category_names)}"
            yield DataError(where, problem, _AGAIN, place)
        else:
            unknown = set(np.unique(parts).tolist()) - set(split.part_ids[category])
            if unknown:
                problem = f"part label {min(unknown)} is unknown to category {split.category_names[category]}"
                yield DataError(where, problem, _AGAIN, f"{place}, point {np.isin(parts, [*unknown]).argmax()}")
        if count < minimum:
            yield too_few(where, int(count), minimum, place)
        yield from _not_finite(cloud, where, place)


def scene_problems(scene: Scene, where: str | Path, minimum: int = 1, boxes: bool = True) -> Iterator[DataError]:
    """Too few vertices, coordinates that are not `usable`, and (unless `boxes` is off) boxes without a size."""
    place = f"scene {scene.name}"
    if len(scene.points) < minimum:
        yield DataError(where, f"has only {len(scene.points)} vertices of {minimum}", _AGAIN, place)
    yield from _not_finite(scene.points, where, place, "vertex")
    if boxes:
        for number, box in enumerate(scene.boxes):
            if not np.isfinite(box).all():
                yield DataError(where, "a box that is not finite", _AGAIN, f"{place}, box {number}")
            elif (box[3:6] <= 0).any():
                yield DataError(where, "a box of zero size", _AGAIN, f"{place}, box {number}")


def _not_finite(points: np.ndarray, where: str | Path, place: str, what: str = "point") -> Iterator[DataError]:
    good = usable(points)
    if not good.all():
        count = int((~good).sum())
        others = f" ({count} of {len(points)})" if count > 1 else ""
        place = f"{place}, {what} {good.argmin()}"
        problem = f"coordinates that are not finite numbers, or beyond {LARGEST:g}{others}"
        yield DataError(where, problem, _AGAIN, place)

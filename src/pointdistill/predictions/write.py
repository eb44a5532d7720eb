"""One piece of a test, written: which files each task leaves, and what of it the page shows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pointdistill.datasets.modelnet40 import ObjectSet
from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import RecipeError
from pointdistill.predictions.boxes import write_boxes
from pointdistill.predictions.clouds import write_coloured_scene, write_labelled_scene, write_labelled_shape
from pointdistill.predictions.examples import detection_example, evenly, part_example, segmentation_example
from pointdistill.report.examples import Example
from pointdistill.tasks.base import Task
from pointdistill.tasks.classification import Classification, ClassProbabilities
from pointdistill.tasks.detection import Detection, Detections
from pointdistill.tasks.part_segmentation import LabelledShape, PartSegmentation
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation

SHOWN = 50
"""Scenes or shapes on the page, at most: evenly over the split, chosen before looking."""


@dataclass(frozen=True)
class Written:
    """What is not a file of its own.

    Attributes:
        rows: a line of predictions.csv for each object.
        examples: for the page.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def write_prediction(task: Task, split: Any, piece: int, prediction: Any, folder: Path) -> Written:
    """Write the files of a piece of a test: clouds and boxes of a scene, clouds of shapes, rows of objects."""
    if isinstance(task, Detection):
        return _room(task, split[piece], prediction, folder, piece in evenly(len(split), SHOWN))
    if isinstance(task, SemanticSegmentation):
        return _labelled_room(task, split[piece], prediction, folder, piece in evenly(len(split), SHOWN))
    if isinstance(task, PartSegmentation):
        return _shapes(task, split, piece, prediction, folder)
    if isinstance(task, Classification):
        return Written(_objects(task, split, piece, prediction))
    return Written(_own_rows(task, split, piece, prediction, folder))


def _own_rows(task: Any, split: Any, piece: int, prediction: Any, folder: Path) -> list[dict[str, Any]]:
    """What a task of the user's own leaves: files, if its method `write` makes any, and the rows that this returns."""
    if not hasattr(task, "write"):
        return []
    rows = task.write(split, piece, prediction, folder)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RecipeError(f"{type(task).__name__}.write returned {type(rows).__name__}. Return a list of dictionaries")
    return rows


def _room(task: Detection, scene: Scene, found: Detections, folder: Path, shown: bool) -> Written:
    write_coloured_scene(folder, scene)
    write_boxes(folder, task, scene, found)
    return Written(examples=[detection_example(task, scene, found)] if shown else [])


def _labelled_room(
    task: SemanticSegmentation, scene: Scene, predicted: np.ndarray, folder: Path, shown: bool
) -> Written:
    write_labelled_scene(folder, task, scene, predicted)
    return Written(examples=[segmentation_example(task, scene, predicted)] if shown else [])


def _shapes(
    task: PartSegmentation, split: PartSet, piece: int, prediction: list[LabelledShape], folder: Path
) -> Written:
    examples, shown = [], evenly(task.size(split), SHOWN)
    for row, shape in enumerate(prediction, task.rows(split, piece).start):
        write_labelled_shape(folder, split, row, shape)
        examples += [part_example(split, row, shape)] if row in shown else []
    return Written(examples=examples)


def _objects(
    task: Classification, split: ObjectSet, piece: int, prediction: ClassProbabilities
) -> list[dict[str, Any]]:
    """What is said of the clouds as the test sees them, with or without votes beside it."""
    rows = task.rows(split, piece)
    return [
        {
            "name": split.names[row],
            "true": split.classes[int(split.labels[row])],
            "predicted": split.classes[int(share.argmax())],
            **{f"p({name})": float(value) for name, value in zip(split.classes, share, strict=True)},
        }
        for row, share in enumerate(prediction.classes, rows.start)
    ]

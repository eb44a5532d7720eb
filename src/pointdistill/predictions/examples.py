"""Predictions on single scenes and shapes as examples of the report page."""

import numpy as np
from jaxtyping import Int

from pointdistill.datasets.scannet import SEMANTIC_CLASSES, Scene, class_names
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.report.examples import DetectionExample, PartExample, SegmentationExample
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.detection import Detection, Detections
from pointdistill.tasks.part_segmentation import LabelledShape
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation

SHOWN_POINTS = 6000
GREY = (128, 128, 128)


def detection_example(task: Detection, scene: Scene, found: Detections) -> DetectionExample:
    """A room with its true and its predicted boxes, best first."""
    names = class_names(task.classes)
    shown = np.argsort(-np.asarray(found.scores), kind="stable")
    chosen = _chosen(len(scene.points))
    return DetectionExample(
        title=scene.name,
        points=scene.points[chosen],
        colours=scene.colours[chosen],
        true_boxes=scene.boxes,
        true_names=list(class_names(scene.box_classes.tolist())),
        predicted_boxes=np.asarray(found.boxes)[shown].reshape(-1, 7),
        predicted_names=[names[int(found.classes[row])] for row in shown],
        scores=np.asarray(found.scores)[shown],
    )


def segmentation_example(
    task: SemanticSegmentation, scene: Scene, predicted: Int[np.ndarray, " vertices"]
) -> SegmentationExample:
    """A room with the true and the predicted class of its vertices."""
    chosen = _chosen(len(scene.points))
    return SegmentationExample(
        title=scene.name,
        points=scene.points[chosen],
        truth=task.labels(scene)[chosen],
        predicted=predicted[chosen],
        names=semantic_names(task),
        class_colours=semantic_colours(task),
        colours=scene.colours[chosen],
    )


def part_example(split: PartSet, row: int, shape: LabelledShape) -> PartExample:
    """An object with its true and its predicted parts."""
    category = int(split.categories[row])
    ids = list(split.part_ids[category])
    place = {part: index for index, part in enumerate(ids)}
    return PartExample(
        title=f"{split.category_names[category]} {split.names[row]}",
        points=shape.points,
        truth=np.array([place[int(part)] for part in shape.true]),
        predicted=np.array([place[int(part)] for part in shape.predicted]),
        names=[split.part_names[part] for part in ids],
    )


def semantic_names(task: SemanticSegmentation) -> list[str]:
    """Names of the task's classes, as the benchmark prints them."""
    names = {info.nyu40: info.name for info in SEMANTIC_CLASSES}
    return [names.get(nyu40, str(nyu40)) for nyu40 in task.classes]


def semantic_colours(task: SemanticSegmentation) -> np.ndarray:
    """(classes, 3), the benchmark's palette."""
    colours = {info.nyu40: info.colour for info in SEMANTIC_CLASSES}
    return np.array([colours.get(nyu40, GREY) for nyu40 in task.classes], np.uint8)


def evenly(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` indices, the first and the last among them."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(wanted, count))})


def _chosen(count: int) -> np.ndarray:
    return numpy_generator(0, "shown points").permutation(count)[:SHOWN_POINTS]

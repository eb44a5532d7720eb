"""A model's folder or file -> what is exported of it."""

from pathlib import Path
from typing import Any

from pointdistill.applications.embed import load_encoder
from pointdistill.datasets.scannet import class_names
from pointdistill.errors import CheckpointError, PointdistillError
from pointdistill.export.networks import (
    RawClassification,
    RawDetection,
    RawFeatures,
    RawPartSegmentation,
    RawSegmentation,
)
from pointdistill.export.subject import Port, Subject
from pointdistill.files import read_json
from pointdistill.hub import BACKBONE, MODEL, located
from pointdistill.models import checkpoints
from pointdistill.models.detr3d_encoder import SceneTransformer
from pointdistill.models.dgcnn import DGCNN
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.tasks.classification import Classification, ClassificationModel
from pointdistill.tasks.detection import Detection, DetectionModel
from pointdistill.tasks.part_segmentation import PartSegmentation, PartSegmentationModel
from pointdistill.tasks.saved import CARD, WEIGHTS, SavedModel, load_task_model
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation

FINITE = "Points must be finite: leave out those that are NaN or infinite."
COUNT = "Exactly this many points: draw at random from a cloud that has more, repeat some of one that has fewer."
FRAMES = {"gravity": "z up", "camera": "the depth camera's frame: x right, y down, z forward"}
TERMS = "Whoever passes these weights on keeps to the terms of the data and of the teacher they were made with."
_OF_CARD = ("version", "recipe", "source", "identity", "seed", "data", "store", "teacher", "init", "peer", "file", "up")


def open_subject(model: str | Path, points: int | None, batch: int) -> Subject:
    """Read a model, with the shapes that its graph will have.

    Args:
        model: the folder of a fine-tuning or of a pre-training, or backbone.safetensors; or OWNER/NAME[@REVISION] on
            the model hub.
        points: points a cloud; None takes as many as the model was trained with.
        batch: clouds at a time.

    Raises:
        CheckpointError: no model there, or a damaged one.
        HubError: no such repository, or the hub cannot be reached and the cache has it not.
        PointdistillError: fewer points than the model needs.
    """
    path = located(model, MODEL, BACKBONE)
    if path.name in (WEIGHTS, CARD):
        path = path.parent
    if path.is_dir() and (path / CARD).is_file():
        return _of_task(load_task_model(path), points, batch)
    if path.is_dir() and not (path / checkpoints.FILE_NAME).is_file():
        remedy = "Give the folder of a finished fine-tuning or pre-training, or a backbone.safetensors"
        raise CheckpointError(path, "holds no model", remedy)
    return _of_backbone(path, points, batch)


def _of_backbone(path: Path, points: int | None, batch: int) -> Subject:
    encoder = load_encoder(path)
    backbone, config = encoder.backbone, encoder.backbone.config
    count = _enough(points or encoder.points, max(config.groups, config.group_size))
    card = (path if path.is_dir() else path.parent) / "backbone.json"
    frame = FRAMES[encoder.frame]
    return Subject(
        "features",
        RawFeatures(backbone),
        (_points(batch, count, f"x, y, z in any unit; {frame}"),),
        (
            Port(
                "tokens",
                "float32",
                (batch, config.groups, config.width),
                "a feature of each patch, after the last norm",
            ),
            Port(
                "centres", "float32", (batch, config.groups, 3), "of the patches, in the frame and unit of the points"
            ),
            Port("pooled", "float32", (batch, 2 * config.width), "mean and maximum over the tokens"),
        ),
        None,
        (COUNT, f"Which axis is up: {frame}.", FINITE),
        {"pre-trained with": f"{encoder.points} points of one view"},
        _provenance(read_json(card) if card.is_file() else {}),
    )


def _of_task(saved: SavedModel, points: int | None, batch: int) -> Subject:
    task, model = saved.task, saved.model
    assert isinstance(task, Classification | PartSegmentation | SemanticSegmentation | Detection)
    count = _enough(points or task.points, _least(task, model.backbone))
    provenance = _provenance(saved.card)
    if isinstance(task, Classification):
        return _classification(saved, task, count, batch, provenance)
    if isinstance(task, PartSegmentation):
        return _parts(saved, task, count, batch, provenance)
    if isinstance(task, SemanticSegmentation):
        return _segmentation(saved, task, count, batch, provenance)
    return _detection(saved, task, count, batch, provenance)


def _classification(
    saved: SavedModel, task: Classification, count: int, batch: int, provenance: dict[str, Any]
) -> Subject:
    assert isinstance(saved.model, ClassificationModel)
    classes = tuple(saved.facts.classes)  # type: ignore[attr-defined]
    keep = task.points if task.test_sampling == "fps" else None
    drawn = f"farthest point sampling keeps {keep}" if keep is not None and keep < count else "the network sees all"
    return Subject(
        task.name,
        RawClassification(saved.model, keep),
        (_points(batch, count, f"x, y, z of an object in any unit, z up as in its training data; {drawn}"),),
        (Port("logits", "float32", (batch, len(classes)), "of the classes"),),
        classes,
        (COUNT, "Which axis is up, and cutting the object out of its surroundings.", FINITE),
        {"trained with": f"{task.points} points"},
        provenance,
    )


def _parts(saved: SavedModel, task: PartSegmentation, count: int, batch: int, provenance: dict[str, Any]) -> Subject:
    assert isinstance(saved.model, PartSegmentationModel)
    facts: Any = saved.facts
    parts = max(facts.part_names) + 1
    return Subject(
        task.name,
        RawPartSegmentation(saved.model),
        (
            _points(batch, count, "x, y, z of an object in any unit, z up as in its training data"),
            Port("category", "int64", (batch,), "index into `categories`"),
        ),
        (
            Port("logits", "float32", (batch, count, parts), "of all parts, at every point"),
            Port("parts", "int64", (batch, count), "the best part among those of the category, at every point"),
        ),
        tuple(facts.part_names.get(part, str(part)) for part in range(parts)),
        (COUNT, "Which axis is up, and the object's category.", FINITE),
        {
            "trained with": f"{task.points} points",
            "categories": list(facts.category_names),
            "parts_of_categories": [list(ids) for ids in facts.part_ids],
        },
        provenance,
    )


def _segmentation(
    saved: SavedModel, task: SemanticSegmentation, count: int, batch: int, provenance: dict[str, Any]
) -> Subject:
    model: Any = saved.model
    classes = class_names(task.classes)
    colours = Port("colours", "float32", (batch, count, 3), "red, green, blue of the points, 0 to 1")
    meaning = "metres, z up: x and y relative to the column's middle, z above the floor"
    return Subject(
        task.name,
        RawSegmentation(model),
        (_points(batch, count, meaning), *([colours] if task.colour else [])),
        (Port("logits", "float32", (batch, count, len(classes)), "of the classes, at every point"),),
        classes,
        (
            f"Cutting the room into columns: squares of {task.side:g} m of the floor plan, all heights; "
            f"{task.stride:g} m apart in the task's test, where each point's probabilities (softmax) are summed.",
            "The floor's height (the test takes the first percentile of z).",
            COUNT,
            FINITE,
        ),
        {"trained with": f"{task.points} points a column", "column_metres": task.side, "nyu40": list(task.classes)},
        provenance,
    )


def _detection(saved: SavedModel, task: Detection, count: int, batch: int, provenance: dict[str, Any]) -> Subject:
    assert isinstance(saved.model, DetectionModel)
    classes, queries = class_names(task.classes), task.decoder.queries
    box = "centre x, y, z and edge lengths, metres; heading, radians from the x axis, counter-clockwise from above"
    kept = (
        f"which boxes stay: {task.minimum_points} of the points or more inside, not suppressed by a better one of the "
        f"same class (IoU {task.nms:g}), scores above {task.threshold:g}"
    )
    counted = {}
    if task.count_points is not None:
        counted = {"points_in_boxes": f"counted on the points given; in the task's test on {task.count_points}"}
    return Subject(
        task.name,
        RawDetection(saved.model, task),
        (_points(batch, count, "x, y, z in metres, z up, walls along x and y"),),
        (
            Port("boxes", "float32", (batch, queries, 7), box),
            Port("scores", "float32", (batch, queries), "probability of being an object"),
            Port(
                "class_scores", "float32", (batch, queries, len(classes)), "probability of each class times the score"
            ),
            Port("kept", "bool", (batch, queries), kept),
            Port("logits", "float32", (batch, queries, len(classes) + 1), "of the classes, then of no object"),
        ),
        classes,
        (COUNT, "Which axis is up, and turning the room so that its walls lie along x and y.", FINITE),
        {"trained with": f"{task.points} points", "nyu40": list(task.classes), **counted},
        provenance,
    )


def _points(batch: int, count: int, meaning: str) -> Port:
    return Port("points", "float32", (batch, count, 3), meaning)


def _least(task: Any, backbone: Any) -> int:
    """Points below which the model's searches find too few."""
    if isinstance(backbone, SceneTransformer):
        return backbone.config.tokens
    if isinstance(backbone, DGCNN):
        return backbone.config.neighbours
    assert isinstance(backbone, PointTransformer)
    return max(task.group_count, task.group_size)


def _enough(points: int, least: int) -> int:
    if points < least:
        raise PointdistillError(f"--points {points}: this model needs clouds of {least} points or more")
    return points


def _provenance(card: dict[str, Any]) -> dict[str, Any]:
    """Of the card what tells whose weights these are."""
    kept = {name: card[name] for name in _OF_CARD if card.get(name) is not None}
    if isinstance(kept.get("recipe"), dict):
        kept["recipe"] = kept["recipe"].get("name")
    if isinstance(kept.get("init"), dict):
        kept["init"] = {name: kept["init"].get(name) for name in ("identity", "recipe")}
    return {**kept, "terms": TERMS}

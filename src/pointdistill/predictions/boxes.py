"""Boxes of a scene as files: JSON with all that is known, and a mesh of thin beams along the edges for any viewer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from pointdistill.datasets.scannet import DETECTION_CLASSES, Scene, class_names
from pointdistill.files import write_text
from pointdistill.geometry.boxes import corners
from pointdistill.io.ply import write_ply
from pointdistill.predictions.clouds import file_of
from pointdistill.tasks.detection import Detection, Detections

BEAM = 0.02
"""Thickness of the beams, metres."""
TRUE_COLOUR = (40, 160, 40)
_AXES = ((0, 4), (1, 5), (2, 6), (3, 7)), ((0, 2), (1, 3), (4, 6), (5, 7)), ((0, 1), (2, 3), (4, 5), (6, 7))
"""Pairs of corners that are edges along the box's x, y and z; corners are numbered with x slowest and z fastest."""
_TRIANGLES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]]
)  # fmt: skip
"""Of a cuboid whose corners are numbered in the same way, seen from outside counter-clockwise."""


def write_boxes(folder: Path, task: Detection, scene: Scene, found: Detections) -> None:
    """Write SCAN.boxes.json and SCAN.boxes.ply: metres, the scene's frame, z up.

    The mesh's beams have the colour of the predicted class, true boxes are green; `quality` is the score, 1 for true
    ones. All predictions are there, also those of low score: filter by quality.
    """
    names, order = class_names(task.classes), np.argsort(-found.scores, kind="stable")
    true = np.isin(scene.box_classes, task.classes)
    predicted = [
        {"class": names[int(found.classes[row])], "score": float(found.scores[row]), **box_as_json(found.boxes[row])}
        for row in order
    ]
    content = {
        "scene": scene.name,
        "frame": "metres, z up; centre, size along the box's own axes, heading counter-clockwise about z in radians",
        "predicted": predicted,
        "true": [
            {"class": name, **box_as_json(box)}
            for name, box in zip(class_names(scene.box_classes[true].tolist()), scene.boxes[true], strict=True)
        ],
    }
    write_text(file_of(folder, scene.name, ".boxes.json"), json.dumps(content, indent=1) + "\n", sync=False)
    palette = {info.nyu40: info.colour for info in DETECTION_CLASSES}
    colours = [palette.get(task.classes[int(label)], TRUE_COLOUR) for label in found.classes[order]]
    boxes = np.concatenate([found.boxes[order], scene.boxes[true]]).astype(np.float32)
    quality = np.concatenate([found.scores[order], np.ones(true.sum())]).astype(np.float32)
    shades = [*colours, *[TRUE_COLOUR] * int(true.sum())]
    write_ply(file_of(folder, scene.name, ".boxes.ply"), *beams(boxes, shades, quality))


def box_as_json(box: Float[np.ndarray, " box"]) -> dict[str, Any]:
    """Centre, size and heading of a box."""
    values = [float(value) for value in box]
    return {"centre": values[:3], "size": values[3:6], "heading": values[6] if len(values) > 6 else 0.0}


def beams(
    boxes: Float[np.ndarray, "boxes box"], colours: list[tuple[int, int, int]], quality: Float[np.ndarray, " boxes"]
) -> tuple[dict[str, np.ndarray], Int[np.ndarray, "triangles 3"]]:
    """The edges of boxes as thin cuboids: vertices by property, and triangles; 96 vertices and 144 triangles a box."""
    bars = np.concatenate([_bars(box) for box in boxes]) if len(boxes) else np.zeros((0, 7), np.float32)
    places = corners(torch.from_numpy(bars)).reshape(-1, 3).numpy()
    shades = np.repeat(np.array(colours, np.uint8).reshape(-1, 3), 96, axis=0)
    vertices = dict(zip("xyz", places.T, strict=True))
    vertices |= dict(zip(("red", "green", "blue"), shades.T, strict=True))
    triangles = (_TRIANGLES + 8 * np.arange(len(bars))[:, None, None]).reshape(-1, 3)
    return {**vertices, "quality": np.repeat(quality, 96)}, triangles


def _bars(box: Float[np.ndarray, " box"]) -> Float[np.ndarray, "12 7"]:
    """The twelve edges as boxes of the same heading."""
    full = np.zeros(7, np.float32)
    full[: len(box)] = box
    ends = corners(torch.from_numpy(full)[None])[0].numpy()
    bars = []
    for axis, edges in enumerate(_AXES):
        size = np.full(3, BEAM, np.float32)
        size[axis] = full[3 + axis] + BEAM
        bars += [np.concatenate([(ends[a] + ends[b]) / 2, size, full[6:]]) for a, b in edges]
    return np.array(bars, np.float32)

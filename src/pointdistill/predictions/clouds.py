"""Clouds as .ply files with the colours of what was predicted, and the labels beside them."""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError
from pointdistill.files import is_plain
from pointdistill.io.ply import write_ply
from pointdistill.predictions.examples import semantic_colours
from pointdistill.report.payload import CLASS_COLOURS
from pointdistill.tasks.part_segmentation import LabelledShape
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation


def file_of(folder: Path, name: str, ending: str) -> Path:
    """The file of a scan or shape, whose name is the data set's.

    Raises:
        DataError: a name that would lead out of the folder, or that no file can have.
    """
    if not is_plain(name):
        remedy = "Rename it in the data set, and prepare that again."
        raise DataError(folder, f"no file can be called after {name[:40]!r}", remedy)
    return folder / f"{name}{ending}"


def write_labelled_scene(
    folder: Path, task: SemanticSegmentation, scene: Scene, predicted: Int[np.ndarray, " vertices"]
) -> None:
    """Write SCAN.ply: every vertex in the colour of its predicted class; `label` and `predicted` are NYU40 ids."""
    ids = np.array(task.classes, np.int32)
    truth = np.where(np.isin(scene.semantic, ids), scene.semantic, 0).astype(np.int32)
    colours = semantic_colours(task)[predicted]
    write_ply(file_of(folder, scene.name, ".ply"), _vertices(scene.points, colours, truth, ids[predicted], truth > 0))


def write_coloured_scene(folder: Path, scene: Scene) -> None:
    """Write SCAN.ply: the scene in its own colours, to lie under its boxes."""
    write_ply(file_of(folder, scene.name, ".ply"), _coloured(scene.points, scene.colours))


def write_labelled_shape(folder: Path, split: PartSet, row: int, shape: LabelledShape) -> None:
    """Write CATEGORY_NAME.ply: the cloud in the unit sphere, each point in the colour of its predicted part; `label`
    and `predicted` are part ids."""
    category = int(split.categories[row])
    place = {part: index for index, part in enumerate(split.part_ids[category])}
    colours = CLASS_COLOURS[[place[int(part)] % len(CLASS_COLOURS) for part in shape.predicted]]
    truth, predicted = shape.true.astype(np.int32), shape.predicted.astype(np.int32)
    path = file_of(folder, f"{split.category_names[category]}_{split.names[row]}", ".ply")
    write_ply(path, _vertices(shape.points, colours, truth, predicted, np.ones(len(truth), bool)))


def _vertices(
    points: np.ndarray, colours: np.ndarray, truth: np.ndarray, predicted: np.ndarray, known: np.ndarray
) -> dict[str, np.ndarray]:
    """With `quality`, which MeshLab colours by: 1 where right, 0 where wrong, -1 where there is no true label."""
    quality = np.where(known, truth == predicted, -1).astype(np.float32)
    return {**_coloured(points, colours), "label": truth, "predicted": predicted, "quality": quality}


def _coloured(points: np.ndarray, colours: np.ndarray) -> dict[str, np.ndarray]:
    places = dict(zip("xyz", points.astype(np.float32).T, strict=True))
    return places | dict(zip(("red", "green", "blue"), colours.astype(np.uint8).T, strict=True))

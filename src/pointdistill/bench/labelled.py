"""Made-up labelled data in the sizes of the published sets, for measurements: the labels mean nothing."""

import numpy as np

from pointdistill.bench.geometry import room
from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.scannet import DETECTION_CLASSES, Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.seeding import numpy_generator

_BOXES = 12


def objects(count: int, points: int = 8192, classes: int = 40) -> ObjectSet:
    """As ModelNet40 in the form of 8,192 points a shape."""
    names = tuple(f"shape_{number:04d}" for number in range(count))
    labels = np.arange(count, dtype=np.int64) % classes
    return ObjectSet(_clouds(count, points), labels, names, tuple(f"class {number}" for number in range(classes)))


def part_shapes(count: int, points: int = 2500, categories: int = 16) -> PartSet:
    """As ShapeNetPart: about 2,600 points a shape; here every category has three parts."""
    of_category = tuple(tuple(range(3 * number, 3 * number + 3)) for number in range(categories))
    category = np.arange(count, dtype=np.int64) % categories
    parts = 3 * category[:, None] + numpy_generator(0, "bench", "parts").integers(0, 3, (count, points))
    return PartSet(
        points=_clouds(count, points),
        parts=parts,
        counts=np.full(count, points, np.int64),
        categories=category,
        names=tuple(f"shape_{number:04d}" for number in range(count)),
        category_names=tuple(f"category {number}" for number in range(categories)),
        part_ids=of_category,
        part_names={part: f"part {part}" for parts in of_category for part in parts},
    )


def scenes(count: int, vertices: int = 100_000) -> list[Scene]:
    """As ScanNet's: rooms with a dozen boxes."""
    return [_scene(number, vertices) for number in range(count)]


def _scene(number: int, vertices: int) -> Scene:
    generator = numpy_generator(number, "bench", "scene")
    ids = np.array([kind.nyu40 for kind in DETECTION_CLASSES], np.int16)
    boxes = np.zeros((_BOXES, 7), np.float32)
    boxes[:, :3], boxes[:, 3:6] = generator.uniform([1, 1, 0.3], [5, 4, 1], (_BOXES, 3)), generator.uniform(0.4, 1.2)
    return Scene(
        name=f"room_{number:04d}",
        points=room(vertices, number)[0].numpy(),
        colours=np.full((vertices, 3), 128, np.uint8),
        semantic=generator.choice(ids, vertices),
        instance=np.zeros(vertices, np.int32),
        boxes=boxes,
        box_classes=generator.choice(ids, _BOXES),
    )


def _clouds(count: int, points: int) -> np.ndarray:
    return np.concatenate([room(points, number).numpy() for number in range(count)])

"""Tiny data in the data sets' own types, made of a few shapes that a small network tells apart at once."""

import numpy as np
import torch

from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.models.point_transformer import PointTransformer, create_backbone
from pointdistill.tasks.base import Splits


def tiny_backbone(seed: int = 0, **overrides: object) -> PointTransformer:
    """Width 24, two blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 8, "drop_path": 0.0, **overrides}
        return create_backbone("vit_nano", **settings)


def objects(seed: int, per_class: int = 4, points: int = 96) -> ObjectSet:
    """Spheres, plates and poles, of varying sizes."""
    generator = np.random.default_rng(seed)
    stretch = np.array([[1, 1, 1], [1, 1, 0.05], [0.1, 0.1, 1]])
    labels = np.repeat(np.arange(3), per_class)
    clouds = generator.normal(size=(len(labels), points, 3))
    clouds /= np.linalg.norm(clouds, axis=-1, keepdims=True)
    clouds *= stretch[labels][:, None] * generator.uniform(0.8, 1.2, (len(labels), 1, 3))
    names = tuple(f"shape_{i}" for i in range(len(labels)))
    return ObjectSet(clouds.astype(np.float32), labels.astype(np.int64), names, ("sphere", "plate", "pole"))


def shapes(seed: int, per_category: int = 4, points: int = 96) -> PartSet:
    """Two categories: dumb-bells (parts 0 and 1: lower and upper ball) and tables (parts 2 and 3: legs and top)."""
    generator = np.random.default_rng(seed)
    clouds, parts = [], []
    for category in range(2):
        for _ in range(per_category):
            cloud = generator.normal(size=(points, 3)) * 0.15
            upper = generator.random(points) < 0.4
            cloud[:, 2] += np.where(upper, 0.6, -0.6)
            if category == 1:
                cloud[upper, :2] *= 5
            clouds.append(cloud)
            parts.append(upper + 2 * category)
    count = 2 * per_category
    return PartSet(
        points=np.array(clouds, np.float32),
        parts=np.array(parts, np.int64),
        counts=np.full(count, points, np.int64),
        categories=np.repeat(np.arange(2), per_category),
        names=tuple(f"shape_{i}" for i in range(count)),
        category_names=("dumbbell", "table"),
        part_ids=((0, 1), (2, 3)),
        part_names={0: "lower", 1: "upper", 2: "legs", 3: "top"},
    )


def room(seed: int, density: int = 400, furniture: int = 3) -> Scene:
    """A floor of 4 m x 3 m with blocks on it: low wide ones are beds (nyu40 4), high narrow ones doors (8)."""
    generator = np.random.default_rng(seed)
    floor = np.concatenate([generator.uniform(0, [4, 3], (4 * density, 2)), np.zeros((4 * density, 1))], 1)
    points, semantic, instance, boxes, classes = [floor], [np.full(len(floor), 2)], [np.zeros(len(floor))], [], []
    for number in range(furniture):
        bed = generator.random() < 0.5
        size = np.array([1.2, 0.8, 0.5] if bed else [0.5, 0.3, 1.8]) * generator.uniform(0.9, 1.1, 3)
        corner = np.array([0.8 + 1.3 * (number % 3), 0.6 + 1.4 * (number // 3)])
        centre = np.array([*(corner + generator.uniform(-0.1, 0.1, 2)), size[2] / 2])
        block = generator.uniform(-0.5, 0.5, (density, 3))
        side = generator.integers(3, size=density)
        block[np.arange(density), side] = np.sign(block[np.arange(density), side]) / 2
        points.append(centre + block * size)
        semantic.append(np.full(density, 4 if bed else 8))
        instance.append(np.full(density, number + 1))
        boxes.append([*centre, *size, 0])
        classes.append(4 if bed else 8)
    order = generator.permutation(sum(map(len, points)))
    vertices = np.concatenate(points)[order].astype(np.float32)
    return Scene(
        name=f"room{seed}",
        points=vertices,
        colours=np.full(vertices.shape, 128, np.uint8),
        semantic=np.concatenate(semantic)[order].astype(np.int16),
        instance=np.concatenate(instance)[order].astype(np.int32),
        boxes=np.array(boxes, np.float32).reshape(-1, 7),
        box_classes=np.array(classes, np.int16),
    )


def object_splits() -> Splits[ObjectSet]:
    """Three small splits."""
    return Splits(objects(0), objects(1), objects(2))


def shape_splits() -> Splits[PartSet]:
    """Three small splits."""
    return Splits(shapes(0), shapes(1), shapes(2))


def room_splits(train: int = 3) -> Splits[list[Scene]]:
    """Three small splits."""
    return Splits([room(i) for i in range(train)], [room(100)], [room(200), room(201)])

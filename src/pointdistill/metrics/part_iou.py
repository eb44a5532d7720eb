"""Part segmentation: IoU per shape, as ShapeNetPart is scored."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointdistill.metrics.arrays import ArrayLike, to_numpy


@dataclass(frozen=True)
class PartScores:
    """Shares in [0, 1]; NaN where there is nothing to count."""

    instance_mean_iou: float
    """Mean over all shapes."""
    class_mean_iou: float
    """Mean over the categories that have shapes of each category's own mean."""
    per_category: dict[Hashable, float]
    """Mean over each category's shapes, NaN for a category without any."""
    count: int
    """Shapes counted."""


class PartIoU:
    """Mean part IoU over shapes and over categories.

    A shape's IoU is the mean over ALL parts of its category; a part that neither the truth nor the prediction holds
    counts 1. The predictions are taken as given: limit the argmax to the category's parts first, as the protocol does.
    Shapes' figures are kept one by one and added with exact rounding, so that processes and order change no bit.

    Args:
        part_ids: each category's part labels.

    Source: Yi et al. 2016; the protocol of PointNet and Point-MAE.
    """

    def __init__(self, part_ids: Mapping[Hashable, Sequence[int]]):
        self.part_ids = {category: np.asarray(parts, np.int64) for category, parts in part_ids.items()}
        self.shapes: dict[Hashable, list[float]] = {category: [] for category in self.part_ids}
        """Each category's shape IoUs."""

    def update(self, prediction: ArrayLike, truth: ArrayLike, category: Hashable) -> None:
        """Add one shape: part labels (points,) and its category.

        Raises:
            ValueError: an unknown category, different sizes, or a true part that is not one of the category's.
        """
        if category not in self.part_ids:
            raise ValueError(f"category {category!r} is not one of {list(self.part_ids)}")
        predicted, true, parts = to_numpy(prediction), to_numpy(truth), self.part_ids[category]
        if predicted.shape != true.shape or true.ndim != 1:
            raise ValueError(f"a shape needs one label a point: prediction {predicted.shape}, truth {true.shape}")
        foreign = ~np.isin(true, parts)
        if foreign.any():
            at = int(foreign.argmax())
            raise ValueError(f"point {at} has part {true[at]}, category {category!r} has {parts.tolist()}")
        is_predicted, is_true = predicted == parts[:, None], true == parts[:, None]
        overlap, union = (is_predicted & is_true).sum(1), (is_predicted | is_true).sum(1)
        self.shapes[category].append(float(np.where(union == 0, 1.0, overlap / np.maximum(union, 1)).mean()))

    def merge(self, other: "PartIoU") -> None:
        """Add another process's shapes."""
        for category, values in other.shapes.items():
            self.shapes[category] += values

    def compute(self) -> PartScores:
        per_category = {category: _mean(values) for category, values in self.shapes.items()}
        everything = [value for values in self.shapes.values() for value in values]
        known = [value for value in per_category.values() if not math.isnan(value)]
        return PartScores(_mean(everything), _mean(known), per_category, len(everything))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else float("nan")

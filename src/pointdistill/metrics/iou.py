"""Semantic segmentation: the confusion matrix and what is read from it."""

from dataclasses import dataclass

import numpy as np

from pointdistill.metrics.arrays import ArrayLike, mean_of_known, ratio, to_labels, to_numpy

_AT_ONCE = 1 << 22  # labels counted together, so that an update's own memory stays small however large the scene


@dataclass(frozen=True)
class SegmentationScores:
    """Shares in [0, 1]; NaN where there is nothing to count."""

    mean_iou: float
    """Mean IoU over the classes that occur in the truth or in the predictions; a class absent from both is left out."""
    mean_accuracy: float
    """Mean recall over the classes that occur in the truth."""
    overall: float
    """Correct points of all points."""
    class_iou: np.ndarray
    """(classes,) intersection over union, NaN for a class absent from both truth and predictions."""
    class_accuracy: np.ndarray
    """(classes,) recall, NaN for a class absent from the truth."""
    count: int
    """Points counted."""


class ConfusionMatrix:
    """Counts of (true class, predicted class); constant memory, and order does not matter.

    Args:
        classes: number of classes; labels run from 0.
        ignore: the truth label of points that do not count, if there is one. Every other label must be a class.
    """

    def __init__(self, classes: int, ignore: int | None = None):
        self.ignore = ignore
        self.matrix = np.zeros((classes, classes), np.int64)
        """Rows: truth, columns: prediction."""

    def update(self, prediction: ArrayLike, truth: ArrayLike) -> None:
        """Add labels, one a point, any equal shape. What is predicted where the truth is ignored does not matter.

        Raises:
            ValueError: different sizes, or a label outside 0 .. classes - 1.
        """
        predicted, true = to_numpy(prediction).reshape(-1), to_numpy(truth).reshape(-1)
        if len(predicted) != len(true):
            raise ValueError(f"{len(predicted)} predictions for {len(true)} points")
        for begin in range(0, len(true), _AT_ONCE):
            self._add(predicted[begin : begin + _AT_ONCE], true[begin : begin + _AT_ONCE])

    def _add(self, predicted: np.ndarray, true: np.ndarray) -> None:
        classes = len(self.matrix)
        if self.ignore is not None:
            counted = true != self.ignore
            predicted, true = predicted[counted], true[counted]
        pairs = to_labels(true, classes, "truth") * classes + to_labels(predicted, classes, "prediction")
        self.matrix += np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add another process's counts."""
        self.matrix += other.matrix

    def compute(self) -> SegmentationScores:
        correct, true, predicted = np.diag(self.matrix), self.matrix.sum(1), self.matrix.sum(0)
        iou, accuracy = ratio(correct, true + predicted - correct), ratio(correct, true)
        count = int(true.sum())
        overall = float(correct.sum() / count) if count else float("nan")
        return SegmentationScores(mean_of_known(iou), mean_of_known(accuracy), overall, iou, accuracy, count)

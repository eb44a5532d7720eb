"""Classification accuracy."""

from dataclasses import dataclass

import numpy as np

from pointdistill.metrics.arrays import ArrayLike, mean_of_known, ratio, to_labels


@dataclass(frozen=True)
class AccuracyScores:
    """Shares in [0, 1]; NaN where there is nothing to count."""

    overall: float
    """Correct objects of all objects."""
    class_mean: float
    """Mean over the classes that occur in the truth of each class's own share."""
    per_class: np.ndarray
    """(classes,), NaN for a class that does not occur in the truth."""
    count: int
    """Objects counted."""


class Accuracy:
    """Overall and class-mean accuracy; integers inside, so the order of updates and merges does not matter."""

    def __init__(self, classes: int):
        self.correct = np.zeros(classes, np.int64)
        self.total = np.zeros(classes, np.int64)

    def update(self, prediction: ArrayLike, truth: ArrayLike) -> None:
        """Add labels, one an object, any equal shape.

        Raises:
            ValueError: different shapes, or a label outside 0 .. classes - 1.
        """
        classes = len(self.total)
        predicted, true = to_labels(prediction, classes, "prediction"), to_labels(truth, classes, "truth")
        if len(predicted) != len(true):
            raise ValueError(f"{len(predicted)} predictions for {len(true)} objects")
        self.total += np.bincount(true, minlength=classes)
        self.correct += np.bincount(true[predicted == true], minlength=classes)

    def merge(self, other: "Accuracy") -> None:
        """Add another process's counts."""
        self.correct += other.correct
        self.total += other.total

    def compute(self) -> AccuracyScores:
        per_class = ratio(self.correct, self.total)
        count = int(self.total.sum())
        overall = float(self.correct.sum() / count) if count else float("nan")
        return AccuracyScores(overall, mean_of_known(per_class), per_class, count)

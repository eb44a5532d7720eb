"""Average precision of 3D boxes, as VOC, VoteNet and 3DETR compute it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pointdistill.geometry.boxes import iou_3d
from pointdistill.metrics.arrays import ArrayLike, mean_of_known, to_labels, to_numpy


@dataclass(frozen=True)
class DetectionScores:
    """Shares in [0, 1], each keyed by IoU threshold; NaN where no class has a true box."""

    mean_ap: dict[float, float]
    """Mean of the per-class APs over the classes with true boxes (AP25, AP50)."""
    mean_recall: dict[float, float]
    """Mean over the same classes of the share of true boxes found by any prediction (AR25, AR50)."""
    ap: dict[float, dict[str, float]]
    """AP by class; classes without true boxes are left out."""
    recall: dict[float, dict[str, float]]
    """Recall by class; classes without true boxes are left out."""


@dataclass(frozen=True)
class _Scene:
    """One scene's predictions, each with the true box of its own class that it overlaps most."""

    scores: np.ndarray  # (P,) float64
    classes: np.ndarray  # (P,) int64
    match: np.ndarray  # (P,) int64 true box within the scene, -1 for none of that class
    overlap: np.ndarray  # (P,) float64 IoU with it


class AveragePrecision3D:
    """All-point VOC average precision at several IoU thresholds.

    A prediction is held against the true box of its class and scene that it overlaps MOST. It is right if that IoU
    lies above the threshold and no better-scored prediction has taken that box; each true box counts once. Predictions
    of equal score enter the precision-recall curve together, so that neither the order of scenes nor the number of
    processes changes anything. Scenes without predictions or without true boxes are as good as any other: their true
    boxes are missed, their predictions wrong. Boxes of no volume overlap nothing.

    Args:
        classes: the class names; labels index them.
        thresholds: IoU thresholds.

    Source: Everingham et al. 2010 (all-point form); VoteNet's `eval_det`, which 3DETR uses.
    """

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float] = (0.25, 0.5)):
        self.classes = tuple(classes)
        self.thresholds = tuple(thresholds)
        self.scenes: list[_Scene] = []
        self.true_boxes = np.zeros(len(self.classes), np.int64)
        """How many true boxes each class has."""

    def update(
        self,
        boxes: ArrayLike,
        scores: ArrayLike,
        classes: ArrayLike,
        true_boxes: ArrayLike,
        true_classes: ArrayLike,
    ) -> None:
        """Add one scene: predictions boxes (N, 7), scores (N,), classes (N,); truth (K, 7), (K,).

        Boxes are centre, size and heading (`geometry.boxes`), or (N, 6) without heading. A box may be repeated with
        other classes and scores.

        Raises:
            ValueError: lengths that do not fit, a class outside the list, or a score or box that is NaN.
        """
        labels = to_labels(classes, len(self.classes), "predicted class")
        true_labels = to_labels(true_classes, len(self.classes), "true class")
        confidence = _finite(scores, "score").reshape(-1)
        overlaps = _overlaps(boxes, true_boxes)
        if overlaps.shape != (len(labels), len(true_labels)) or len(confidence) != len(labels):
            raise ValueError(
                f"{overlaps.shape[0]} boxes with {len(confidence)} scores and {len(labels)} classes, "
                f"{overlaps.shape[1]} true boxes with {len(true_labels)} classes"
            )
        overlaps[labels[:, None] != true_labels] = -1.0
        self._add(confidence, labels, *_best(overlaps), true_labels)

    def update_all_classes(
        self, boxes: ArrayLike, class_scores: ArrayLike, true_boxes: ArrayLike, true_classes: ArrayLike
    ) -> None:
        """Add one scene in which every box (N, 7) stands once for EACH class with that class's score (N, classes):
        `update` with every box repeated, but each overlap is computed once.

        Raises:
            ValueError: as `update`.
        """
        count = len(self.classes)
        true_labels = to_labels(true_classes, count, "true class")
        confidence = _finite(class_scores, "score")
        overlaps = _overlaps(boxes, true_boxes)
        if confidence.shape != (len(overlaps), count) or overlaps.shape[1] != len(true_labels):
            raise ValueError(
                f"{len(overlaps)} boxes with scores {confidence.shape}, "
                f"{overlaps.shape[1]} true boxes with {len(true_labels)} classes"
            )
        match, overlap = np.full(confidence.shape, -1), np.full(confidence.shape, -1.0)
        for label in np.unique(true_labels):
            of_class = np.flatnonzero(true_labels == label)
            best, overlap[:, label] = _best(overlaps[:, of_class])
            match[:, label] = of_class[best]
        labels = np.broadcast_to(np.arange(count), confidence.shape)
        self._add(confidence.ravel(), labels.ravel(), match.ravel(), overlap.ravel(), true_labels)

    def _add(
        self, scores: np.ndarray, labels: np.ndarray, match: np.ndarray, overlap: np.ndarray, true_labels: np.ndarray
    ) -> None:
        self.true_boxes += np.bincount(true_labels, minlength=len(self.classes))
        self.scenes.append(_Scene(scores, labels, match, overlap))

    def merge(self, other: "AveragePrecision3D") -> None:
        """Add another process's scenes."""
        self.scenes += other.scenes
        self.true_boxes += other.true_boxes

    def compute(self) -> DetectionScores:
        ap: dict[float, dict[str, float]] = {threshold: {} for threshold in self.thresholds}
        recall: dict[float, dict[str, float]] = {threshold: {} for threshold in self.thresholds}
        ranked = self._ranked()
        for label in np.flatnonzero(self.true_boxes):
            scores, boxes, overlaps = ranked[label]
            for threshold in self.thresholds:
                hits = _first_hits(boxes, overlaps, threshold)
                name, total = self.classes[label], int(self.true_boxes[label])
                ap[threshold][name] = average_precision(scores, hits, total)
                recall[threshold][name] = float(hits.sum() / total)
        return DetectionScores(
            {threshold: mean_of_known(np.array([*values.values()])) for threshold, values in ap.items()},
            {threshold: mean_of_known(np.array([*values.values()])) for threshold, values in recall.items()},
            ap,
            recall,
        )

    def _ranked(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Each class's predictions over all scenes by descending score: scores, matched true boxes (numbered over all
        scenes) and overlaps."""
        if not self.scenes:
            return []
        scores = np.concatenate([scene.scores for scene in self.scenes])
        labels = np.concatenate([scene.classes for scene in self.scenes])
        overlaps = np.concatenate([scene.overlap for scene in self.scenes])
        first = np.cumsum([0] + [int(scene.match.max(initial=-1)) + 1 for scene in self.scenes])
        boxes = np.concatenate([scene.match + begin for scene, begin in zip(self.scenes, first, strict=False)])
        members = (np.flatnonzero(labels == label) for label in range(len(self.classes)))
        orders = [part[np.argsort(-scores[part], kind="stable")] for part in members]
        return [(scores[order], boxes[order], overlaps[order]) for order in orders]


def average_precision(scores: np.ndarray, hits: np.ndarray, total: int) -> float:
    """Area under the precision-recall curve, precision made non-increasing first (VOC's all-point form).

    Args:
        scores: (P,) in descending order.
        hits: (P,) bool, which predictions are right.
        total: how many there were to be found, at least one.
    """
    if not len(scores):
        return 0.0
    last_of_score = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    found = np.cumsum(hits)[last_of_score]
    precision = found / (last_of_score + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(found, prepend=0) * envelope).sum() / total)


def _first_hits(boxes: np.ndarray, overlaps: np.ndarray, threshold: float) -> np.ndarray:
    """Of the predictions (by descending score) that overlap a true box enough, the first for each."""
    hits = np.zeros(len(boxes), bool)
    candidates = np.flatnonzero(overlaps > threshold)
    hits[candidates[np.unique(boxes[candidates], return_index=True)[1]]] = True
    return hits


def _best(overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's best column (the lowest of equals) and its value; -1 and -1 where there is none."""
    if not overlaps.shape[1]:
        nothing = np.full(len(overlaps), -1)
        return nothing, nothing.astype(float)
    best = overlaps.argmax(1)
    values = overlaps[np.arange(len(overlaps)), best]
    return np.where(values < 0, -1, best), values


def _overlaps(boxes: ArrayLike, true_boxes: ArrayLike) -> np.ndarray:
    first, second = (torch.from_numpy(_rows(_finite(part, "box"))) for part in (boxes, true_boxes))
    return iou_3d(first, second).numpy()


def _rows(boxes: np.ndarray) -> np.ndarray:
    """(boxes, 6 or 7), also of an empty list."""
    return boxes if boxes.ndim == 2 else boxes.reshape(-1, 7)


def _finite(values: ArrayLike, what: str) -> np.ndarray:
    array = to_numpy(values).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} {int(np.argwhere(~np.isfinite(array))[0, 0])} is not finite")
    return array

"""Do the metrics keep up with ScanNet's validation split? Detections of 312 scenes, labels of 40 million vertices."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from time import thread_time

import numpy as np
import torch
from torch import Tensor

from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.geometry import room
from pointdistill.bench.timing import on_one_core
from pointdistill.datasets.scannet import DETECTION_CLASSES, SEMANTIC_CLASSES
from pointdistill.geometry import count_points_in_boxes, nms_3d
from pointdistill.metrics import AveragePrecision3D, ConfusionMatrix
from pointdistill.parallel import torch_threads
from pointdistill.seeding import numpy_generator

SCENES, QUERIES, POINTS, VERTICES = 312, 256, 40_000, 40_000_000
"""Of the validation split: scenes, proposals of each, points of each that boxes are counted on, vertices of all."""
MOST_AP, MOST_COUNT = 3.0, 10.0
"""Seconds on one core: suppression, matching and average precision; counting points in boxes."""
MOST_GROWTH = 256e6
"""Bytes that the IoU of all vertices may need at any time beyond the labels it is given."""
_NMS = 0.25


@dataclass(frozen=True)
class Proposed:
    """What a detector says of a scene, and the truth.

    Attributes:
        boxes, true_boxes: centre, size, heading.
        probability: of the classes, then of "no object".
        true_classes: of the true boxes.
    """

    boxes: Tensor
    probability: Tensor
    true_boxes: np.ndarray
    true_classes: np.ndarray


@dataclass(frozen=True)
class MetricsFigures:
    """The seconds are the measuring thread's own.

    Attributes:
        scenes: of each measurement; the limits are for 312.
        kept: boxes left by the suppression, of all scenes.
        counting: points in boxes.
        suppression, matching, precision: the parts of AP at both thresholds with every class's score of a box.
        vertices: labels compared.
        iou: class IoU of them.
        growth: bytes, the peak of what the IoU allocates.
    """

    scenes: int
    kept: int
    counting: float
    suppression: float
    matching: float
    precision: float
    vertices: int
    iou: float
    growth: int

    @property
    def ap(self) -> float:
        """All of AP but the counting."""
        return self.suppression + self.matching + self.precision

    def rows(self) -> list[Figure]:
        """The figures beside their limits."""
        ap = Figure(
            f"AP at IoU 0.25 and 0.5, all {len(DETECTION_CLASSES)} class scores of each of {self.kept:,} kept boxes",
            self.ap,
            "s",
            limit=Limit(f"{MOST_AP:g} s or less", self.ap <= MOST_AP),
            note=f"{self.scenes} scenes of {QUERIES} proposals",
            parts={
                "suppression": self.suppression,
                "matching": self.matching,
                "precision and recall": self.precision,
            },
        )
        counting = Figure(
            f"counting {POINTS:,} points in each scene's boxes",
            self.counting,
            "s",
            limit=Limit(f"{MOST_COUNT:g} s or less", self.counting <= MOST_COUNT),
        )
        memory = f"{MOST_GROWTH / 1e6:.0f} MB of its own or less, however many"
        iou = Figure(
            f"mIoU of {self.vertices:,} vertices",
            self.iou,
            "s",
            limit=Limit(memory, self.growth <= MOST_GROWTH),
            note=f"{self.growth / 1e6:.0f} MB of its own",
        )
        return [ap, counting, iou]


def metrics(scenes: int = SCENES) -> MetricsFigures:
    """Measure the metrics of detection and segmentation on made-up answers.

    Args:
        scenes: of the validation split, each with its share of the vertices.
    """
    with torch_threads(1):
        return on_one_core(lambda: _measure(scenes))


def _measure(scenes: int) -> MetricsFigures:
    iou, growth = _iou(scenes)
    answers = [_proposed(number) for number in range(scenes)]
    points = room(POINTS)[0]
    state = AveragePrecision3D([c.name for c in DETECTION_CLASSES])
    began = thread_time()
    for answer in answers:
        count_points_in_boxes(points, answer.boxes)
    counted = thread_time()
    kept = [
        nms_3d(answer.boxes, 1 - answer.probability[:, -1], answer.probability[:, :-1].argmax(-1), _NMS)
        for answer in answers
    ]
    suppressed = thread_time()
    for answer, index in zip(answers, kept, strict=True):
        scores = answer.probability[index, :-1] * (1 - answer.probability[index, -1:])
        state.update_all_classes(answer.boxes[index], scores, answer.true_boxes, answer.true_classes)
    matched = thread_time()
    state.compute()
    return MetricsFigures(
        scenes=scenes,
        kept=sum(map(len, kept)),
        counting=counted - began,
        suppression=suppressed - counted,
        matching=matched - suppressed,
        precision=thread_time() - matched,
        vertices=scenes * (VERTICES // SCENES),
        iou=iou,
        growth=growth,
    )


def _proposed(number: int) -> Proposed:
    """Half of the proposals near true boxes, as trained detectors give them, the others anywhere."""
    generator = numpy_generator(0, "bench", "detections", number)
    count, classes = int(generator.integers(5, 25)), len(DETECTION_CLASSES)
    truth = np.concatenate(
        [
            generator.uniform(0, [6, 5, 1.5], (count, 3)),
            generator.uniform(0.3, 2.0, (count, 3)),
            np.zeros((count, 1)),
        ],
        axis=1,
    )
    labels = generator.integers(classes, size=count)
    near = generator.integers(count, size=QUERIES // 2)
    boxes, logits = np.zeros((QUERIES, 7)), generator.normal(size=(QUERIES, classes + 1))
    boxes[:, :3] = generator.uniform(0, [6, 5, 1.5], (QUERIES, 3))
    boxes[:, 3:6] = generator.uniform(0.3, 2.0, (QUERIES, 3))
    boxes[: len(near)] = truth[near]
    boxes[: len(near), :6] += generator.normal(0, 0.1, (len(near), 6))
    boxes[:, 3:6] = boxes[:, 3:6].clip(0.05)
    logits[np.arange(len(near)), labels[near]] += 3
    probability = torch.from_numpy(logits).softmax(-1).float()
    return Proposed(torch.from_numpy(boxes).float(), probability, truth.astype(np.float32), labels)


def _iou(scenes: int) -> tuple[float, int]:
    """Seconds, and the peak of what numpy allocated meanwhile: unlike the process's peak it forgets what was before."""
    score, given = ConfusionMatrix(len(SEMANTIC_CLASSES), ignore=-1), list(_labels(4))
    began = thread_time()
    tracemalloc.start()
    try:
        for number in range(scenes):
            score.update(*given[number % len(given)])
        score.compute()
        _, growth = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return thread_time() - began, growth


def _labels(distinct: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predictions and truth of a few scenes, a tenth of the vertices unlabelled."""
    for number in range(distinct):
        generator = numpy_generator(0, "bench", "labels", number)
        truth = generator.integers(len(SEMANTIC_CLASSES), size=VERTICES // SCENES)
        prediction = np.where(generator.random(len(truth)) < 0.7, truth, (truth + 3) % len(SEMANTIC_CLASSES))
        yield prediction, np.where(generator.random(len(truth)) < 0.1, -1, truth)


def figures(scenes: int = SCENES) -> list[Figure]:
    """Measure; see `metrics`."""
    return metrics(scenes).rows()

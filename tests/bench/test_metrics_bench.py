"""What `bench metrics` times and says; never whether this machine is fast."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill.bench import metrics as bench
from pointdistill.geometry import iou_3d
from pointdistill.metrics import AveragePrecision3D


def test_answers_are_a_detectors():
    answer = bench._proposed(3)
    assert answer.boxes.shape == (256, 7) and answer.probability.shape == (256, 19)
    assert bool((answer.boxes[:, 3:6] > 0).all()) and bool((answer.boxes[:, 6] == 0).all())
    torch.testing.assert_close(answer.probability.sum(1), torch.ones(256))
    overlaps = iou_3d(answer.boxes, torch.from_numpy(answer.true_boxes)).amax(1)
    assert overlaps[:128].mean() > 0.4 > 0.2 > overlaps[128:].mean()
    state = AveragePrecision3D([str(c) for c in range(18)])
    state.update_all_classes(answer.boxes, answer.probability[:, :-1], answer.true_boxes, answer.true_classes)
    assert 0.1 < state.compute().mean_ap[0.25] < 1


def test_labels_are_mostly_right_and_partly_unknown():
    prediction, truth = next(bench._labels(1))
    assert len(truth) == 128_205 and 0.09 < (truth == -1).mean() < 0.11
    assert 0.6 < (prediction == truth)[truth >= 0].mean() < 0.8 and np.ptp(prediction) == 19


def test_memory_does_not_grow_with_the_vertices():
    (_, few), (_, many) = bench._iou(2), bench._iou(9)
    assert 100_000 < many < 1.1 * few


def test_figures_of_a_few_scenes():
    ap, counting, iou = bench.figures(3)
    assert ap.note == "3 scenes of 256 proposals" and "all 18 class scores" in ap.what
    assert ap.ours == pytest.approx(sum(ap.parts.values())) and ap.limit.text == "3 s or less"
    assert counting.what == "counting 40,000 points in each scene's boxes" and counting.ours > 0
    assert iou.what == "mIoU of 384,615 vertices" and "MB of its own" in iou.note


def test_the_limits():
    figures = bench.MetricsFigures(312, 50_000, 9.9, 2.0, 0.6, 0.4, 40_000_000, 1.0, 3_000_000)
    assert [row.limit.held for row in figures.rows()] == [True] * 3
    slow = replace(figures, counting=10.1, precision=0.5, growth=300_000_000)
    assert [row.limit.held for row in slow.rows()] == [False] * 3

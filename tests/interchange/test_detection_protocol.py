"""3DETR's loss and its evaluation, against their definitions: what a peer's weights are trained by and tested with."""

import numpy as np
import pytest
import torch
from peer_detection_loss import kept, layer_loss

from oracles import scores as oracle
from pointdistill.datasets.scannet import Scene
from pointdistill.metrics import AveragePrecision3D
from pointdistill.models.detr3d import Angles, Extent, Proposals
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.set_loss import SetLossConfig, set_loss

CLASSES, LAYERS, QUERIES = 4, 3, 9


def proposals(seed, true, low, high):
    """Random proposals, half of them near true boxes."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    batch = len(true)
    centres = low[:, None] + (high - low)[:, None] * random(LAYERS, batch, QUERIES, 3)
    sizes = 0.2 + random(LAYERS, batch, QUERIES, 3)
    for scene, boxes in enumerate(true):
        for row, box in enumerate(boxes[: QUERIES // 2]):
            centres[:, scene, row] = box[:3] + 0.1 * random(LAYERS, 3)
            sizes[:, scene, row] = box[3:6] * (0.9 + 0.3 * random(LAYERS, 3))
    logits = 4 * random(LAYERS, batch, QUERIES, CLASSES + 1)
    angles = Angles(random(LAYERS, batch, QUERIES, 1), 3 * random(LAYERS, batch, QUERIES, 1) - 1.5)
    return Proposals(logits, centres, sizes, Extent(low, high - low), angles)


def as_rows(found, layer, scene):
    return [
        {
            "logits": found.logits[layer, scene, query].tolist(),
            "centre": found.centres[layer, scene, query].tolist(),
            "size": found.sizes[layer, scene, query].tolist(),
            "residual": found.angles.residuals[layer, scene, query, 0].item(),
        }
        for query in range(QUERIES)
    ]


def rooms(seed, counts):
    """Boxes (centre, size, heading 0) and classes of some rooms, and the extents of their points."""
    generator = np.random.default_rng(seed)
    low, high = generator.uniform(-1, 0, (len(counts), 3)), generator.uniform(3, 5, (len(counts), 3))
    true = [np.c_[generator.uniform(0, 3, (n, 3)), generator.uniform(0.3, 1.2, (n, 3)), np.zeros(n)] for n in counts]
    return true, [generator.integers(0, CLASSES, n) for n in counts], torch.from_numpy(low), torch.from_numpy(high)


@pytest.mark.parametrize("counts", [(3, 5), (0, 4), (1, 0), (0, 0)])
def test_set_loss(counts):
    true, classes, low, high = rooms(sum(counts), counts)
    found = proposals(0, [torch.from_numpy(boxes) for boxes in true], low, high)
    padded = torch.zeros(len(counts), max(1, *counts), 7, dtype=torch.float64)
    labels = torch.full(padded.shape[:2], -1)
    for scene, count in enumerate(counts):
        padded[scene, :count] = torch.from_numpy(true[scene])
        labels[scene, :count] = torch.from_numpy(classes[scene])
    scenes = [
        {"low": low[s].tolist(), "high": high[s].tolist(), "boxes": true[s][:, :6].tolist(), "classes": classes[s]}
        for s in range(len(counts))
    ]
    expected = sum(layer_loss([as_rows(found, k, s) for s in range(len(counts))], scenes) for k in range(LAYERS))
    assert set_loss(found, padded, labels, SetLossConfig()).total.item() == pytest.approx(expected, abs=1e-9)


def test_average_precision():
    """From proposals to AP: the point count, suppression within a class, the threshold, every class's score a box."""
    task, generator = Detection(classes=(3, 4, 5, 6), points=2000), np.random.default_rng(1)
    true, classes, low, high = rooms(5, (4, 3, 6))
    found = proposals(2, [torch.from_numpy(boxes) for boxes in true], low, high)
    state, parts = AveragePrecision3D(["a", "b", "c", "d"]), []
    for number, (boxes, labels) in enumerate(zip(true, classes, strict=True)):
        points = generator.uniform(0, 3.5, (2000, 3)).astype(np.float32)
        nothing = np.zeros(2000, np.int16)
        scene = Scene(
            f"room{number}",
            points,
            np.zeros((2000, 3), np.uint8),
            nothing,
            nothing.astype(np.int32),
            boxes.astype(np.float32),
            np.array(task.classes, np.int16)[labels],
        )
        left = task._filter(found.boxes[-1, number], found.logits[-1, number].softmax(-1), scene, 0)
        expected = kept(as_rows(found, LAYERS - 1, number), points.astype(float).tolist())
        np.testing.assert_allclose(left.boxes[:, :6], [box for box, _, _ in expected], atol=1e-12)
        scores = [[share * objectness for share in shares] for _, shares, objectness in expected]
        np.testing.assert_allclose(left.class_scores, scores, atol=1e-12)
        state.update_all_classes(left.boxes, left.class_scores, boxes, labels)
        rows = [
            (box, score, c) for (box, _, _), row in zip(expected, scores, strict=True) for c, score in enumerate(row)
        ]
        parts.append((*map(list, zip(*rows, strict=True)), boxes[:, :6].tolist(), labels.tolist()))
    assert sum(len(part[0]) for part in parts) > 4 * 6, "some boxes are left"
    result = state.compute()
    for threshold in (0.25, 0.5):
        for label, name in enumerate("abcd"):
            ap, recall = oracle.detection(parts, label, threshold)
            assert result.ap[threshold][name] == pytest.approx(ap, abs=1e-9)
            assert result.recall[threshold][name] == pytest.approx(recall, abs=1e-9)

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import boxes as oracle
from pointdistill.geometry import (
    corners,
    count_points_in_boxes,
    giou_aligned,
    iou_aligned,
    nms_3d,
    points_in_boxes,
)


def some_boxes(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(*shape, 3, generator=generator, dtype=torch.float64) * 2
    return torch.cat([centres, 0.1 + 1.5 * torch.rand(*shape, 3, generator=generator, dtype=torch.float64)], -1)


def test_iou_and_giou_equal_the_oracle():
    a, b = some_boxes(0, 2, 9), some_boxes(1, 2, 7)
    iou, giou = iou_aligned(a, b), giou_aligned(a, b)
    assert iou.shape == giou.shape == (2, 9, 7)
    for n in range(2):
        for i in range(9):
            for j in range(7):
                pair = a[n, i].tolist(), b[n, j].tolist()
                assert iou[n, i, j].item() == pytest.approx(oracle.iou(*pair), abs=1e-12)
                assert giou[n, i, j].item() == pytest.approx(oracle.giou(*pair), abs=1e-12)
    assert torch.equal(iou_aligned(a[0], b[0]), iou[0])


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_iou_properties(seed):
    a, b = some_boxes(seed, 5), some_boxes(seed + 1, 4)
    iou, giou = iou_aligned(a, b), giou_aligned(a, b)
    assert bool((iou >= 0).all()) and bool((iou <= 1 + 1e-12).all())
    assert bool((giou >= -1 - 1e-12).all()) and bool((giou <= iou + 1e-12).all())
    assert torch.allclose(iou_aligned(b, a).T, iou)
    assert torch.allclose(iou_aligned(a, a).diagonal(), torch.ones(5, dtype=torch.float64))
    moved = torch.tensor([4.0, -1.0, 2.0, 0, 0, 0], dtype=torch.float64)
    assert torch.allclose(iou_aligned(a + moved, b + moved), iou, atol=1e-9)
    assert torch.allclose(giou_aligned(a * 3, b * 3), giou, atol=1e-9)


def test_boxes_without_volume_are_defined():
    flat, point, box = [0, 0, 0, 1, 1, 0.0], [5, 5, 5, 0, 0, 0.0], [0, 0, 0, 1, 1, 1.0]
    some = torch.tensor([flat, point, box]).requires_grad_()
    assert iou_aligned(some, some).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    giou_aligned(some, some).sum().backward()
    assert some.grad is not None and bool(some.grad.isfinite().all())


def test_giou_has_a_gradient_everywhere():
    a, b = some_boxes(2, 1, 2).requires_grad_(), some_boxes(3, 1, 3).requires_grad_()
    assert torch.autograd.gradcheck(giou_aligned, (a, b))
    assert torch.autograd.gradcheck(iou_aligned, (a, b))
    apart = torch.tensor([[3.0, 0, 0, 1, 1, 1]]).requires_grad_()
    giou_aligned(apart, torch.tensor([[0.0, 0, 0, 1, 1, 1]])).sum().backward()
    assert apart.grad is not None and apart.grad[0, 0] < 0  # moving it away makes it worse


def test_corners():
    box = torch.tensor([1.0, 2, 3, 2, 4, 6])
    found = corners(box)
    assert found[0].tolist() == [0, 0, 0] and found[1].tolist() == [0, 0, 6] and found[7].tolist() == [2, 4, 6]
    assert corners(some_boxes(0, 2, 3)).shape == (2, 3, 8, 3)


def test_points_in_boxes_equal_the_oracle_and_faces_count():
    boxes = torch.cat([some_boxes(4, 6), torch.tensor([[0.0, 0, 0, 2, 2, 2]], dtype=torch.float64)])
    points = torch.rand(80, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 2
    points = torch.cat([points, torch.tensor([[1.0, 1, 1], [1.0, 1, 1.0001]], dtype=torch.float64)])
    inside = points_in_boxes(points, boxes)
    assert inside.tolist() == [[oracle.contains(box, point) for point in points.tolist()] for box in boxes.tolist()]
    assert torch.equal(count_points_in_boxes(points, boxes), inside.sum(1))
    assert torch.equal(points_in_boxes(points[None], boxes[None])[0], inside)
    assert count_points_in_boxes(points[:0], boxes).tolist() == [0] * 7


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("classes", [1, 3])
def test_nms_equals_the_oracle(threshold, classes):
    generator = np.random.default_rng(0)
    boxes, scores = some_boxes(6, 60), torch.from_numpy(generator.random(60).round(1))
    labels = torch.from_numpy(generator.integers(0, classes, 60))
    expected = oracle.suppressed(boxes.tolist(), scores.tolist(), labels.tolist(), threshold)
    assert nms_3d(boxes, scores, labels, threshold).tolist() == expected
    if classes == 1:
        assert nms_3d(boxes, scores, threshold=threshold).tolist() == expected


def test_nms_of_nothing():
    assert nms_3d(torch.zeros(0, 6), torch.zeros(0)).tolist() == []

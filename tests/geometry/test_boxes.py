import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import boxes as oracle
from pointdistill.augment import flip_signs, rotation_z
from pointdistill.geometry import (
    corners,
    count_points_in_boxes,
    giou_3d,
    giou_aligned,
    hull,
    iou_3d,
    iou_aligned,
    nms_3d,
    points_in_boxes,
    transform_boxes,
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


def turned_boxes(seed, count, angles=None):
    generator = np.random.default_rng(seed)
    angle = generator.uniform(-4, 4, count) if angles is None else generator.choice(angles, count)
    return torch.cat([some_boxes(seed, count), torch.from_numpy(angle)[:, None]], -1)


@pytest.mark.parametrize("near", [0.0, 1e-9, 1e-7, 1e-4, 0.3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_iou_of_turned_boxes_equals_the_oracle(near, dtype):
    """Also where corners and edges meet, exactly or nearly: equal boxes, quarter turns, shared faces."""
    generator = torch.Generator().manual_seed(3)
    a = torch.cat([turned_boxes(0, 8), turned_boxes(1, 8, [0, np.pi / 2, np.pi / 4, -np.pi])])
    b = a + near * torch.randn(a.shape, generator=generator, dtype=torch.float64)
    b[:, 3:6] = b[:, 3:6].abs()
    b = torch.cat([b, a + torch.tensor([1.0, 0, 0, 0, 0, 0, 0]) * a[:, 3:4]])  # moved by their own length
    found = iou_3d(a.to(dtype), b.to(dtype))
    expected = [[oracle.turned_iou(one, other) for other in b.tolist()] for one in a.tolist()]
    slack = 1e-10 if dtype == torch.float64 else 2e-5
    np.testing.assert_allclose(found.numpy(), expected, atol=slack)
    assert torch.allclose(iou_3d(b.to(dtype), a.to(dtype)).T, found, atol=slack)


def test_boxes_without_heading_are_the_aligned_ones():
    a, b = some_boxes(0, 5), some_boxes(1, 4)
    seven = [torch.nn.functional.pad(x, (0, 1)) for x in (a, b)]
    assert torch.equal(iou_3d(*seven), iou_aligned(a, b)) and torch.equal(giou_3d(*seven), giou_aligned(a, b))
    turned = [box + torch.tensor([0, 0, 0, 0, 0, 0, np.pi]) for box in seven]  # half a turn changes nothing
    assert torch.allclose(iou_3d(*turned), iou_aligned(a, b)) and torch.allclose(giou_3d(*turned), giou_aligned(a, b))
    assert torch.allclose(hull(turned[0]), a)
    none = torch.zeros(0, 7, dtype=torch.float64)
    assert iou_3d(none, turned[0]).shape == (0, 5) and giou_3d(turned[0], none).shape == (5, 0)


def test_turned_boxes_have_gradients():
    a, b = turned_boxes(4, 3).requires_grad_(), turned_boxes(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(iou_3d, (a, b)) and torch.autograd.gradcheck(giou_3d, (a, b))
    flat = torch.tensor([[0, 0, 0, 1, 1, 0, 0.3], [5, 5, 5, 0, 0, 0, 1]], requires_grad=True)
    giou_3d(flat, flat).sum().backward()
    assert flat.grad is not None and bool(flat.grad.isfinite().all())


def test_giou_of_turned_boxes():
    a, b = turned_boxes(0, 5), turned_boxes(1, 4)
    assert torch.allclose(giou_3d(a, a).diagonal(), torch.ones(5, dtype=torch.float64))
    turn = torch.tensor(rotation_z(1.1))
    moved = [torch.cat([x[:, :3] @ turn.T, x[:, 3:6], x[:, 6:] + 1.1], -1) for x in (a, b)]
    assert torch.allclose(giou_3d(*moved), giou_3d(a, b)), "the scene's axes play no part"
    straight = torch.cat([b[:, :6], torch.zeros_like(b[:, 6:])], -1)
    enclosing = torch.cat([corners(x[:, None]) for x in (a[:1], straight[:1])], 2).flatten(0, 2)
    volume = (enclosing.amax(0) - enclosing.amin(0)).prod()
    union = (a[0, 3:6].prod() + b[0, 3:6].prod()) / (1 + iou_3d(a[:1], straight[:1])[0, 0])
    assert giou_3d(a, straight)[0, 0] == pytest.approx((iou_3d(a, straight)[0, 0] - 1 + union / volume).item())


def test_hull_surrounds_the_corners():
    boxes = turned_boxes(6, 9)
    low, high = corners(boxes).amin(1), corners(boxes).amax(1)
    assert torch.allclose(hull(boxes), torch.cat([(low + high) / 2, high - low], -1))


def test_points_in_turned_boxes():
    boxes = turned_boxes(7, 6)
    points = torch.rand(300, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64) * 2
    inside = points_in_boxes(points, boxes)
    assert inside.tolist() == [[oracle.turned_contains(box, p) for p in points.tolist()] for box in boxes.tolist()]
    assert inside.any() and torch.equal(count_points_in_boxes(points, boxes), inside.sum(1))


def test_nms_of_turned_boxes():
    long, across = [0.0, 0, 0, 4, 1, 1, 0.3], [0.0, 0, 0, 4, 1, 1, 0.3 + np.pi / 2]
    boxes, scores = torch.tensor([long, across, long]), torch.tensor([0.9, 0.8, 0.7])
    assert nms_3d(boxes, scores, threshold=0.25).tolist() == [0, 1], "a cross overlaps little"
    assert nms_3d(boxes, scores, threshold=0.1).tolist() == [0]


def test_boxes_go_where_their_points_go():
    generator = np.random.default_rng(9)
    boxes = turned_boxes(9, 20).numpy()
    matrix = 1.3 * rotation_z(0.7) @ np.diag(flip_signs(generator) * [-1, 1, 1])
    moved = transform_boxes(boxes, matrix, turn=True)
    points = torch.rand(200, 3, dtype=torch.float64) * 2
    before = points_in_boxes(points, torch.from_numpy(boxes))
    after = points_in_boxes(points @ torch.from_numpy(matrix).T, torch.from_numpy(moved))
    assert torch.equal(before, after) and before.any()

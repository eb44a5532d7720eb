"""Upright boxes: (..., 7) = centre x, y, z, size along the box's own axes, and its heading: the angle in radians from
the x axis to the box's own, counter-clockwise seen from above (z up). Any unit of length, sizes not negative.

Boxes without heading, (..., 6), are axis aligned. Where no box has one, all is computed by the axis-aligned forms.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from pointdistill.geometry.footprints import footprint_overlap, turned

_SIGNS = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]


def headings(boxes: Float[Tensor, "*batch box"]) -> Float[Tensor, "*batch"] | None:
    """The headings; None where all boxes are axis aligned."""
    if boxes.shape[-1] == 6 or not bool(boxes[..., 6].any()):
        return None
    return boxes[..., 6]


def with_heading(boxes: Float[Tensor, "*batch box"]) -> Float[Tensor, "*batch 7"]:
    """(..., 7), with headings of zero where there are none."""
    return boxes if boxes.shape[-1] == 7 else torch.cat([boxes, torch.zeros_like(boxes[..., :1])], -1)


def corners(boxes: Float[Tensor, "*batch box"]) -> Float[Tensor, "*batch 8 3"]:
    """The eight corners, the box's own x changing slowest, z fastest: corner 0 has its lowest coordinates, corner 7 the
    highest."""
    signs = boxes.new_tensor(_SIGNS)
    offsets, angle = signs * boxes[..., None, 3:6], headings(boxes)
    if angle is not None:
        offsets = torch.cat([turned(offsets[..., :2], angle[..., None]), offsets[..., 2:]], -1)
    return boxes[..., None, :3] + offsets


def hull(boxes: Float[Tensor, "*batch box"]) -> Float[Tensor, "*batch 6"]:
    """The smallest axis-aligned boxes around the boxes."""
    angle = headings(boxes)
    if angle is None:
        return boxes[..., :6]
    cos, sin = angle.cos().abs(), angle.sin().abs()
    x, y, z = boxes[..., 3:6].unbind(-1)
    return torch.cat([boxes[..., :3], torch.stack([cos * x + sin * y, sin * x + cos * y, z], -1)], -1)


def iou_3d(
    a: Float[Tensor, "*batch first box_a"], b: Float[Tensor, "*batch second box_b"]
) -> Float[Tensor, "*batch first second"]:
    """Intersection over union of every pair of upright boxes, in [0, 1] up to rounding; 0 where both volumes are zero.

    Differentiable, headings included.
    """
    if headings(a) is None and headings(b) is None:
        return iou_aligned(a[..., :6], b[..., :6])
    overlap, union = _turned_volumes(a, b)
    return _ratio(overlap, union)


def giou_3d(
    a: Float[Tensor, "*batch first box_a"], b: Float[Tensor, "*batch second box_b"]
) -> Float[Tensor, "*batch first second"]:
    """Generalised IoU of every pair of upright boxes: IoU minus the share of the enclosing box that neither fills.

    The enclosing box has the axes of the second box (the true one, in a loss), so that equal boxes have 1. 3DETR's is
    aligned with the scene, which leaves turned boxes less; without headings both are the same. Differentiable.
    """
    if headings(a) is None and headings(b) is None:
        return giou_aligned(a[..., :6], b[..., :6])
    overlap, union = _turned_volumes(a, b)
    enclosing = _enclosing(with_heading(a), with_heading(b))
    return _ratio(overlap, union) - _ratio(enclosing - union, enclosing)


def _enclosing(a: Float[Tensor, "*batch first 7"], b: Float[Tensor, "*batch second 7"]) -> Tensor:
    """Volume of the smallest box around each pair that has the second box's axes."""
    offset = a[..., :, None, :3] - b[..., None, :, :3]
    x, y = turned(offset[..., :2], -b[..., None, :, 6]).unbind(-1)
    angle = a[..., :, None, 6] - b[..., None, :, 6]
    cos, sin = angle.cos().abs(), angle.sin().abs()
    length, width, height = (part[..., :, None] for part in a[..., 3:6].unbind(-1))
    halves = ((cos * length + sin * width) / 2, (sin * length + cos * width) / 2, height / 2)
    volume: Tensor | float = 1.0
    for middle, half, own in zip((x, y, offset[..., 2]), halves, (b[..., None, :, 3:6] / 2).unbind(-1), strict=True):
        volume = volume * (torch.maximum(middle + half, own) - torch.minimum(middle - half, -own))
    assert isinstance(volume, Tensor)
    return volume


def _turned_volumes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Volumes of intersection and union of every pair, headings among them."""
    a, b = with_heading(a), with_heading(b)
    a_low, a_high = a[..., :, None, 2] - a[..., :, None, 5] / 2, a[..., :, None, 2] + a[..., :, None, 5] / 2
    b_low, b_high = b[..., None, :, 2] - b[..., None, :, 5] / 2, b[..., None, :, 2] + b[..., None, :, 5] / 2
    height = (torch.minimum(a_high, b_high) - torch.maximum(a_low, b_low)).clamp_min(0)
    near = (_volumes(hull(a.detach()), hull(b.detach()))[0] > 0).nonzero(as_tuple=True)
    *scene, row, column = near
    columns = [0, 1, 3, 4, 6]
    areas = footprint_overlap(a[(*scene, row)][:, columns], b[(*scene, column)][:, columns])
    overlap = height * torch.zeros_like(height).index_put(near, areas)
    volume_a, volume_b = (box[..., 3] * box[..., 4] * box[..., 5] for box in (a, b))
    return overlap, volume_a[..., :, None] + volume_b[..., None, :] - overlap


def iou_aligned(
    a: Float[Tensor, "*batch first 6"], b: Float[Tensor, "*batch second 6"]
) -> Float[Tensor, "*batch first second"]:
    """Intersection over union of every pair, in [0, 1] up to rounding; 0 where both volumes are zero.

    Differentiable.
    """
    overlap, union, _ = _volumes(a, b)
    return _ratio(overlap, union)


def giou_aligned(
    a: Float[Tensor, "*batch first 6"], b: Float[Tensor, "*batch second 6"]
) -> Float[Tensor, "*batch first second"]:
    """Generalised IoU of every pair: IoU minus the share of the enclosing box that neither fills.

    In [-1, 1] up to rounding. Differentiable, also where the boxes are apart. Where the enclosing box has no volume
    the share is 0.
    Source: Rezatofighi et al. 2019; the box loss and matching cost of 3DETR.
    """
    overlap, union, hull = _volumes(a, b)
    return _ratio(overlap, union) - _ratio(hull - union, hull)


def _volumes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Volumes of intersection, union and enclosing box of every pair, axis by axis to spare the (..., 3) arrays."""
    overlap: Tensor | float = 1.0
    hull: Tensor | float = 1.0
    for axis in range(3):
        a_centre, a_half = a[..., :, None, axis], a[..., :, None, 3 + axis] / 2
        b_centre, b_half = b[..., None, :, axis], b[..., None, :, 3 + axis] / 2
        a_low, a_high, b_low, b_high = a_centre - a_half, a_centre + a_half, b_centre - b_half, b_centre + b_half
        overlap = overlap * (torch.minimum(a_high, b_high) - torch.maximum(a_low, b_low)).clamp_min(0)
        hull = hull * (torch.maximum(a_high, b_high) - torch.minimum(a_low, b_low))
    assert isinstance(overlap, Tensor) and isinstance(hull, Tensor)
    volume_a, volume_b = (box[..., 3] * box[..., 4] * box[..., 5] for box in (a, b))
    return overlap, volume_a[..., :, None] + volume_b[..., None, :] - overlap, hull


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 with a zero gradient where there is no whole."""
    some = whole > 0
    return torch.where(some, part / torch.where(some, whole, torch.ones_like(whole)), torch.zeros_like(part))


def points_in_boxes(
    points: Float[Tensor, "*batch points 3"], boxes: Float[Tensor, "*batch boxes box"]
) -> Bool[Tensor, "*batch boxes points"]:
    """Which points lie in which boxes, faces included."""
    angle = headings(boxes)
    if angle is not None:
        offsets = points[..., None, :, :] - boxes[..., :, None, :3]
        flat = turned(offsets[..., :2], -angle[..., :, None]).abs() <= boxes[..., :, None, 3:5] / 2
        return flat.all(-1) & (offsets[..., 2].abs() <= boxes[..., :, None, 5] / 2)
    low, high = boxes[..., :3] - boxes[..., 3:6] / 2, boxes[..., :3] + boxes[..., 3:6] / 2
    planes = points.transpose(-1, -2)[..., None, :, :]
    inside = (planes[..., 0, :] >= low[..., 0, None]) & (planes[..., 0, :] <= high[..., 0, None])
    for axis in (1, 2):
        inside &= (planes[..., axis, :] >= low[..., axis, None]) & (planes[..., axis, :] <= high[..., axis, None])
    return inside


def count_points_in_boxes(points: Float[Tensor, "points 3"], boxes: Float[Tensor, "boxes box"]) -> Int[Tensor, "boxes"]:
    """How many points lie in each box, faces included: `points_in_boxes(...).sum(-1)` of one scene on the CPU, but
    points are sorted along x, so that each box looks only at the slab it cuts out."""
    angle, around = headings(boxes), hull(boxes).detach().cpu()
    low, high = (around[:, :3] - around[:, 3:] / 2).numpy(), (around[:, :3] + around[:, 3:] / 2).numpy()
    array = points.detach().cpu().numpy()
    ordered = np.ascontiguousarray(array[np.argsort(array[:, 0], kind="stable")].T)
    x, y, z = ordered
    # Turned boxes are asked again below, by the same arithmetic as `points_in_boxes`: their slab is a little wider.
    wider = 0.0 if angle is None else 1e-5 * float(np.abs(array).max(initial=1.0))
    first = np.searchsorted(x, low[:, 0] - wider, "left")
    last = np.searchsorted(x, high[:, 0] + wider, "right")
    counts = np.zeros(len(low), np.int64)
    for box, slab in enumerate(map(slice, first, last)):
        if angle is None:
            inside = (y[slab] >= low[box, 1]) & (y[slab] <= high[box, 1])
            inside &= (z[slab] >= low[box, 2]) & (z[slab] <= high[box, 2])
            counts[box] = np.count_nonzero(inside)
        else:
            own = torch.from_numpy(ordered[:, slab].T)
            counts[box] = int(points_in_boxes(own, boxes[box : box + 1].detach().cpu()).sum())
    return torch.from_numpy(counts).to(boxes.device)


def nms_3d(
    boxes: Float[Tensor, "boxes box"],
    scores: Float[Tensor, "boxes"],
    classes: Shaped[Tensor, "boxes"] | None = None,
    threshold: float = 0.25,
) -> Int[Tensor, "kept"]:
    """Greedy non-maximum suppression: the best box stays, boxes that overlap it by more than `threshold` IoU go, and
    so on with what is left.

    With `classes` a box can only be removed by one of its own class. Equal scores: the lower index first. Overlaps are
    those of the turned boxes themselves (VoteNet's are of the axis-aligned boxes around them, which is the same where
    headings are zero).

    Returns:
        indices of the kept boxes, by descending score.

    Source: VoteNet's evaluation (class-wise, threshold 0.25), which 3DETR follows.
    """
    exact = boxes.detach().double().cpu()
    overlaps = None if headings(exact) is None else iou_3d(exact, exact).numpy()
    arrays = exact.numpy()
    low, high, volume = arrays[:, :3] - arrays[:, 3:6] / 2, arrays[:, :3] + arrays[:, 3:6] / 2, arrays[:, 3:6].prod(1)
    labels = np.zeros(len(arrays), np.int64) if classes is None else classes.detach().cpu().numpy()
    left = np.argsort(-scores.detach().double().cpu().numpy(), kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        if overlaps is not None:
            removed = overlaps[best, left] > threshold
        else:
            sides = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
            overlap = np.maximum(sides, 0).prod(1)
            # Without a division: boxes of no volume overlap nothing.
            removed = overlap > threshold * (volume[best] + volume[left] - overlap)
        left = left[~(removed & (labels[left] == labels[best]))]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def transform_boxes(
    boxes: Float[np.ndarray, "boxes 7"], matrix: Float[np.ndarray, "3 3"], turn: bool = False
) -> Float[np.ndarray, "boxes 7"]:
    """Boxes after a linear map of mirrors of x and y, a rotation about z and a uniform scale.

    Args:
        matrix: points go to `points @ matrix.T`.
        turn: boxes turn with their contents. Else they stay as aligned as they were: sizes grow to the smallest
            aligned boxes around what was turned, headings stay (3DETR's augmentation on ScanNet).
    """
    centres = boxes[:, :3] @ matrix.T
    if not turn:
        return np.concatenate([centres, boxes[:, 3:6] @ np.abs(matrix).T, boxes[:, 6:]], axis=1)
    axis = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6])], 1) @ matrix[:2, :2].T
    scale = np.cbrt(np.abs(np.linalg.det(matrix))).astype(boxes.dtype)
    heading = np.arctan2(axis[:, 1], axis[:, 0]).astype(boxes.dtype)
    return np.concatenate([centres, boxes[:, 3:6] * scale, heading[:, None]], axis=1)

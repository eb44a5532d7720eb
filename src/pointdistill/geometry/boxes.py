"""Axis-aligned boxes: (..., 6) = centre x, y, z and size along x, y, z; any unit, sizes not negative."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

_SIGNS = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]


def corners(boxes: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 8 3"]:
    """The eight corners, x changing slowest, z fastest: corner 0 has the lowest coordinates, corner 7 the highest."""
    signs = boxes.new_tensor(_SIGNS)
    return boxes[..., None, :3] + signs * boxes[..., None, 3:]


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
    points: Float[Tensor, "*batch points 3"], boxes: Float[Tensor, "*batch boxes 6"]
) -> Bool[Tensor, "*batch boxes points"]:
    """Which points lie in which boxes, faces included."""
    low, high = boxes[..., :3] - boxes[..., 3:] / 2, boxes[..., :3] + boxes[..., 3:] / 2
    planes = points.transpose(-1, -2)[..., None, :, :]
    inside = (planes[..., 0, :] >= low[..., 0, None]) & (planes[..., 0, :] <= high[..., 0, None])
    for axis in (1, 2):
        inside &= (planes[..., axis, :] >= low[..., axis, None]) & (planes[..., axis, :] <= high[..., axis, None])
    return inside


def count_points_in_boxes(points: Float[Tensor, "points 3"], boxes: Float[Tensor, "boxes 6"]) -> Int[Tensor, "boxes"]:
    """How many points lie in each box, faces included: `points_in_boxes(...).sum(-1)` of one scene on the CPU, but
    points are sorted along x, so that each box looks only at the slab it cuts out."""
    low = (boxes[:, :3] - boxes[:, 3:] / 2).detach().cpu().numpy()
    high = (boxes[:, :3] + boxes[:, 3:] / 2).detach().cpu().numpy()
    array = points.detach().cpu().numpy()
    x, y, z = np.ascontiguousarray(array[np.argsort(array[:, 0], kind="stable")].T)
    first, last = np.searchsorted(x, low[:, 0], "left"), np.searchsorted(x, high[:, 0], "right")
    counts = np.zeros(len(low), np.int64)
    for box, slab in enumerate(map(slice, first, last)):
        inside = (y[slab] >= low[box, 1]) & (y[slab] <= high[box, 1])
        inside &= (z[slab] >= low[box, 2]) & (z[slab] <= high[box, 2])
        counts[box] = np.count_nonzero(inside)
    return torch.from_numpy(counts).to(boxes.device)


def nms_3d(
    boxes: Float[Tensor, "boxes 6"],
    scores: Float[Tensor, "boxes"],
    classes: Shaped[Tensor, "boxes"] | None = None,
    threshold: float = 0.25,
) -> Int[Tensor, "kept"]:
    """Greedy non-maximum suppression: the best box stays, boxes that overlap it by more than `threshold` IoU go, and
    so on with what is left.

    With `classes` a box can only be removed by one of its own class. Equal scores: the lower index first.

    Returns:
        indices of the kept boxes, by descending score.

    Source: VoteNet's evaluation (class-wise, threshold 0.25), which 3DETR follows.
    """
    arrays = boxes.detach().double().cpu().numpy()
    low, high, volume = arrays[:, :3] - arrays[:, 3:] / 2, arrays[:, :3] + arrays[:, 3:] / 2, arrays[:, 3:].prod(1)
    labels = np.zeros(len(arrays), np.int64) if classes is None else classes.detach().cpu().numpy()
    left = np.argsort(-scores.detach().double().cpu().numpy(), kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        sides = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        overlap = np.maximum(sides, 0).prod(1)
        # Without a division: boxes of no volume overlap nothing.
        removed = overlap > threshold * (volume[best] + volume[left] - overlap)
        left = left[~(removed & (labels[left] == labels[best]))]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)

"""3DETR's choice among proposals (`tasks.detection`), in fixed shapes: which of the boxes stay."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointdistill.geometry import traced
from pointdistill.geometry.footprints import footprint_overlap, turned


def filled(
    points: Float[Tensor, "batch points 3"], boxes: Float[Tensor, "batch boxes 7"], least: int, headings: bool
) -> Bool[Tensor, "batch boxes"]:
    """Which boxes hold at least `least` points, faces included.

    Args:
        headings: whether boxes may be turned.
    """
    if headings:
        offsets = points[:, None] - boxes[:, :, None, :3]
        flat = turned(offsets[..., :2], -boxes[:, :, None, 6]).abs() <= boxes[:, :, None, 3:5] / 2
        inside = flat.all(-1) & (offsets[..., 2].abs() <= boxes[:, :, None, 5] / 2)
    else:
        low, high = boxes[..., :3] - boxes[..., 3:6] / 2, boxes[..., :3] + boxes[..., 3:6] / 2
        inside = torch.ones((), dtype=torch.bool, device=points.device)
        for axis in range(3):
            plane = points[:, None, :, axis]
            inside = inside & (plane >= low[..., axis, None]) & (plane <= high[..., axis, None])
    return inside.sum(-1, dtype=torch.int32) >= least


def survivors(
    boxes: Float[Tensor, "batch boxes 7"],
    scores: Float[Tensor, "batch boxes"],
    classes: Int[Tensor, "batch boxes"],
    candidates: Bool[Tensor, "batch boxes"],
    threshold: float,
    headings: bool,
) -> Bool[Tensor, "batch boxes"]:
    """`geometry.nms_3d` among the candidates of each scene.

    Args:
        threshold: IoU above which the weaker box of two of a class goes.
        headings: whether boxes may be turned.
    """
    removes = _overlap(boxes, threshold, headings) & (classes[:, :, None] == classes[:, None])
    order = scores.sort(dim=1, descending=True, stable=True).indices
    ordered = removes.gather(1, order[:, :, None].expand_as(removes))
    ordered = ordered.gather(2, order[:, None].expand_as(removes))
    batch, count = scores.shape
    places = torch.arange(count, device=boxes.device)

    def step(alive, place, weaker, places):
        stays = alive.gather(1, place.expand(batch, 1))
        return alive & ~(weaker & stays & (places > place)), stays.squeeze(1).clone()

    each = [places, ordered.transpose(0, 1).contiguous()]
    _, stay = traced.loop(step, [candidates.gather(1, order)], each, [places.clone()])
    return torch.zeros_like(candidates).scatter(1, order, stay.transpose(0, 1))


def _overlap(boxes: Tensor, threshold: float, headings: bool) -> Tensor:
    """Which pairs share more than `threshold` of their union; boxes of no volume overlap nothing."""
    wide = boxes.double()
    low, high, volume = wide[..., :3] - wide[..., 3:6] / 2, wide[..., :3] + wide[..., 3:6] / 2, wide[..., 3:6].prod(-1)
    sides = torch.minimum(high[:, :, None], high[:, None]) - torch.maximum(low[:, :, None], low[:, None])
    sides = sides.clamp_min(0)
    area = _footprints(boxes).double() if headings else sides[..., 0] * sides[..., 1]
    overlap = area * sides[..., 2]
    return overlap > threshold * (volume[:, :, None] + volume[:, None] - overlap)


def _footprints(boxes: Tensor) -> Tensor:
    """Areas that each pair's footprints share, in single precision: runtimes have no arc tangent in double."""
    flat = torch.cat([boxes[..., :2], boxes[..., 3:5], boxes[..., 6:]], -1)
    batch, count, width = flat.shape
    first = flat[:, :, None].expand(batch, count, count, width).reshape(-1, width)
    second = flat[:, None].expand(batch, count, count, width).reshape(-1, width)
    return footprint_overlap(first, second).view(batch, count, count)

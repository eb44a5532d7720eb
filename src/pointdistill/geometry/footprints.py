"""Overlap of turned rectangles, the footprints of upright boxes: all pairs at once, differentiable."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_CORNERS = ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))  # counter-clockwise


def turned(points: Float[Tensor, "*batch 2"], angle: Float[Tensor, "*#batch"]) -> Float[Tensor, "*batch 2"]:
    """Points of the plane, turned about the origin by an angle in radians, counter-clockwise."""
    cos, sin = angle.cos(), angle.sin()
    x, y = points.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


def footprint_overlap(a: Float[Tensor, "pairs 5"], b: Float[Tensor, "pairs 5"]) -> Float[Tensor, " pairs"]:
    """Area that each pair of rectangles (centre x, y, size along the own axes, heading) shares.

    The corners of the shared polygon are among the corners of one that lie in the other and the crossings of their
    edges: all 24 candidates are computed, those that hold are put in order around their mean, and the shoelace formula
    gives the area. A candidate on an edge, by a little more than rounding, holds: a doubled corner adds no area, a
    missing one would take some. Differentiable; where corners meet, the gradient is that of one side.
    """
    middle = (a[:, :2] + b[:, :2]) / 2  # near the origin, few digits are lost
    first, second = (_corners(torch.cat([part[:, :2] - middle, part[:, 2:]], -1)) for part in (a, b))
    slack = 16 * torch.finfo(a.dtype).eps * (a[:, 2:4].sum(-1) + b[:, 2:4].sum(-1)).detach()
    crossings, crosses = _crossings(first, second)
    corners = torch.cat([first, second, crossings], 1)
    holds = torch.cat([_inside(first, b, middle, slack), _inside(second, a, middle, slack), crosses], 1)
    return _area(corners, holds)


def _corners(rectangles: Float[Tensor, "pairs 5"]) -> Float[Tensor, "pairs 4 2"]:
    offsets = rectangles.new_tensor(_CORNERS) * rectangles[:, None, 2:4]
    return rectangles[:, None, :2] + turned(offsets, rectangles[:, None, 4])


def _inside(
    points: Float[Tensor, "pairs 4 2"],
    rectangles: Float[Tensor, "pairs 5"],
    middle: Float[Tensor, "pairs 2"],
    slack: Float[Tensor, " pairs"],
) -> Tensor:
    offsets = points - (rectangles[:, :2] - middle)[:, None]
    local = turned(offsets, -rectangles[:, None, 4]).abs()
    return (local <= rectangles[:, None, 2:4] / 2 + slack[:, None, None]).all(-1)


def _crossings(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Where the edges of two quadrilaterals cross, (pairs, 16, 2), and which of them do."""
    p, q = first[:, :, None], second[:, None, :]
    d, e = first.roll(-1, 1)[:, :, None] - p, second.roll(-1, 1)[:, None, :] - q
    between = q - p
    across = _cross(d, e)
    parallel = across.abs() <= 4 * torch.finfo(first.dtype).eps * d.norm(dim=-1) * e.norm(dim=-1)
    across = torch.where(parallel, torch.ones_like(across), across)
    along_first, along_second = _cross(between, e) / across, _cross(between, d) / across
    slack = 16 * torch.finfo(first.dtype).eps
    held = ~parallel
    for share in (along_first, along_second):
        held &= (share >= -slack) & (share <= 1 + slack)
    return (p + along_first[..., None] * d).flatten(1, 2), held.flatten(1, 2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _area(corners: Float[Tensor, "pairs candidates 2"], holds: Tensor) -> Float[Tensor, " pairs"]:
    """Area of the convex polygons whose corners are the candidates that hold."""
    with torch.no_grad():
        weight = holds.to(corners.dtype)[..., None]
        mean = (corners * weight).sum(1) / weight.sum(1).clamp_min(1)
        offsets = corners - mean[:, None]
        around = torch.atan2(offsets[..., 1], offsets[..., 0]).masked_fill(~holds, 2 * math.pi)
        order = around.argsort(1)
    ordered = corners.gather(1, order[..., None].expand_as(corners))
    # Candidates that do not hold stand last: they become the first corner again, and the polygon closes.
    ordered = torch.where(holds.gather(1, order)[..., None], ordered, ordered[:, :1])
    area = _cross(ordered, ordered.roll(-1, 1)).sum(1) / 2
    return torch.where(holds.any(1), area, torch.zeros_like(area)).clamp_min(0)

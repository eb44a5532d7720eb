"""Searches among points as plain tensor operations: what `torch.export` records instead of trees and compiled code.

They choose the same points as the functions they stand in for. Loops are torch's `scan`, so that a graph does not grow
with the number of points (ONNX knows it as Scan). The shapes of what is searched are fixed.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

_ELEMENTS = 1 << 23  # at most this many distances at once (64 MB in double precision)


def exporting() -> bool:
    """Whether `torch.export` is at work."""
    asked = getattr(torch.compiler, "is_exporting", None)  # torch 2.6 has none
    return asked is not None and asked()


def farthest(points: Tensor, count: int, start: int, near_origin: Tensor | None) -> Tensor:
    """`farthest_point_sample`; near_origin (batch, points): which points are never chosen but as the first."""
    points = points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
    x, y, z = (plane.contiguous() for plane in points.unbind(-1))
    nearest = torch.full_like(x, torch.inf)
    if near_origin is not None:
        nearest = nearest.masked_fill(near_origin, -1)
    first = torch.full((len(points),), start, dtype=torch.int64, device=points.device)

    def step(nearest, last, _, x, y, z):
        at = last.unsqueeze(1)
        dx, dy, dz = x - x.gather(1, at), y - y.gather(1, at), z - z.gather(1, at)
        nearest = torch.minimum(nearest, (dx * dx + dy * dy) + dz * dz)
        last = nearest.argmax(1)
        return nearest, last, last.clone()

    if count == 1:
        return first.unsqueeze(1)
    *_, further = loop(step, [nearest, first], [torch.zeros(count - 1, device=points.device)], [x, y, z])
    return torch.cat([first.unsqueeze(0), further]).transpose(0, 1).contiguous()


def nearest(queries: Tensor, points: Tensor, k: int, by_index: bool) -> Tensor:
    """`knn`: like the trees in double precision, but for `by_index`."""
    if not by_index:
        queries, points = queries.double(), points.double()

    def search(part, points):
        distances = _distances(part, points)
        if by_index:
            return distances.sort(dim=-1, stable=True).indices[..., :k]
        return distances.topk(k, dim=-1, largest=False, sorted=True).indices

    return _by_rows(search, queries, points.shape[1], points)


def similar(features: Tensor, squared: Tensor, k: int) -> Tensor:
    """`knn_features` of centred features; squared (batch, 1, points): their squared lengths."""

    def search(part, transposed, squared):
        return (squared - 2 * (part @ transposed)).topk(k, dim=-1, largest=False, sorted=True).indices

    return _by_rows(search, features, features.shape[1], features.transpose(1, 2), squared)


def balls(queries: Tensor, points: Tensor, radius: float, size: int) -> Tensor:
    """`ball_query`."""
    available, found = points.shape[1], min(size, points.shape[1])
    limit = torch.full((), radius, dtype=points.dtype, device=points.device).square()
    numbers = torch.arange(available, dtype=torch.int32, device=points.device)

    def search(part, points, numbers, limit):
        ranked = torch.where(_distances(part, points) < limit, numbers, available)  # who is outside comes last
        return ranked.topk(found, dim=-1, largest=False, sorted=True).values

    index = _by_rows(search, queries, available, points, numbers, limit).long()
    index = functional.pad(index, (0, size - found), value=available)
    index = torch.where(index < available, index, index[..., :1])
    return torch.where(index < available, index, 0)


def _distances(queries: Tensor, points: Tensor) -> Tensor:
    """Squared ones, (dx² + dy²) + dz²."""
    ax, ay, az = queries.unsqueeze(-1).unbind(-2)
    bx, by, bz = points.transpose(1, 2).unsqueeze(2).unbind(1)
    dx, dy, dz = ax - bx, ay - by, az - bz
    return (dx * dx + dy * dy) + dz * dz


def _by_rows(search: Callable[..., Tensor], queries: Tensor, available: int, *fixed: Tensor) -> Tensor:
    """`search(queries, *fixed)`, so many queries at a time that not too many distances are in memory."""
    batch, count, width = queries.shape
    parts = -(-count // max(1, _ELEMENTS // max(1, batch * available)))
    if parts <= 1:
        return search(queries, *fixed)
    rows = -(-count // parts)
    filled = functional.pad(queries, (0, 0, 0, parts * rows - count))
    chunks = filled.view(batch, parts, rows, width).transpose(0, 1).contiguous()

    def step(nothing, part, *fixed):
        return nothing.clone(), search(part, *fixed)

    _, found = loop(step, [queries.new_zeros(1)], [chunks], fixed)  # torch wants something to carry
    return found.transpose(0, 1).reshape(batch, parts * rows, -1)[:, :count]


def loop(
    step: Callable[..., tuple[Tensor, ...]], carry: Sequence[Tensor], each: Sequence[Tensor], fixed: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Torch's `scan` as one operation of a graph.

    Args:
        step: (*carry, *rows of each, *fixed) -> (*next carry, *rows of the output); it returns no input as it is.
        carry: what the first step starts from.
        each: gone through along the first axis.
        fixed: the same in every step.

    Returns:
        The last carry, and each output's rows as one tensor.
    """
    # Not torch's own function of that name, which compiles the step and cannot have its shapes checked.
    from torch._higher_order_ops.scan import scan_op  # here, since it brings a compiler along

    return scan_op(step, list(carry), list(each), tuple(fixed))

"""Farthest point sampling: exact, greedy, the same indices on every device."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pointdistill.geometry import traced
from pointdistill.geometry.finite import finite
from pointdistill.geometry.threads import map_threads

NEAR_ORIGIN = 1e-3
"""Squared distance from the origin up to which `skip_near_origin` takes a point for padding."""
_CACHED_POINTS = 32768  # clouds are taken together up to this many points, which keeps the planes in a core's cache


def farthest_point_sample(
    points: Float[Tensor, "batch points 3"], count: int, start: int = 0, skip_near_origin: bool = False
) -> Int[Tensor, "batch count"]:
    """Indices of `count` points, each the farthest from those chosen before it.

    Ties go to the lowest index. Squared distances are (dx² + dy²) + dz², each operation rounded in the points' own
    precision and none fused, so that CPU and GPU choose the same points. When fewer than `count` points are distinct,
    index 0 is repeated once all distances are zero. No gradient.

    Args:
        points: coordinates in any unit; finite.
        count: how many points to choose.
        start: index of the first chosen point, the same in every cloud.
        skip_near_origin: never choose a point with x² + y² + z² <= 0.001 (but `start`); where all points are such ones,
            index 0. For networks that were trained with PointNet++'s CUDA kernel, which takes these points for padding.

    Raises:
        ValueError: `count` or `start` does not fit the number of points, or (CPU) a coordinate is not finite.

    Source: paper section 3.1 (eq. 1); Eldar et al. 1997. Point-MAE calls PointNet++'s kernel, which skips points near
    the origin; here every point counts unless asked otherwise.
    """
    available = points.shape[1]
    if not 1 <= count <= available:
        raise ValueError(f"cannot choose {count} points from clouds of {available} points")
    if not 0 <= start < available:
        raise ValueError(f"start index {start} lies outside clouds of {available} points")
    points = points.detach()
    if traced.exporting():
        return traced.farthest(points, count, start, _near_origin(points.unbind(-1)) if skip_near_origin else None)
    if points.dtype in (torch.float16, torch.bfloat16):
        points = points.float()
    if points.device.type != "cpu":
        return _sample_torch(points, count, start, skip_near_origin)
    if not finite(points):
        raise ValueError("cannot choose among points whose coordinates are not finite")
    buckets = _buckets()
    if buckets is not None:
        return _sample_buckets(buckets, points.numpy(), count, start, skip_near_origin)
    return _sample_numpy(points.numpy(), count, start, skip_near_origin)


@cache
def _buckets() -> Callable[..., np.ndarray] | None:
    """The compiled form, where numba is installed (extra `[fast]`) and finds a place for what it compiles."""
    try:
        from pointdistill.geometry.fps_buckets import sample_by_buckets
    except (ImportError, RuntimeError):
        return None
    return sample_by_buckets


def _sample_buckets(
    buckets: Callable[..., np.ndarray], arrays: np.ndarray, count: int, start: int, skip: bool = False
) -> Tensor:
    """Each cloud by itself, compiled: 5 to 12 times quicker than numpy."""

    def sample(cloud: np.ndarray) -> np.ndarray:
        return buckets(cloud, _near_origin(cloud.T) if skip else None, count, start)

    found = map_threads(sample, list(arrays))
    return torch.from_numpy(np.stack(found) if found else np.empty((0, count), np.int64))


def _sample_numpy(arrays: np.ndarray, count: int, start: int, skip: bool = False) -> Tensor:
    """Few clouds at a time in numpy."""
    # Numpy's calls cost a third of torch's, and a step is six calls on a few thousand numbers: 3x faster than torch.
    batch, available, _ = arrays.shape
    chosen, together = np.empty((batch, count), np.int64), _clouds_together(batch, available)

    def sample(first: int) -> None:
        part = slice(first, first + together)
        planes = np.ascontiguousarray(arrays[part].transpose(2, 0, 1))
        if planes.shape[1] == 1:
            chosen[part] = _sample_one(planes[:, 0], count, start, skip)
        else:
            chosen[part] = _sample_planes(planes, count, start, skip)

    map_threads(sample, range(0, batch, together))
    return torch.from_numpy(chosen)


def _clouds_together(batch: int, available: int) -> int:
    """Clouds per call: many share the calls' cost, but every thread should get some and the cache should hold them."""
    per_thread = -(-batch // torch.get_num_threads())
    return max(1, min(_CACHED_POINTS // available, per_thread))


def _near_origin(planes):
    """Where points lie near the origin; planes are (3, ...), of numpy or torch. Distances only shrink while points are
    chosen, so that who starts at -1 never is the farthest."""
    x, y, z = planes
    # In float32 the limit rounds up, so that this is the kernel's comparison with 0.001 in double.
    return x * x + y * y + z * z < NEAR_ORIGIN


def _sample_one(planes: np.ndarray, count: int, start: int, skip: bool = False) -> list[int]:
    """One cloud, planes (3, points)."""
    columns = np.ascontiguousarray(planes.T)[:, :, None]
    nearest = np.full(planes.shape[1], np.inf, planes.dtype)
    if skip:
        nearest[_near_origin(planes)] = -1
    difference = np.empty_like(planes)
    x, y, z = difference
    last, chosen = start, [start]
    for _ in range(count - 1):
        np.subtract(planes, columns[last], out=difference)
        np.multiply(difference, difference, out=difference)
        np.add(x, y, out=x)
        np.add(x, z, out=x)
        np.minimum(nearest, x, out=nearest)
        last = int(nearest.argmax())
        chosen.append(last)
    return chosen


def _sample_planes(planes: np.ndarray, count: int, start: int, skip: bool = False) -> np.ndarray:
    """Several clouds, planes (3, clouds, points); returns (clouds, count)."""
    _, clouds, available = planes.shape
    flat, offsets = planes.reshape(3, -1), np.arange(clouds) * available
    nearest = np.full((clouds, available), np.inf, planes.dtype)
    if skip:
        nearest[_near_origin(planes)] = -1
    difference = np.empty_like(planes)
    x, y, z = difference
    last = np.empty((3, clouds, 1), planes.dtype)
    chosen = np.full((count, clouds), start, np.int64)
    for step in range(1, count):
        # mode="clip" writes straight into `last`; the default goes through a buffer. The indices are always valid.
        flat.take(chosen[step - 1] + offsets, axis=1, out=last[:, :, 0], mode="clip")
        np.subtract(planes, last, out=difference)
        np.multiply(difference, difference, out=difference)
        np.add(x, y, out=x)
        np.add(x, z, out=x)
        np.minimum(nearest, x, out=nearest)
        nearest.argmax(axis=1, out=chosen[step])
    return chosen.T


def _sample_torch(points: Tensor, count: int, start: int, skip: bool = False) -> Tensor:
    """The same steps in torch, all clouds at once and without waiting for the device."""
    planes = points.permute(2, 0, 1).contiguous()
    _, batch, available = planes.shape
    nearest = planes.new_full((batch, available), torch.inf)
    if skip:
        nearest[_near_origin(planes)] = -1
    difference = torch.empty_like(planes)
    x, y, z = difference
    chosen = torch.full((count, batch), start, dtype=torch.int64, device=points.device)
    for step in range(1, count):
        last = planes.gather(2, chosen[step - 1].view(1, batch, 1).expand(3, batch, 1))
        torch.sub(planes, last, out=difference)
        difference.mul_(difference)
        x.add_(y).add_(z)
        torch.minimum(nearest, x, out=nearest)
        torch.argmax(nearest, dim=1, out=chosen[step])
    return chosen.T.contiguous()

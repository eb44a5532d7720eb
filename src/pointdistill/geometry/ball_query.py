"""Ball query: the first points, in the cloud's own order, within a radius of each query."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from pointdistill.geometry import traced
from pointdistill.geometry.neighbours import squared_distances
from pointdistill.geometry.threads import map_threads

_FIRST_POINTS = 4096  # the first slice of a cloud; each further one is three times all before it
_PAIRS = 1 << 24  # at most this many pairs of query and point are looked at together, were all within the radius
_MATRIX_ELEMENTS = 1 << 26  # at most this many distances at once on a GPU (256 MB in float32)
_MARGIN = 1 + 1e-5  # on the tree's radius: far more than the rounding of the points' precision


def ball_query(
    queries: Float[Tensor, "batch queries 3"], points: Float[Tensor, "batch points 3"], radius: float, size: int
) -> Int[Tensor, "batch queries size"]:
    """Indices of the first `size` points, by index, that lie strictly within `radius` of each query. No gradient.

    Where fewer points are near, the first one found fills the rest; a query that has none gets index 0 throughout, as
    PointNet++'s CUDA kernel leaves it. A point counts if (dx² + dy²) + dz² < radius², each operation rounded in the
    points' own precision and none fused, so that CPU and GPU find the same points. On the CPU by cells as wide as the
    radius, compiled, where numba is installed (extra `[fast]`); else a k-d tree for each slice of a cloud, the first
    points first: a query whose ball is full looks no further. Neither crowded nor empty balls cost much. Elsewhere all
    distances in chunks of queries.

    Args:
        queries: centres of the balls, in the unit of the points; finite.
        points: coordinates in any unit; finite.
        radius: of the balls, positive.
        size: indices a ball.

    Raises:
        ValueError: no points, a radius or size that is not positive, or (CPU) a coordinate that is not finite.

    Source: Qi et al. 2017 (PointNet++), section 3.2; order and filling as in its kernel, which 3DETR uses.
    """
    if not points.shape[1]:
        raise ValueError("cannot look for neighbours in clouds of 0 points")
    if not (radius > 0 and size > 0):
        raise ValueError(f"radius {radius} and size {size} of a ball must be positive")
    queries, points = (
        values.detach().float() if values.dtype in (torch.float16, torch.bfloat16) else values.detach()
        for values in (queries, points)
    )
    if traced.exporting():
        return traced.balls(queries, points, radius, size)
    if points.device.type != "cpu":
        return _ball_matrix(queries, points, radius, size)
    clouds = list(zip(queries.numpy(), points.numpy(), strict=True))
    if not clouds:
        return torch.empty((0, queries.shape[1], size), dtype=torch.int64)
    if not all(np.isfinite(values).all() for cloud in clouds for values in cloud):
        raise ValueError("cannot look for neighbours of coordinates that are not finite")
    find = _cells() or _ball_tree
    return torch.from_numpy(np.stack(map_threads(lambda cloud: find(*cloud, radius, size), clouds)))


@cache
def _cells() -> Callable[[np.ndarray, np.ndarray, float, int], np.ndarray] | None:
    """The compiled form, where numba is installed and finds a place for what it compiles."""
    try:
        from pointdistill.geometry.ball_cells import balls_by_cells
    except (ImportError, RuntimeError):
        return None
    return balls_by_cells


def _ball_tree(queries: np.ndarray, points: np.ndarray, radius: float, size: int) -> np.ndarray:
    """One cloud."""
    limit = points.dtype.type(radius) ** 2
    found = np.zeros((len(queries), size), np.int64)
    counts = np.zeros(len(queries), np.int64)
    waiting = np.arange(len(queries))
    for start, stop in _slices(len(points)):
        # Balancing and shrinking the nodes costs more at the start than it saves.
        tree = KDTree(points[start:stop], leafsize=32, compact_nodes=False, balanced_tree=False)
        rows = max(1, _PAIRS // (stop - start))
        for part in (waiting[first : first + rows] for first in range(0, len(waiting), rows)):
            query, point = _pairs(queries[part], tree, radius)
            query, point = part[query], point + start
            offset = queries[query] - points[point]
            offset *= offset
            inside = (offset[:, 0] + offset[:, 1]) + offset[:, 2] < limit
            query, point = query[inside], point[inside]
            place = counts[query] + np.arange(len(query)) - np.searchsorted(query, query)
            kept = place < size
            found[query[kept], place[kept]] = point[kept]
            counts += np.bincount(query, minlength=len(counts))
        waiting = waiting[counts[waiting] < size]
        if not len(waiting):
            break
    return np.where(np.arange(size) < counts[:, None], found, found[:, :1])


def _slices(count: int) -> Iterator[tuple[int, int]]:
    start, stop = 0, _FIRST_POINTS
    while start < count:
        yield start, min(stop, count)
        start, stop = stop, 4 * stop


def _pairs(queries: np.ndarray, tree: KDTree, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of queries and the tree's points that may be within the radius, ordered by query, then by point."""
    near = KDTree(queries).sparse_distance_matrix(tree, radius * _MARGIN, output_type="ndarray")
    keys = near["i"] * np.int64(tree.n) + near["j"]
    keys.sort()
    return np.divmod(keys, tree.n)


def _ball_matrix(queries: Tensor, points: Tensor, radius: float, size: int) -> Tensor:
    batch, available, _ = points.shape
    limit = torch.tensor(radius, dtype=points.dtype, device=points.device).square()
    numbers = torch.arange(available, dtype=torch.int32, device=points.device)
    rows = max(1, _MATRIX_ELEMENTS // max(1, batch * available))
    parts = []
    for part in queries.split(rows, dim=1):
        inside = squared_distances(part, points) < limit
        ranked = torch.where(inside, numbers, available)  # points outside come after all others
        parts.append(ranked.topk(min(size, available), dim=-1, largest=False, sorted=True).values)
    found = torch.nn.functional.pad(torch.cat(parts, dim=1), (0, max(0, size - available)), value=available)
    found = torch.where(found < available, found, found[..., :1])
    return torch.where(found < available, found, 0).long()

"""Ball query by cells, compiled by numba (extra `[fast]`): the same indices as by all distances.

Space is cut into cells no narrower than the radius, so that a ball lies in the 27 around its centre. Where these hold
so many points that going through the cloud in its own order fills the ball sooner, that is done.
"""

import numpy as np
from jaxtyping import Float, Int64

from pointdistill.geometry.compiled import compiled

_MARGIN = 1 + 1e-5
"""On the cells' width: far more than the rounding of the points' precision."""
_MOST_CELLS = 8
"""A point of the cloud."""
_OUTSIDE = 6
"""Points of the 27 cells for each that the ball holds: evenly filled space has 6.4, a plane through the centre 2.9."""


def balls_by_cells(
    queries: Float[np.ndarray, "queries 3"], points: Float[np.ndarray, "points 3"], radius: float, size: int
) -> Int64[np.ndarray, "queries size"]:
    """One cloud, finite; see `geometry.ball_query`.

    Raises:
        ValueError: coordinates so far apart that their difference is not finite.
    """
    lower = points.min(0).astype(np.float64)
    with np.errstate(over="ignore"):
        extent = points.max(0) - lower
    if not np.isfinite(extent).all():
        raise ValueError("cannot look for neighbours of coordinates whose differences are not finite")
    width = float(radius) * _MARGIN
    while np.prod(np.floor(extent / width) + 1) > _MOST_CELLS * len(points) + 1:
        width *= 2
    counts = (np.floor(extent / width) + 1).astype(np.int64)
    order, starts = _sorted_into(points, lower, width, counts)
    found = np.zeros((len(queries), size), np.int64)
    limit = points.dtype.type(radius) ** 2
    _fill(np.ascontiguousarray(queries), points, points[order], order, starts, lower, width, counts, limit, found)
    return found


@compiled
def _sorted_into(points, lower, width, counts):
    """The points' indices cell by cell, in ascending order within each; where the cells begin."""
    cells = np.empty(len(points), np.int64)
    starts = np.zeros(counts[0] * counts[1] * counts[2] + 1, np.int64)
    for point in range(len(points)):
        cell = 0
        for axis in range(3):
            place = int(np.floor((points[point, axis] - lower[axis]) / width))
            cell = cell * counts[axis] + min(max(place, 0), counts[axis] - 1)
        cells[point] = cell
        starts[cell + 1] += 1
    for cell in range(len(starts) - 1):
        starts[cell + 1] += starts[cell]
    free = starts[:-1].copy()
    order = np.empty(len(points), np.int64)
    for point in range(len(points)):
        order[free[cells[point]]] = point
        free[cells[point]] += 1
    return order, starts


@compiled
def _fill(queries, points, arranged, order, starts, lower, width, counts, limit, found):
    size = found.shape[1]
    near = np.empty(len(points), np.int64)
    first, last = np.empty(3, np.int64), np.empty(3, np.int64)
    begins, ends = np.empty(9, np.int64), np.empty(9, np.int64)
    for query in range(len(queries)):
        x, y, z = queries[query]
        for axis in range(3):
            place = np.floor((queries[query, axis] - lower[axis]) / width)
            place = min(max(place, -2.0), counts[axis] + 1.0)  # a query may lie anywhere
            first[axis], last[axis] = max(int(place) - 1, 0), min(int(place) + 1, counts[axis] - 1)
        runs, around = 0, 0  # cells in a row along z hold points in a row
        if first[2] <= last[2]:
            for i in range(first[0], last[0] + 1):
                for j in range(first[1], last[1] + 1):
                    row = (i * counts[1] + j) * counts[2]
                    begins[runs], ends[runs] = starts[row + first[2]], starts[row + last[2] + 1]
                    around += ends[runs] - begins[runs]
                    runs += 1
        held = 0
        if around * around > _OUTSIDE * size * len(points):
            for point in range(len(points)):
                dx, dy, dz = x - points[point, 0], y - points[point, 1], z - points[point, 2]
                if (dx * dx + dy * dy) + dz * dz < limit:
                    near[held] = point
                    held += 1
                    if held == size:
                        break
        else:
            for run in range(runs):
                for place in range(begins[run], ends[run]):
                    dx, dy, dz = x - arranged[place, 0], y - arranged[place, 1], z - arranged[place, 2]
                    if (dx * dx + dy * dy) + dz * dz < limit:
                        near[held] = order[place]
                        held += 1
            near[:held].sort()
        if held:
            kept = min(held, size)
            found[query, :kept] = near[:kept]
            found[query, kept:] = near[0]

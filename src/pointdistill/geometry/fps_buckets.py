"""Farthest point sampling by buckets, compiled by numba (extra `[fast]`): the same indices from fewer distances.

A k-d tree's leaves keep the box of their points and the largest of their distances to the chosen ones. A new point
changes nothing in a leaf whose box is no nearer than that, so most leaves are passed over (QuickFPS, Han et al. 2023).
The distance to a box is computed by the same operations, in the same order and precision, as those to its points;
rounding is monotonic, so the bound holds for rounded distances too, and no index differs from plain sampling's.
"""

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from pointdistill.geometry.compiled import compiled

_LEAF = 512
"""Points of a leaf at most: of 128 to 1,024 the quickest, all in all, for 512 of 4,096 to 2,048 of 40,000."""

_LOOKED_AT = 128
_FEW = 300
"""Points up to which no tree pays, in clouds of 4,096 to 40,000: all of the cloud is gone through for each."""


def sample_by_buckets(
    points: Shaped[np.ndarray, "points 3"], barred: Bool[np.ndarray, " points"] | None, count: int, start: int
) -> Int64[np.ndarray, " count"]:
    """Indices of `count` points of a cloud, each the farthest from those before it, ties to the lowest index.

    Args:
        points: coordinates, finite, float32 or float64; distances are rounded in that precision.
        barred: true where a point is never chosen (but as start).
        count: how many.
        start: index of the first.
    """
    points = np.ascontiguousarray(points)
    if count <= _FEW:
        planes, nearest = np.ascontiguousarray(points.T), np.full(len(points), np.inf, points.dtype)
        if barred is not None:
            nearest[barred] = -1
        return _sample_whole(points, planes, nearest, nearest.view(f"i{points.itemsize}"), count, start)
    index = np.arange(len(points), dtype=np.uint64)  # signed ones are compiled with a look for negative values
    starts = _split(points, index)
    planes, lower, upper = _arranged(points, index, starts)
    nearest = np.full(len(index), np.inf, points.dtype)
    if barred is not None:
        nearest[barred[index]] = -1
    farthest = np.maximum.reduceat(nearest, starts[:-1])
    # No distance is negative (-1 apart, of which all are equal): the order of bits is that of numbers, and the largest
    # of integers is found by vector instructions, that of floats is not.
    bits = np.dtype(f"i{points.itemsize}")
    return _sample(
        points, planes, index, starts, lower, upper, nearest, nearest.view(bits), farthest, farthest.view(bits),
        count, start,
    )  # fmt: skip


@compiled
def _select(points, axis, index, low, high, middle):
    """Order index[low:high] so that the coordinate at `middle` is where a sort would have it (Hoare's quickselect)."""
    high -= 1
    while low < high:
        pivot = points[index[(low + high) // 2], axis]
        left, right = low, high
        while left <= right:
            while points[index[left], axis] < pivot:
                left += 1
            while points[index[right], axis] > pivot:
                right -= 1
            if left <= right:
                index[left], index[right] = index[right], index[left]
                left += 1
                right -= 1
        if middle <= right:
            high = right
        elif middle >= left:
            low = left
        else:
            return


@compiled
def _split(points, index):
    """Split at the median of the widest axis until no leaf has more than `_LEAF` points; where leaves of `index` begin.

    Leaves differ by one point at most, so that all borders follow from the count. Which axis is the widest is asked of
    some of the points: a poor split costs time, never exactness.
    """
    count, leaves = len(index), 1
    while (count + leaves - 1) // leaves > _LEAF:
        for leaf in range(leaves):
            low, high = leaf * count // leaves, (leaf + 1) * count // leaves
            least, most = points[index[low]].copy(), points[index[low]].copy()
            for place in range(low, high, 1 + (high - low) // _LOOKED_AT):
                for axis in range(3):
                    value = points[index[place], axis]
                    least[axis], most[axis] = min(least[axis], value), max(most[axis], value)
            _select(points, np.argmax(most - least), index, low, high, (2 * leaf + 1) * count // (2 * leaves))
        leaves *= 2
    starts = np.empty(leaves + 1, np.int64)
    for leaf in range(leaves + 1):
        starts[leaf] = leaf * count // leaves
    return starts


@compiled
def _arranged(points, index, starts):
    """Coordinates in the leaves' order, axis by axis, and each leaf's box."""
    planes = np.empty((3, len(index)), points.dtype)
    lower, upper = np.empty((3, len(starts) - 1), points.dtype), np.empty((3, len(starts) - 1), points.dtype)
    for leaf in range(len(starts) - 1):
        low, high = starts[leaf], starts[leaf + 1]
        for place in range(low, high):
            for axis in range(3):
                planes[axis, place] = points[index[place], axis]
        for axis in range(3):
            lower[axis, leaf], upper[axis, leaf] = planes[axis, low:high].min(), planes[axis, low:high].max()
    return planes, lower, upper


@compiled
def _visit(x, y, z, nearest, px, py, pz):
    """Take a new point into account."""
    for place in range(len(nearest)):
        dx, dy, dz = x[place] - px, y[place] - py, z[place] - pz
        distance = (dx * dx + dy * dy) + dz * dz
        before = nearest[place]
        nearest[place] = distance if distance < before else before  # stored always: so it is done by vectors


@compiled
def _largest(bits):
    most = bits[0]
    for place in range(len(bits)):
        most = max(most, bits[place])
    return most


@compiled
def _sample(points, planes, index, starts, lower, upper, nearest, nearest_bits, farthest, farthest_bits, count, start):
    x, y, z = planes[0], planes[1], planes[2]  # numba takes unpacked planes for strided: no vectors, 4 times slower
    chosen = np.empty(count, np.int64)
    chosen[0] = start
    for step in range(1, count):
        px, py, pz = points[chosen[step - 1]]
        zero = px - px
        for leaf in range(len(farthest)):
            dx = max(max(lower[0, leaf] - px, px - upper[0, leaf]), zero)
            dy = max(max(lower[1, leaf] - py, py - upper[1, leaf]), zero)
            dz = max(max(lower[2, leaf] - pz, pz - upper[2, leaf]), zero)
            if (dx * dx + dy * dy) + dz * dz < farthest[leaf]:
                low, high = starts[leaf], starts[leaf + 1]
                _visit(x[low:high], y[low:high], z[low:high], nearest[low:high], px, py, pz)
                farthest_bits[leaf] = _largest(nearest_bits[low:high])
        most, best = farthest_bits.max(), np.uint64(len(index))
        for leaf in range(len(farthest)):
            if farthest_bits[leaf] == most:
                for place in range(starts[leaf], starts[leaf + 1]):
                    if nearest_bits[place] == most and index[place] < best:
                        best = index[place]
        chosen[step] = best
    return chosen


@compiled
def _sample_whole(points, planes, nearest, bits, count, start):
    """The cloud in its own order, all of it gone through for each point."""
    x, y, z = planes[0], planes[1], planes[2]
    chosen = np.empty(count, np.int64)
    chosen[0] = start
    for step in range(1, count):
        px, py, pz = points[chosen[step - 1]]
        _visit(x, y, z, nearest, px, py, pz)
        best, most = 0, bits[0]
        for low in range(0, len(bits), _LEAF):
            here = _largest(bits[low : low + _LEAF])
            if here > most:
                best, most = low, here
        while bits[best] != most:
            best += 1
        chosen[step] = best
    return chosen

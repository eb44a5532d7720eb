"""The zero surface of a signed distance grid as triangles: naive surface nets (Gibson, "Constrained elastic surface
nets", MICCAI 1998), where each cell that the surface crosses holds one vertex and each crossed edge one quad."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
"""(8, 3) corners of a cell; corner c has the offset (c >> 2, c >> 1 & 1, c & 1)."""
_AXIS_BIT = (4, 2, 1)
_EDGES = np.array([[corner, corner | bit] for bit in _AXIS_BIT for corner in range(8) if not corner & bit])


class Surface(NamedTuple):
    """Vertices in grid coordinates, triangles that face positive distance, and each vertex's eight grid points."""

    vertices: Float32[np.ndarray, "vertices 3"]
    faces: Int64[np.ndarray, "faces 3"]
    corners: Int64[np.ndarray, "vertices 8"]


def surface_nets(distance: Float32[np.ndarray, "x y z"], known: Bool[np.ndarray, "x y z"]) -> Surface:
    """Triangulate the surface between negative and other known grid points.

    Args:
        distance: signed distances, negative inside, at the grid points.
        known: the grid points that count; a cell with an unknown corner gets no surface, which leaves holes open.
            The grid's first and last layers must be unknown.
    """
    cells = _crossed_cells(distance < 0, known)
    strides = np.array([distance.shape[1] * distance.shape[2], distance.shape[2], 1])
    corners = cells[:, None] + CORNERS @ strides
    values = distance.reshape(-1)[corners]
    lowest = np.stack(np.unravel_index(cells, distance.shape), axis=1)
    vertices = (lowest + _mean_crossing(values)).astype(np.float32)
    return Surface(vertices, _faces(cells, values < 0, strides, distance.size), corners)


def _crossed_cells(inside: Bool[np.ndarray, "x y z"], known: Bool[np.ndarray, "x y z"]) -> Int64[np.ndarray, "cells"]:
    """Flat indices of the lowest corners of cells that are known on all corners and crossed by the surface."""
    some, every, complete = inside, inside, known
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        some, every, complete = some[low] | some[high], every[low] & every[high], complete[low] & complete[high]
    return np.ravel_multi_index(np.nonzero(some & ~every & complete), inside.shape)


def _mean_crossing(values: Float32[np.ndarray, "cells 8"]) -> Float32[np.ndarray, "cells 3"]:
    """The mean of the points where the surface crosses a cell's twelve edges, relative to the lowest corner."""
    total = np.zeros((len(values), 3), dtype=np.float32)
    count = np.zeros(len(values), dtype=np.float32)
    for start, end in _EDGES:
        first, last = values[:, start], values[:, end]
        crossed = (first < 0) != (last < 0)
        along = np.divide(first, first - last, out=np.zeros_like(first), where=crossed)
        direction = CORNERS[end] - CORNERS[start]
        total += crossed[:, None] * CORNERS[start] + along[:, None] * direction
        count += crossed
    return (total / np.maximum(count, 1)[:, None]).astype(np.float32)


def _faces(
    cells: Int64[np.ndarray, "cells"], inside: Bool[np.ndarray, "cells 8"], strides: Int64[np.ndarray, "3"], size: int
) -> Int64[np.ndarray, "faces 3"]:
    """Two triangles for each crossed grid edge whose four surrounding cells all hold a vertex."""
    vertex_of = np.full(size, -1, dtype=np.int32)
    vertex_of[cells] = np.arange(len(cells))
    triangles = []
    for axis in range(3):
        second, third = strides[(axis + 1) % 3], strides[(axis + 2) % 3]
        low, high = inside[:, 0], inside[:, _AXIS_BIT[axis]]
        edge = np.flatnonzero(low != high)
        around = cells[edge, None] - np.array([0, second, second + third, third])
        quads = vertex_of[around]
        whole = (quads >= 0).all(axis=1)
        quads, outward = quads[whole].astype(np.int64), low[edge][whole]
        quads[~outward] = quads[~outward][:, ::-1]
        triangles += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    return np.concatenate(triangles)

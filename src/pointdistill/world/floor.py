"""The floor as a grid: where a person can stand, and the shortest way from here to there."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from pointdistill.world.layout import Place

CELL = 0.06
"""Side of a cell in metres."""


@dataclass(frozen=True)
class FloorMap:
    """Distances to the nearest obstacle (furniture or wall) on a grid over the floor."""

    size: tuple[float, float]
    clearance: Float[np.ndarray, "rows columns"]
    """Metres, at the centre of each cell; rows along y, columns along x."""

    def points(self, cells: Int[np.ndarray, "cells 2"]) -> Float[np.ndarray, "cells 2"]:
        """Centres of (row, column) cells as (x, y) in metres."""
        shape = np.array(self.clearance.shape)[::-1]
        return (cells[:, ::-1] + 0.5) * CELL - shape * CELL / 2

    def at(self, points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points"]:
        """Clearance at points (x, y), interpolated; 0 outside."""
        shape = np.array(self.clearance.shape)[::-1]
        cells = (points + shape * CELL / 2) / CELL - 0.5
        return ndimage.map_coordinates(self.clearance, cells[:, ::-1].T, order=1, mode="constant")

    def free(self, margin: float) -> Bool[np.ndarray, "rows columns"]:
        """The largest connected region with at least this clearance."""
        labels, count = ndimage.label(self.clearance >= margin)  # type: ignore[misc]
        if count == 0:
            return np.zeros(self.clearance.shape, dtype=bool)
        return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))


def map_floor(size: tuple[float, float], places: list[Place], reach: float = 1.95) -> FloorMap:
    """The map of a room of this size with furniture at these places; what hangs above `reach` metres is no obstacle."""
    columns, rows = int(size[0] / CELL), int(size[1] / CELL)
    x = (np.arange(columns) + 0.5) * CELL - columns * CELL / 2
    y = (np.arange(rows) + 0.5) * CELL - rows * CELL / 2
    grid = np.stack(np.meshgrid(x, y), -1)
    free = np.ones((rows + 2, columns + 2), dtype=bool)
    free[[0, -1]] = free[:, [0, -1]] = False
    for place in places:
        if place.low < reach:
            local = np.abs((grid - (place.x, place.y)) @ place.axes().T)
            # Half a cell more, so that no part of a cell that counts as free lies in the furniture.
            half = np.array([place.width, place.depth]) / 2 + CELL / 2
            free[1:-1, 1:-1] &= ~(local < half).all(-1)
    clearance = ndimage.distance_transform_edt(free) * CELL  # type: ignore[operator]
    return FloorMap((size[0], size[1]), np.maximum(clearance[1:-1, 1:-1] - CELL / 2, 0.0))


def routes(
    free: Bool[np.ndarray, "rows columns"],
    cost: Float[np.ndarray, "rows columns"],
    stops: Int[np.ndarray, "stops 2"],
) -> list[Int[np.ndarray, "cells 2"]]:
    """The cheapest way over free cells (8 neighbours) from each stop to the next and from the last to the first.

    Args:
        free: connected cells.
        cost: price of a metre in each cell.
        stops: free cells as (row, column).

    Returns:
        For each leg its cells, both ends included.
    """
    index = np.full(free.shape, -1)
    cells = np.argwhere(free)
    index[tuple(cells.T)] = np.arange(len(cells))
    padded = np.pad(index, 1, constant_values=-1)
    rows, columns, prices = [], [], []
    for i, j in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbour = padded[cells[:, 0] + 1 + i, cells[:, 1] + 1 + j]
        linked = np.flatnonzero(neighbour >= 0)
        other = neighbour[linked]
        rows.append(linked)
        columns.append(other)
        prices.append(np.hypot(i, j) * (cost[tuple(cells[linked].T)] + cost[tuple(cells[other].T)]) / 2)
    link = np.concatenate(rows), np.concatenate(columns)
    graph = csr_matrix((np.concatenate(prices), link), shape=(len(cells), len(cells)))
    ends = index[tuple(stops.T)]
    before = dijkstra(graph, directed=False, indices=ends, return_predecessors=True)[1]
    legs = []
    for leg, goal in enumerate(np.roll(ends, -1)):
        way = [int(goal)]
        while way[-1] != ends[leg]:
            way.append(int(before[leg, way[-1]]))
        legs.append(cells[way[::-1]])
    return legs

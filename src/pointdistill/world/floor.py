"""The floor as a grid: where a person can stand, and the shortest way from here to there."""

import heapq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

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


def map_floor(size: tuple[float, float, float], places: list[Place], reach: float = 1.95) -> FloorMap:
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


def shortest_path(
    free: Bool[np.ndarray, "rows columns"], cost: Float[np.ndarray, "rows columns"], start: tuple[int, int],
    goal: tuple[int, int],
) -> Int[np.ndarray, "cells 2"]:
    """The cheapest way over free cells (8 neighbours), both ends included; start and goal must be connected."""
    steps = [(i, j, float(np.hypot(i, j))) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    best, came = {start: 0.0}, {}
    queue = [(0.0, start)]
    while queue:
        spent, cell = heapq.heappop(queue)
        if cell == goal:
            break
        if spent > best[cell]:
            continue
        for i, j, length in steps:
            new = (cell[0] + i, cell[1] + j)
            if not (0 <= new[0] < free.shape[0] and 0 <= new[1] < free.shape[1]) or not free[new]:
                continue
            price = spent + length * float(cost[new])
            if price < best.get(new, np.inf):
                best[new], came[new] = price, cell
                heapq.heappush(queue, (price, new))
    way = [goal]
    while way[-1] != start:
        way.append(came[way[-1]])
    return np.array(way[::-1])

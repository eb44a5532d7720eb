"""Which frames of a scan saw the same places: known from a store's poses and clouds alone."""

from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from scipy.sparse import csr_array

from pointdistill import distributed
from pointdistill.store import FrameStore

VOXEL = 0.05
"""Side of the voxels that overlaps are counted in, metres: PointContrast's."""
REACH = 1.5
"""Voxels whose centres are so many sides apart count as the same place: PointContrast's radius."""
_NEAR = np.array([step for step in product((-1, 0, 1), repeat=3) if np.dot(step, step) <= REACH**2])

Frames = Int64[np.ndarray, "some"]
"""Numbers of frames in a store."""
Shares = Float32[np.ndarray, "frames frames"]


def overlaps(store: FrameStore, scan: int, voxel: float = VOXEL) -> tuple[Int64[np.ndarray, "frames"], Shares]:
    """How much of each of a scan's frames each other one saw.

    A frame is the set of voxels, in the world, that hold a point of its. What it shares with another frame are those
    with a voxel of the other within `REACH` sides, from centre to centre.

    Args:
        store: prepared frames.
        scan: an index into its `scan_names`.
        voxel: side of a voxel, metres.

    Returns:
        The scan's frames, by their numbers in the store, and of each (rows) the share that another (columns) saw.

    Source: PointContrast (Xie et al., ECCV 2020), data_preprocess/scannet_pair/compute_full_overlapping.py. There the
    mean of a voxel's points stands for it; its centre, here, makes a scan one sparse product instead of a search for
    each pair of frames.
    """
    frames = np.flatnonzero(store.scans == scan)
    clouds = [np.floor(world_points(store, index) / voxel).astype(np.int64) for index in frames.tolist()]
    voxels, rows = np.concatenate(clouds), np.repeat(np.arange(len(frames)), store.counts[frames])
    low = voxels.min(0) - 1
    sizes = voxels.max(0) + 2 - low  # a rim all around: no step leads out of the grid, or round its edge
    places, columns = np.unique(np.ravel_multi_index((voxels - low).T, sizes), return_inverse=True)
    occupied: Any = _incidence(rows, columns, (len(frames), len(places)))
    near: Any = occupied @ _neighbours(places, _NEAR @ np.array([sizes[1] * sizes[2], sizes[2], 1]))
    near.data[:] = 1
    return frames, (occupied @ near.T).toarray() / occupied.sum(axis=1)[:, None]


def partners(store: FrameStore, least: float) -> list[Frames]:
    """For each frame of a store, the others of its scan that overlap with it; of several processes, each looks through
    its share of the scans.

    Args:
        store: prepared frames.
        least: share of the one or of the other that both must see, whichever is larger (PointContrast's measure).

    Returns:
        The frames' numbers in the store, ascending; none of them is the frame itself.
    """
    found: dict[int, Frames] = {}
    for scan in np.unique(store.scans)[distributed.rank() :: distributed.ranks()].tolist():
        frames, shares = overlaps(store, scan)
        enough = np.maximum(shares, shares.T) >= least
        np.fill_diagonal(enough, False)
        found |= {index: frames[row] for index, row in zip(frames.tolist(), enough, strict=True)}
    everywhere = {index: others for part in distributed.gathered(found) for index, others in part.items()}
    return [everywhere[index] for index in range(len(store))]


def world_points(store: FrameStore, index: int) -> Float32[np.ndarray, "points 3"]:
    """All points of a frame in its scan's world, metres."""
    pose = store.pose(index)
    return store.cloud(index) @ pose[:3, :3].T + pose[:3, 3]


def _neighbours(places: Int64[np.ndarray, "places"], steps: Int64[np.ndarray, "near"]) -> csr_array:
    """Which of some ascending numbers lie one of these steps from which."""
    rows, columns = [], []
    for step in steps:
        at = np.searchsorted(places, places + step).clip(max=len(places) - 1)
        there = np.flatnonzero(places[at] == places + step)
        rows.append(there)
        columns.append(at[there])
    return _incidence(np.concatenate(rows), np.concatenate(columns), (len(places), len(places)))


def _incidence(
    rows: Int64[np.ndarray, "entries"], columns: Int64[np.ndarray, "entries"], shape: tuple[int, int]
) -> csr_array:
    """1 at some places, however often they are named, 0 elsewhere."""
    matrix: Any = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.data[:] = 1
    return matrix

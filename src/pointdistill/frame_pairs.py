"""Pairs of frames that saw the same place, and which of their points are the same point of the world."""

import numpy as np
from jaxtyping import Int64
from scipy.spatial import KDTree

from pointdistill.overlap import partners, world_points
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore

TRIED = 16
"""Points looked at for each match that is wanted. Of the frame that sees less of the other, one in ten may have one."""

Points = Int64[np.ndarray, "points"]


class FramePairs:
    """For each frame another one of its scan that overlaps with it; a frame that overlaps with none is its own partner.

    Args:
        store: prepared frames.
        overlap: share that two frames must see of one another (`overlap.partners`).
        radius: distance in the world, metres, up to which two points are the same.
        matches: pairs of points at most.
    """

    def __init__(self, store: FrameStore, overlap: float, radius: float, matches: int):
        self.store, self.radius, self.count = store, radius, matches
        self.partners = partners(store, overlap)

    def second(self, chosen: Int64[np.ndarray, "batch"], seed: int, epoch: int) -> Int64[np.ndarray, "batch"]:
        """A partner of each frame, drawn by (seed, epoch, frame)."""
        drawn = [numpy_generator(seed, "partner", epoch, index).random() for index in chosen.tolist()]
        others = [self.partners[index] if len(self.partners[index]) else [index] for index in chosen.tolist()]
        return np.array([of[int(draw * len(of))] for of, draw in zip(others, drawn, strict=True)])

    def matches(
        self, index: int, rows: Points, other: int, other_rows: Points, generator: np.random.Generator
    ) -> Int64[np.ndarray, "matches 2"]:
        """Points of two frames that are the same place: of the first frame's, taken in random order, each is matched
        with the nearest of the second's that is within reach, unless an earlier one has that.

        Args:
            index, other: the frames.
            rows, other_rows: which of their stored points are to be matched.
            generator: of the order.

        Returns:
            Places in `rows` and in `other_rows`, none twice, up to points that a cloud of few repeats; rows of -1 where
            there are fewer matches.
        """
        tried = generator.permutation(len(rows))[: TRIED * self.count]
        tree = KDTree(world_points(self.store, other)[other_rows], balanced_tree=False, compact_nodes=False)
        queries = world_points(self.store, index)[rows[tried]]
        distances, nearest = map(np.asarray, tree.query(queries, distance_upper_bound=self.radius))
        near = np.flatnonzero(np.isfinite(distances))
        _, first = np.unique(nearest[near], return_index=True)
        kept = near[np.sort(first)[: self.count]]
        found = np.full((self.count, 2), -1)
        found[: len(kept)] = np.stack([tried[kept], nearest[kept]], axis=1)
        return found

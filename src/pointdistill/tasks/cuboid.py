"""Crops of rooms for training detectors: a random cuboid that still holds boxes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class RandomCuboid:
    """Keeps a random cuboid of a room, and the boxes whose centres lie within the extent of what was kept.

    Source: DepthContrast (Zhang et al. 2021) as 3DETR uses it.

    Attributes:
        minimum_points: points a crop keeps at least; others are drawn again.
        crop: range of each edge's share of the room's.
        aspect: of two of the three shares, the smaller is at least this part of the larger.
        tries: crops drawn before the room is taken whole.
    """

    minimum_points: int = 30_000
    crop: tuple[float, float] = (0.5, 1.0)
    aspect: float = 0.8
    tries: int = 100

    def __call__(
        self,
        points: Float[np.ndarray, "vertices 3"],
        boxes: Float[np.ndarray, "boxes 7"],
        generator: np.random.Generator,
    ) -> tuple[Int[np.ndarray, " kept"], Bool[np.ndarray, " boxes"]]:
        """Which points and which boxes stay; all where no crop drawn will do."""
        extent = np.ptp(points, axis=0)
        for _ in range(self.tries):
            share = generator.uniform(*self.crop, 3)
            smallest, middle, largest = np.sort(share)
            if max(smallest / middle, middle / largest) < self.aspect:
                continue
            half = (extent * share / 2).astype(points.dtype)
            kept = np.flatnonzero((np.abs(points - points[generator.integers(len(points))]) <= half).all(1))
            if len(kept) < self.minimum_points:
                continue
            low, high = points[kept].min(0), points[kept].max(0)
            inside = ((boxes[:, :3] >= low) & (boxes[:, :3] <= high)).all(1)
            if inside.any() or not len(boxes):
                return kept, inside
        return np.arange(len(points)), np.ones(len(boxes), bool)

"""What a loader hands to a method."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor


@dataclass(frozen=True)
class FrameBatch:
    """Point clouds of frames with the teacher's targets.

    Attributes:
        points: within the unit sphere before augmentation; camera frame (x right, y down, z forward) or gravity
            frame (z up), as the loader was told.
        targets: the teacher's target of each frame.
        index: each frame's number in its store.
        cells: where each point falls in the teacher's map of the image (row-major), -1 outside; None unless asked for.
        second: another draw and augmentation of the same frames, or of frames that overlap with them; None unless asked
            for.
        matches: which of `points` and of `second` are the same place in the world, -1 for filling; None unless asked
            for.
    """

    points: Float32[Tensor, "batch points 3"]
    targets: Float32[Tensor, "batch prefix dim"]
    index: Int64[Tensor, "batch"]
    cells: Int64[Tensor, "batch points"] | None = None
    second: Float32[Tensor, "batch points 3"] | None = None
    matches: Int64[Tensor, "batch matches 2"] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def to(self, device: str | torch.device) -> "FrameBatch":
        """The same batch on a device; the copy overlaps with computation where memory is pinned."""
        move = lambda tensor: tensor.to(device, non_blocking=True)  # noqa: E731
        maybe = lambda tensor: None if tensor is None else move(tensor)  # noqa: E731
        rest = map(maybe, (self.cells, self.second, self.matches))
        return type(self)(move(self.points), move(self.targets), move(self.index), *rest)

"""What the pre-training loop asks of a method."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pointdistill.batch import FrameBatch
from pointdistill.losses import Losses
from pointdistill.models.point_transformer import PointTransformer


@dataclass(frozen=True)
class Draw:
    """Who asks for randomness: every random number of a sample is keyed by (seed, epoch, sample index)."""

    seed: int
    epoch: int
    index: np.ndarray


class Method(Protocol):
    """A module that turns a batch into losses; `backbone` is what remains after pre-training."""

    backbone: PointTransformer

    def __call__(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Losses of a training batch."""
        ...

    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Figures on held-out batches; `r2` where the method predicts a target."""
        ...

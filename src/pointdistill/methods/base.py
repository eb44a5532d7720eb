"""What the pre-training loop asks of a method."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Method(Protocol):
    """A module that turns a batch into losses; `backbone` is what remains after pre-training."""

    backbone: PointTransformer

    def __call__(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Losses of a training batch."""
        ...

    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Figures on held-out batches; `r2` where the method predicts a target. Of several processes, each gives its
        share of the batches, and all get the figures of the whole."""
        ...


@runtime_checkable
class Batches(Protocol):
    """What feeds the loop: batches of an epoch, from a step on, the same ones whenever they are asked for again."""

    def __len__(self) -> int:
        """Steps an epoch."""
        ...

    def epoch(self, number: int, start_step: int = 0) -> Iterator[FrameBatch]:
        """The batches of an epoch from `start_step` on."""
        ...

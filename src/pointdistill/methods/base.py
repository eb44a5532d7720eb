"""What pre-training asks of a method and of its settings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from pointdistill.batch import FrameBatch
from pointdistill.losses import Losses
from pointdistill.models.point_transformer import PointTransformer


@dataclass(frozen=True)
class Draw:
    """Who asks for randomness: every random number of a sample is keyed by (seed, epoch, sample index). And when:
    `progress` is how much of the training is done, from 0 to 1, for what follows a schedule."""

    seed: int
    epoch: int
    index: np.ndarray
    progress: float = 0.0


@runtime_checkable
class Method(Protocol):
    """A module that turns a batch into losses."""

    @property
    def backbone(self) -> PointTransformer | None:
        """What remains after pre-training; None of a first stage, whose whole module another method needs."""
        ...

    def __call__(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Losses of a training batch."""
        ...

    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Figures on held-out batches; `r2` where the method predicts a target. Of several processes, each gives its
        share of the batches, and all get the figures of the whole."""
        ...


class TargetStatistics(NamedTuple):
    """What a method that learns from a teacher is told of all targets of the training store."""

    mean: Float[Tensor, "tokens width"]
    """Mean of each number of a target."""
    std: Float[Tensor, "tokens width"]
    """Its standard deviation."""


@runtime_checkable
class MethodConfig(Protocol):
    """Settings of a method, a frozen dataclass: what a recipe names.

    A recipe read back from JSON knows its method by the names of these settings alone: no two of the package's methods
    have the same. One in a file of the user's own (`recipes.user`) is not read back.
    """

    learns_from_teacher: ClassVar[bool]
    """Whether it needs a store with targets. Where False, `build` is given no statistics."""
    views: ClassVar[int]
    """Clouds of a frame in a batch: 2 for methods that compare two draws of the same frame."""

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None) -> Method:
        """The method around a backbone, its own weights freshly drawn from torch's default generator."""
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

"""What all downstream tasks share: the shape of a task, of its data, and of what it returns.

A task is a frozen dataclass: its fields are its settings, its methods are the protocol. `engine.finetune` trains any
of them; nothing in it knows which one.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from pointdistill.losses import Losses
from pointdistill.models.backbone import Backbone

T = TypeVar("T")
Figures = dict[str, Any]
"""Named shares in [0, 1]; per-class ones as a dictionary of names; None (JSON's null) where nothing was to count."""


@dataclass(frozen=True)
class Splits(Generic[T]):
    """The labelled data of a task. Settings are chosen on `validation`; `test` is read once, at the end of a run."""

    train: T
    validation: T
    test: T


class Sample(NamedTuple):
    """The `index`-th sample of a split as epoch `epoch` sees it; all its randomness is keyed by these two numbers."""

    epoch: int
    index: int


class TaskModel(nn.Module):
    """A backbone with a task's head. Every parameter outside `backbone` belongs to the head."""

    backbone: Backbone

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone


@dataclass(frozen=True)
class Facts:
    """What a task's model takes from its training data: plain values, kept beside the weights so that these load
    without the data. Each task has its own."""

    def check(self, split: Any) -> None:
        """Raise DataError for data that a model with these facts cannot be tested on."""


class Tally(Protocol):
    """A metric's state: counts that add up over pieces of a test, in any order (`metrics`)."""

    def merge(self, other: Any) -> None:
        """Add what another process counted."""
        ...


@runtime_checkable
class Task(Protocol):
    """What `engine.finetune` and `evaluation` ask of a task.

    A test falls into pieces (a scene, a batch of clouds) that do not depend on each other nor on who works on which:
    each is predicted alone, and counted into a state that adds up.
    """

    name: ClassVar[str]
    store: ClassVar[str]  # the kind of prepared data: scenes, objects or parts
    metric: ClassVar[str]  # the key of the main figure in what `evaluate` returns; more is better

    def check(self, data: Splits) -> None:
        """Raise DataError, before any training, for data that this task cannot use."""
        ...

    def size(self, split: Any) -> int:
        """How many samples one epoch of the split has."""
        ...

    def facts(self, data: Splits) -> Any:
        """What the model takes from the data; the return type's hint is the task's own `Facts`."""
        ...

    def build(self, backbone: Any, facts: Any) -> TaskModel:
        """The backbone with a fresh head. Head weights are drawn from torch's global generator."""
        ...

    def model(self, backbone: Any, data: Splits) -> TaskModel:
        """`build` with the facts of these data."""
        ...

    def batch(self, split: Any, samples: list[Sample], seed: int) -> Any:
        """A dataclass of tensors: the samples, subsampled and augmented, keyed by (seed, epoch, index)."""
        ...

    def loss(self, model: Any, batch: Any) -> Losses:
        """The loss of one batch."""
        ...

    def evaluate(self, model: Any, split: Any, seed: int, quick: bool = False) -> Figures:
        """The test protocol. `quick` is a cheaper form for curves during training, where a task has one."""
        ...

    def pieces(self, split: Any) -> int:
        """How many pieces the test falls into."""
        ...

    def predict(self, model: Any, split: Any, piece: int, seed: int) -> Any:
        """What the model says of one piece, in numpy arrays."""
        ...

    def tally(self, split: Any) -> Any:
        """An empty `Tally`."""
        ...

    def count(self, tally: Any, split: Any, piece: int, prediction: Any) -> None:
        """Hold a prediction against the truth."""
        ...

    def figures(self, tally: Any, split: Any) -> Figures:
        """What was counted, as figures."""
        ...

    def baseline(self, data: Splits) -> Figures:
        """The metrics on `data.test` of a prediction that learns nothing from the points."""
        ...

    def probe(self, backbone: Any, data: Splits, seed: int) -> Figures:
        """The metrics on `data.test` of a linear model on the frozen backbone's features."""
        ...


def evaluate_pieces(task: Task, model: TaskModel, split: Any, seed: int) -> Figures:
    """The whole test protocol: every piece predicted and counted, in order."""
    tally = task.tally(split)
    for piece in range(task.pieces(split)):
        task.count(tally, split, piece, task.predict(model, split, piece, seed))
    return task.figures(tally, split)


def known(share: float) -> float | None:
    """The share, or None where there was nothing to count (NaN, which JSON does not know)."""
    return None if np.isnan(share) else float(share)


def to_device(batch: T, device: str | torch.device) -> T:
    """The same dataclass with its tensors on `device`; the copy overlaps with computation where memory is pinned."""
    fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}  # type: ignore[arg-type]
    moved = {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for key, value in fields.items()
    }
    return dataclasses.replace(batch, **moved)  # type: ignore[type-var]


def device_of(module: nn.Module) -> torch.device:
    """Where the module's parameters are."""
    return next(module.parameters()).device


def fingerprint(data: object) -> str:
    """A short hash of the data's content: dataclasses, sequences, mappings, strings, numbers and arrays.

    Arrays longer than 65,536 elements are hashed by their shape and a regular sample of their elements, which
    tells other data and other splits apart at the price of a glance.
    """
    digest = hashlib.sha256()
    _hash_into(digest, data)
    return digest.hexdigest()[:16]


def _hash_into(digest: Any, value: object) -> None:
    digest.update(type(value).__name__.encode())
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value.reshape(-1)[:: max(1, value.size // 65_536)]).tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            digest.update(field.name.encode())
            _hash_into(digest, getattr(value, field.name))
    elif isinstance(value, dict):
        for key, item in value.items():
            digest.update(repr(key).encode())
            _hash_into(digest, item)
    elif isinstance(value, list | tuple):
        digest.update(str(len(value)).encode())
        for item in value:
            _hash_into(digest, item)
    else:
        digest.update(repr(value).encode())

"""What is exported: a network that takes raw points, and what users of its graph must know."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import nn

Kind = Literal["float32", "int64", "bool"]


class Port(NamedTuple):
    """An input or an output of a graph."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    meaning: str
    """Unit, frame, and what the axes are."""


@dataclass(frozen=True)
class Subject:
    """A model with all that comes before its network and after it, as far as fixed shapes allow.

    Attributes:
        task: "features", or the task's name.
        network: in evaluation mode; takes the inputs in their order, returns a tuple of the outputs.
        inputs, outputs: of the network.
        classes: names of the classes, in the order of the logits; None where there are none.
        outside: what whoever runs the graph must do before and after, a sentence each.
        facts: what else is to be known: plain values by name.
        provenance: where the weights come from, as the card beside them says.
    """

    task: str
    network: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    classes: tuple[str, ...] | None
    outside: tuple[str, ...]
    facts: dict[str, Any]
    provenance: dict[str, Any]

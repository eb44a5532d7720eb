"""What all backbones have in common, so that tasks and loops need not know which one they train."""

from dataclasses import dataclass
from typing import Any

from torch import nn


class Backbone(nn.Module):
    """A network from clouds to features. Its weights are a function of its configuration and a seed.

    Attributes:
        config: frozen dataclass; `config.build()` makes the network with random weights.
        width: width of its features.
        blocks: its layers in order, where they form a row; `layer_decay` counts them.
    """

    config: Any
    width: int
    blocks: nn.ModuleList


@dataclass(frozen=True)
class Config:
    """Sizes of a backbone."""

    def build(self) -> Backbone:
        """The backbone with random weights, drawn from torch's global generator."""
        raise NotImplementedError

"""Concept tokens to the shape of the semantic prefix: the two-layer MLP of section 3.4."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class ProjectorConfig:
    """The paper says "a two-layer MLP" and no more.

    Attributes:
        form: "flat" maps the flattened concepts to the flattened prefix, as ClipCap's own mapper does (76.7 M
            parameters at the paper's sizes); "mix" first mixes the tokens, then maps each (0.3 M and more).
        hidden: hidden width; 3840 at the paper's sizes.
    """

    form: Literal["flat", "mix"] = "flat"
    hidden: int = 3840


class FlatProjector(nn.Module):
    """Linear, GELU, Linear on the flattened tokens.

    Args:
        concepts: (tokens, width) of what comes in.
        prefix: (tokens, width) of what goes out.
        hidden: hidden width.
    """

    def __init__(self, concepts: tuple[int, int], prefix: tuple[int, int], hidden: int):
        super().__init__()
        self.prefix = prefix
        self.first = nn.Linear(concepts[0] * concepts[1], hidden)
        self.activation = nn.GELU()
        self.last = nn.Linear(hidden, prefix[0] * prefix[1])

    def forward(self, concepts: Float[Tensor, "batch concepts width"]) -> Float[Tensor, "batch prefix prefix_width"]:
        """C to C' (eq. 12)."""
        return self.last(self.activation(self.first(concepts.flatten(1)))).view(-1, *self.prefix)


class MixProjector(nn.Module):
    """Mix the tokens, concepts -> prefix, then map each token, width -> hidden -> prefix width."""

    def __init__(self, concepts: tuple[int, int], prefix: tuple[int, int], hidden: int):
        super().__init__()
        self.mix = nn.Linear(concepts[0], prefix[0])
        self.first = nn.Linear(concepts[1], hidden)
        self.activation = nn.GELU()
        self.last = nn.Linear(hidden, prefix[1])

    def forward(self, concepts: Float[Tensor, "batch concepts width"]) -> Float[Tensor, "batch prefix prefix_width"]:
        """C to C' (eq. 12)."""
        mixed = self.mix(concepts.transpose(1, 2)).transpose(1, 2)
        return self.last(self.activation(self.first(mixed)))


def create_projector(
    config: ProjectorConfig, concepts: tuple[int, int], prefix: tuple[int, int]
) -> FlatProjector | MixProjector:
    """The projector of a configuration for concept tokens and prefix of these (tokens, width)."""
    return (FlatProjector if config.form == "flat" else MixProjector)(concepts, prefix, config.hidden)

"""What takes the concepts' place where there are none: the encoder's tokens themselves (the paper's Table 5)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Read = Literal["tokens", "pooled"]


def readout_shape(read: Read, groups: int, width: int) -> tuple[int, int]:
    """(tokens, width) of what `readout` gives."""
    return (groups if read == "tokens" else 2, width)


def readout(read: Read, tokens: Float[Tensor, "batch groups width"]) -> Float[Tensor, "batch read width"]:
    """The tokens as they are, whose order is that of farthest point sampling; or their mean and their maximum, which no
    order changes."""
    if read == "tokens":
        return tokens
    return torch.stack([tokens.mean(1), tokens.max(1).values], dim=1)

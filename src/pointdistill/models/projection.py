"""Heads between a cloud's feature and the space in which contrastive losses compare; they go when pre-training ends."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.models.batch_norm import BatchNorm


class ProjectionHead(nn.Module):
    """Linear, BatchNorm where asked for, ReLU, Linear.

    Args:
        before: width of what comes in.
        hidden: width in between.
        after: width of what goes out.
        norm: with BatchNorm; the linear layer before it has no bias.
        bias: whether the last layer has one.
    """

    def __init__(self, before: int, hidden: int, after: int, norm: bool = True, bias: bool = True):
        super().__init__()
        self.first = nn.Linear(before, hidden, bias=not norm)
        self.norm = BatchNorm(hidden) if norm else None
        self.last = nn.Linear(hidden, after, bias=bias)

    def forward(self, features: Float[Tensor, "batch before"]) -> Float[Tensor, "batch after"]:
        """Each row by itself (BatchNorm over all of them)."""
        x = self.first(features)
        if self.norm is not None:
            x = self.norm(x[..., None])[..., 0]
        return self.last(F.relu(x))

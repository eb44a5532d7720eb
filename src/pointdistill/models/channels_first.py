"""Layers of shared MLPs on features that lie as (batch, channels, columns): a few large matrix products."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.models.batch_norm import BatchNorm

_FEW = 8
"""Channels up to which BatchNorm is folded into the layer before it: coordinates, and little beside them."""


def affine(
    x: Float[Tensor, "batch channels columns"],
    weight: Float[Tensor, "out channels"],
    bias: Float[Tensor, " out"] | None,
) -> Float[Tensor, "batch out columns"]:
    """The same linear layer on every column (a convolution with kernel 1)."""
    weight = weight.expand(x.shape[0], -1, -1)
    return torch.bmm(weight, x) if bias is None else torch.baddbmm(bias[:, None], weight, x)


def normed_affine(
    x: Float[Tensor, "batch channels columns"],
    weight: Float[Tensor, "out channels"],
    bias: Float[Tensor, " out"] | None,
    norm: BatchNorm,
) -> Float[Tensor, "batch out columns"]:
    """The same linear layer on every column, and BatchNorm over all of them."""
    if weight.shape[1] <= _FEW and x.device.type != "mps":  # which has no double precision
        return affine(x, *norm.folded(weight, bias, x))
    return norm(affine(x, weight, bias))


def pool(x: Float[Tensor, "batch channels columns"], groups: int, size: int) -> Float[Tensor, "batch channels groups"]:
    """The maximum over each group of `size` neighbouring columns."""
    return x.unflatten(2, (groups, size)).max(dim=3).values


class SharedLayer(nn.Module):
    """Linear without bias on every column, BatchNorm, ReLU.

    Args:
        before, after: channels.
        slope: of the ReLU below zero.
    """

    def __init__(self, before: int, after: int, slope: float = 0.0):
        super().__init__()
        self.linear = nn.Linear(before, after, bias=False)
        self.norm = BatchNorm(after)
        self.slope = slope
        nn.init.kaiming_normal_(self.linear.weight, slope)

    def forward(self, x: Float[Tensor, "batch channels columns"]) -> Float[Tensor, "batch out columns"]:
        """Each column by itself (BatchNorm over all of them)."""
        # In place: these arrays are a detector's largest by far, and nobody's gradient asks for what was there.
        return F.leaky_relu(normed_affine(x, self.linear.weight, None, self.norm), self.slope, inplace=True)

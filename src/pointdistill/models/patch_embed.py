"""Patches of points to tokens: the mini-PointNet of eq. 3 and the position MLP of section 3.1."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """The mini-PointNet, 3 -> c1 -> c2, max over the patch, concat(global, local) -> c3 -> width, max (eq. 3).

    The paper's channels are 128, 256, 512 and width 384 (Appendix A.1); other widths keep the proportions. Features
    lie as (channels, patches * points): each layer is one matrix product, each BatchNorm reduces contiguous rows, and
    the global half of the third layer is computed once a patch instead of once a point.

    Args:
        width: token width d, divisible by 3.
    """

    def __init__(self, width: int):
        super().__init__()
        c1, c2, c3 = width // 3, 2 * width // 3, 4 * width // 3
        self.local1 = nn.Linear(3, c1)
        self.norm1 = nn.BatchNorm1d(c1)
        self.local2 = nn.Linear(c1, c2)
        self.merge = nn.Linear(2 * c2, c3)
        self.norm2 = nn.BatchNorm1d(c3)
        self.out = nn.Linear(c3, width)

    def forward(self, patches: Float[Tensor, "batch groups size 3"]) -> Float[Tensor, "batch groups width"]:
        """Embed patches whose points are relative to their centre."""
        batch, groups, size, _ = patches.shape
        x = patches.reshape(-1, 3).t()
        x = F.relu(_normalise(self.norm1, _affine(self.local1, x)))
        x = _affine(self.local2, x)
        pooled = x.view(x.shape[0], batch * groups, size).max(dim=2).values
        global_weight, local_weight = self.merge.weight.split(x.shape[0], dim=1)
        shared = torch.addmm(self.merge.bias[:, None], global_weight, pooled)
        x = (local_weight @ x).view(-1, batch * groups, size) + shared[:, :, None]
        x = F.relu(_normalise(self.norm2, x.flatten(1)))
        x = _affine(self.out, x).view(-1, batch * groups, size).max(dim=2).values
        return x.t().reshape(batch, groups, -1)


def _affine(layer: nn.Linear, x: Float[Tensor, "channels columns"]) -> Float[Tensor, "out columns"]:
    return torch.addmm(layer.bias[:, None], layer.weight, x)


def _normalise(norm: nn.BatchNorm1d, x: Float[Tensor, "channels columns"]) -> Float[Tensor, "channels columns"]:
    return norm(x[None]).squeeze(0)


class PositionEmbed(nn.Module):
    """Patch centres to the token width: Linear, GELU, Linear (section 3.1; hidden 128 as in Point-MAE).

    Args:
        width: token width d.
        hidden: hidden width.
    """

    def __init__(self, width: int, hidden: int = 128):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, centres: Float[Tensor, "batch groups 3"]) -> Float[Tensor, "batch groups width"]:
        """Embed centres given in the frame of the (normalised) cloud."""
        return self.layers(centres)

"""PCN's decoder (Yuan et al., 3DV 2018): one feature of the whole cloud becomes a coarse cloud, and each of its points
a small folded grid. No normalisation, as there."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class CompletionConfig:
    """Decoder of a completion; the defaults are PCN's and OcCo's.

    Attributes:
        feature: width of the global feature, and of the layers that make the coarse cloud.
        coarse: points of the coarse cloud.
        grid: points along an edge of the grid that each coarse point becomes: `coarse` times its square in all.
        extent: half the grid's edge, in units of the cloud.
        hidden: width of the layers that fold.
    """

    feature: int = 1024
    coarse: int = 1024
    grid: int = 4
    extent: float = 0.05
    hidden: int = 512


class CompletionDecoder(nn.Module):
    """Tokens to a coarse and a fine cloud.

    The global feature is the maximum over tokens of a linear layer, which is how PCN's encoder ends over points.
    """

    grid: Tensor

    def __init__(self, config: CompletionConfig, width: int):
        super().__init__()
        self.config = config
        self.read = nn.Linear(width, config.feature)
        self.coarse1 = nn.Linear(config.feature, config.feature)
        self.coarse2 = nn.Linear(config.feature, config.feature)
        self.coarse3 = nn.Linear(config.feature, 3 * config.coarse)
        self.fold1 = nn.Linear(2 + 3 + config.feature, config.hidden)
        self.fold2 = nn.Linear(config.hidden, config.hidden)
        self.fold3 = nn.Linear(config.hidden, 3)
        edge = torch.linspace(-config.extent, config.extent, config.grid)
        self.register_buffer("grid", torch.cartesian_prod(edge, edge), persistent=False)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> tuple[Float[Tensor, "batch coarse 3"], Float[Tensor, "batch fine 3"]]:
        """The coarse cloud, and the fine one: the points of a coarse one's grid follow each other."""
        feature = self.read(tokens).amax(1)
        coarse = self.coarse3(F.relu(self.coarse2(F.relu(self.coarse1(feature))))).unflatten(1, (-1, 3))
        # The first layer reads grid, coarse point and feature; each part of it is computed once where it is the same.
        of_grid, of_point, of_cloud = self.fold1.weight.split([2, 3, self.config.feature], dim=1)
        shared = F.linear(coarse, of_point) + F.linear(feature, of_cloud, self.fold1.bias).unsqueeze(1)
        x = F.relu(shared.unsqueeze(2) + F.linear(self.grid, of_grid))
        offsets = self.fold3(F.relu(self.fold2(x)))
        return coarse, (coarse.unsqueeze(2) + offsets).flatten(1, 2)

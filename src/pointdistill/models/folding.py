"""From a patch's feature to its points: a few by an MLP, and four around each by folding a small square."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.models.batch_norm import BatchNorm
from pointdistill.models.channels_first import SharedLayer, affine

_SIDE, _REACH = 2, 0.05
"""Points a side of the square that is folded, and its half side, in the unit of the patches."""


class FoldingDecoder(nn.Module):
    """Coarse points, a quarter of all, by an MLP; then four points around each, by an MLP on (feature, place in the
    square, coarse point).

    Source: FoldingNet (Yang et al., CVPR 2018) as Point-BERT's dVAE has it (models/dvae.py there): 1024 hidden channels
    for the coarse points and 512 for the fold, at features of 256; other widths keep the proportions.

    Args:
        width: of a patch's feature.
        points: of a patch.

    Raises:
        ValueError: the number of points is no multiple of 4.
    """

    square: Tensor

    def __init__(self, width: int, points: int):
        super().__init__()
        if points % _SIDE**2:
            raise ValueError(f"patches of {points} points cannot be folded: their number must be divisible by 4")
        self.count = points // _SIDE**2
        hidden, fold = 4 * width, 2 * width
        self.coarse = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 3 * self.count),
        )
        self.fold1 = nn.Linear(width + 2 + 3, fold, bias=False)
        self.norm1 = BatchNorm(fold)
        self.fold2 = SharedLayer(fold, fold)
        self.fold3 = nn.Linear(fold, 3)
        side = torch.linspace(-_REACH, _REACH, _SIDE)
        self.register_buffer("square", torch.cartesian_prod(side, side).flip(1), persistent=False)

    def forward(
        self, features: Float[Tensor, "patches width"]
    ) -> tuple[Float[Tensor, "patches coarse 3"], Float[Tensor, "patches points 3"]]:
        """Coarse and all points of each patch, relative to its centre."""
        coarse = self.coarse(features).view(len(features), self.count, 3)
        around = coarse.repeat_interleave(_SIDE**2, dim=1)
        place = self.square.repeat(self.count, 1).expand(len(features), -1, -1)
        # The feature is the same at all points of a patch: its share of the first layer is computed once a patch.
        of_feature, of_point = self.fold1.weight.split([features.shape[1], 5], dim=1)
        x = affine(torch.cat([place, around], dim=2).transpose(1, 2), of_point, None)
        x = F.relu(self.norm1(x + (features @ of_feature.t()).unsqueeze(2)))
        return coarse, around + affine(self.fold2(x), self.fold3.weight, self.fold3.bias).transpose(1, 2)

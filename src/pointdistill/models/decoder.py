"""The masked-reconstruction decoder of Point-MAE: mask tokens at the hidden centres become patches of points."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill.models.blocks import Block, initialise
from pointdistill.models.patch_embed import PositionEmbed


@dataclass(frozen=True)
class DecoderConfig:
    """Decoder of masked reconstruction.

    Attributes:
        depth: transformer blocks (4 in Point-MAE, 3 in the paper's Table 6).
        heads: attention heads.
        drop_path: stochastic depth of the last block.
    """

    depth: int = 4
    heads: int = 6
    drop_path: float = 0.1


class PointDecoder(nn.Module):
    """Visible tokens and mask tokens with positions in, `group_size` points for each mask token out."""

    def __init__(self, config: DecoderConfig, width: int, group_size: int):
        super().__init__()
        self.group_size = group_size
        self.mask_token = nn.Parameter(torch.zeros(width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.position_embed = PositionEmbed(width)
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(width, config.heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * group_size)
        self.apply(initialise)

    def forward(
        self,
        visible: Float[Tensor, "batch visible width"],
        visible_centres: Float[Tensor, "batch visible 3"],
        hidden_centres: Float[Tensor, "batch hidden 3"],
        noise: Float[Tensor, "batch branches"] | None = None,
    ) -> Float[Tensor, "batch hidden size 3"]:
        """Reconstruct the hidden patches, relative to their centres."""
        hidden = hidden_centres.shape[1]
        x = torch.cat([visible, self.mask_token.expand(visible.shape[0], hidden, -1)], dim=1)
        positions = self.position_embed(torch.cat([visible_centres, hidden_centres], dim=1))
        for index, block in enumerate(self.blocks):
            x = block(x + positions, None if noise is None else noise[:, 2 * index : 2 * index + 2])
        return self.head(self.norm(x[:, -hidden:])).view(x.shape[0], hidden, self.group_size, 3)


def split_tokens(
    values: Float[Tensor, "batch tokens ..."], order: Int[Tensor, "batch tokens"], hidden: int
) -> tuple[Float[Tensor, "batch visible ..."], Float[Tensor, "batch hidden ..."]]:
    """Visible and hidden values, where `order` lists the tokens, hidden ones first."""
    index = order.view(*order.shape, *([1] * (values.ndim - 2))).expand(values.shape)
    ordered = values.gather(1, index)
    return ordered[:, hidden:], ordered[:, :hidden]

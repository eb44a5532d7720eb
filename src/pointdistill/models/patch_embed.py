"""What the transformer reads: patches of points as tokens (eq. 3), their positions (section 3.1), a class token."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.models.batch_norm import BatchNorm
from pointdistill.models.channels_first import affine, normed_affine, pool


class PatchEmbed(nn.Module):
    """The mini-PointNet, 3 -> c1 -> c2, max over the patch, concat(global, local) -> c3 -> width, max (eq. 3).

    The paper's channels are 128, 256, 512 and width 384 (Appendix A.1); other widths keep the proportions, unless
    `hidden` says otherwise. Features lie as (batch, channels, patches * points): each layer is a few large matrix
    products, each BatchNorm reduces contiguous rows, the global half of the third layer is computed once a patch
    instead of once a point, and its local half, with the second layer, is one product.

    Args:
        width: token width d; divisible by 3 without `hidden`.
        hidden: c1, of which c2 and c3 are the double and the fourfold; 0 is width / 3.
        pooled: channels that are pooled last, where a linear layer takes them to the width (256 in Point-BERT); 0 pools
            the width itself.
    """

    def __init__(self, width: int, hidden: int = 0, pooled: int = 0):
        super().__init__()
        c1 = hidden or width // 3
        c2, c3 = 2 * c1, 4 * c1
        self.local1 = nn.Linear(3, c1)
        self.norm1 = BatchNorm(c1)
        self.local2 = nn.Linear(c1, c2)
        self.merge = nn.Linear(2 * c2, c3)
        self.norm2 = BatchNorm(c3)
        self.out = nn.Linear(c3, pooled or width)
        self.widen = nn.Linear(pooled, width) if pooled else None

    def forward(self, patches: Float[Tensor, "batch groups size 3"]) -> Float[Tensor, "batch groups width"]:
        """Embed patches whose points are relative to their centre."""
        groups, size = patches.shape[1:3]
        x = patches.flatten(1, 2).transpose(1, 2)
        # In place where nobody's gradient asks for what was there: these arrays are a step's largest by far.
        x = F.relu(normed_affine(x, self.local1.weight, self.local1.bias, self.norm1), inplace=True)
        pooled = pool(affine(x, self.local2.weight, self.local2.bias), groups, size)
        global_weight, local_weight = self.merge.weight.split(pooled.shape[1], dim=1)
        # Between the second layer and the third one's local half there is nothing but a product.
        shared = affine(pooled, global_weight, self.merge.bias + local_weight @ self.local2.bias)
        x = affine(x, local_weight @ self.local2.weight, None).unflatten(2, (groups, size)) + shared[..., None]
        x = F.relu(self.norm2(x.flatten(2)), inplace=True)
        x = pool(affine(x, self.out.weight, self.out.bias), groups, size).transpose(1, 2)
        return x if self.widen is None else self.widen(x)


class ClassToken(nn.Module):
    """A learnable token with a position of its own, to be prepended to the patches' tokens (Point-MAE)."""

    def __init__(self, width: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.cls_position = nn.Parameter(torch.empty(1, 1, width))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.cls_position, std=0.02)

    def forward(self, batch: int) -> tuple[Float[Tensor, "batch 1 width"], Float[Tensor, "batch 1 width"]]:
        """The token and its position, once a sample."""
        return self.cls_token.expand(batch, -1, -1), self.cls_position.expand(batch, -1, -1)


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

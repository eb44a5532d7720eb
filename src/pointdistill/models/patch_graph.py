"""Edge convolutions on the graph of neighbouring patches: what lets the tokens of Point-BERT's dVAE know each other."""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill.models.dgcnn import EdgeConvolution

_SLOPE = 0.2
_group_norm = partial(nn.GroupNorm, 4)


class PatchGraph(nn.Module):
    """Linear, four edge convolutions on one graph, then a layer on all their outputs side by side.

    Source: Point-BERT (Yu et al., CVPR 2022, section 3.2) and the DGCNN of https://github.com/lulutang0608/Point-BERT
    (models/dvae.py): widths 128; 256, 512, 512, 1024; GroupNorm of four groups and LeakyReLU 0.2 after each, the last
    layer included. Unlike in `models.dgcnn.DGCNN` the graph is that of the centres, and the same for all layers.

    Args:
        before: width of the patches' features.
        after: width of what comes out; divisible by 4.
        width: of the first layer, 128 there; the edge convolutions have 2, 4, 4 and 8 times as much. Divisible by 2.
    """

    def __init__(self, before: int, after: int, width: int = 128):
        super().__init__()
        self.enter = nn.Linear(before, width)
        widths = (width, 2 * width, 4 * width, 4 * width, 8 * width)
        self.layers = nn.ModuleList(
            EdgeConvolution(channels, wider, norm=_group_norm) for channels, wider in pairwise(widths)
        )
        self.leave = nn.Linear(sum(widths[1:]), after, bias=False)
        self.norm = _group_norm(after)

    def forward(
        self, features: Float[Tensor, "batch groups before"], index: Int[Tensor, "batch groups edges"]
    ) -> Float[Tensor, "batch groups after"]:
        """Args: index: the patches at the other end of each patch's edges, itself among them."""
        outputs = [self.enter(features)]
        for layer in self.layers:
            outputs.append(layer(outputs[-1], index))
        x = self.leave(torch.cat(outputs[1:], dim=-1)).transpose(1, 2)
        return F.leaky_relu(self.norm(x), _SLOPE).transpose(1, 2)

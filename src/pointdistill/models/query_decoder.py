"""MaskPoint's decoder: points anywhere in space ask the encoder's tokens what is there (cross-attention alone)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.models.blocks import CrossAttention, FeedForward, initialise


@dataclass(frozen=True)
class QueryDecoderConfig:
    """Decoder of query points.

    Attributes:
        depth: blocks (1 in MaskPoint).
        heads: attention heads.
        hidden: hidden width of the head.
    """

    depth: int = 1
    heads: int = 6
    hidden: int = 64


class QueryBlock(nn.Module):
    """Pre-norm: the queries read the encoder's tokens, then a feed-forward; they do not see each other.

    Positions are added to the normed queries and to the keys, never to the values.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.ffn = FeedForward(width)

    def forward(
        self,
        queries: Float[Tensor, "batch queries width"],
        query_positions: Float[Tensor, "batch queries width"],
        tokens: Float[Tensor, "batch tokens width"],
        token_positions: Float[Tensor, "batch tokens width"],
    ) -> Float[Tensor, "batch queries width"]:
        """One reading."""
        queries = queries + self.attention(self.norm1(queries) + query_positions, tokens, token_positions)
        return queries + self.ffn(self.norm2(queries))


class QueryDecoder(nn.Module):
    """What the tokens say of each query point, as `outputs` logits: Linear, GELU, Linear.

    A query is nothing but its position: it starts at zero, and the encoder's own embedding of positions serves it.
    """

    def __init__(self, config: QueryDecoderConfig, width: int, outputs: int):
        super().__init__()
        self.blocks = nn.ModuleList(QueryBlock(width, config.heads) for _ in range(config.depth))
        self.expand = nn.Linear(width, config.hidden)
        self.contract = nn.Linear(config.hidden, outputs)
        self.apply(initialise)

    def forward(
        self,
        query_positions: Float[Tensor, "batch queries width"],
        tokens: Float[Tensor, "batch tokens width"],
        token_positions: Float[Tensor, "batch tokens width"],
    ) -> Float[Tensor, "batch queries outputs"]:
        """Logits of each query.

        Args:
            query_positions: embedded positions of the query points.
            tokens: the encoder's output.
            token_positions: the embedding of the tokens' centres.
        """
        x = torch.zeros_like(query_positions)
        for block in self.blocks:
            x = block(x, query_positions, tokens, token_positions)
        return self.contract(F.gelu(self.expand(x)))

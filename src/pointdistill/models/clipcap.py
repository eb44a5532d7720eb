"""ClipCap's mapping network (paper eq. 10; Mokady et al., "ClipCap: CLIP Prefix for Image Captioning", 2021).

It turns one image feature into a sequence of vectors in the embedding space of a language model: the semantic prefix P.
The MLP form (Linear, Tanh, Linear) is the one published for Conceptual Captions; the transformer was published for COCO
alone. Parameters have the names of the published checkpoints (below `clip_project.` there).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class MlpMapper(nn.Module):
    """Linear, Tanh, Linear from an image feature to a prefix.

    Args:
        feature_width: width of the image feature I (eq. 9).
        prefix_length: number of prefix vectors l.
        width: width of a prefix vector, the language model's embedding width.
        hidden: width between the two layers; ClipCap's own choice, half of the prefix's size, if None.
    """

    def __init__(self, feature_width: int, prefix_length: int, width: int, hidden: int | None = None):
        super().__init__()
        self.feature_width, self.prefix_length, self.width = feature_width, prefix_length, width
        size = prefix_length * width
        hidden = hidden or size // 2
        self.model = nn.Sequential(nn.Linear(feature_width, hidden), nn.Tanh(), nn.Linear(hidden, size))

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch prefix dim"]:
        """The semantic prefix P = {p_1 ... p_l} of each image feature."""
        return self.model(features).unflatten(1, (self.prefix_length, self.width))


class _Attention(nn.Module):
    """Self-attention; queries, keys and values without bias."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_queries = nn.Linear(width, width, bias=False)
        self.to_keys_values = nn.Linear(width, 2 * width, bias=False)
        self.project = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch length dim"]:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_queries(tokens), *self.to_keys_values(tokens).chunk(2, dim=-1))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.project(mixed.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch length dim"]:
        return self.fc2(functional.relu(self.fc1(tokens)))


class _Layer(nn.Module):
    """Attention, then ReLU MLP, pre-norm, each on a residual."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), _Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), _FeedForward(width, hidden)

    def forward(self, tokens: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch length dim"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class _Transformer(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList(_Layer(width, heads, hidden) for _ in range(depth))


class TransformerMapper(nn.Module):
    """A transformer over vectors made from the feature and learned constants; the constants' outputs are the prefix.

    The published one is for CLIP RN50x4 features (640 wide, divided by their norm) with 40 vectors of each kind.

    Args:
        feature_width: width of the image feature.
        prefix_length: number of prefix vectors l, and of learned constants.
        width: width of a prefix vector.
        clip_length: number of vectors the feature is turned into.
        depth: layers.
        heads: of the attention; 8 in every published checkpoint.
        hidden: width inside the MLPs; ClipCap's own choice, twice the width, if None.
    """

    def __init__(
        self,
        feature_width: int,
        prefix_length: int,
        width: int,
        clip_length: int,
        depth: int = 8,
        heads: int = 8,
        hidden: int | None = None,
    ):
        super().__init__()
        self.feature_width, self.prefix_length, self.width = feature_width, prefix_length, width
        self.clip_length = clip_length
        self.transformer = _Transformer(width, depth, heads, hidden or 2 * width)
        self.linear = nn.Linear(feature_width, clip_length * width)
        self.prefix_const = nn.Parameter(torch.randn(prefix_length, width))

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch prefix dim"]:
        """The semantic prefix P = {p_1 ... p_l} of each image feature."""
        image = self.linear(features).unflatten(1, (self.clip_length, self.width))
        tokens = torch.cat([image, self.prefix_const.expand(len(features), -1, -1)], dim=1)
        for layer in self.transformer.layers:
            tokens = layer(tokens)
        return tokens[:, self.clip_length :]

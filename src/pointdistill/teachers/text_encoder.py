"""The small teacher's text encoder and CLIP's loss (Radford et al., 2021), which ties images and captions together."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from pointdistill.teachers.text import END
from pointdistill.teachers.transformer import CausalTransformer


class TextEncoder(nn.Module):
    """Captions to features: a causal transformer read at the end token, as in CLIP."""

    def __init__(self, vocabulary: int, length: int, width: int, depth: int, heads: int, feature_width: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.transformer = CausalTransformer(width, depth, heads)
        self.project = nn.Linear(width, feature_width, bias=False)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch feature"]:
        """Features, not normalised, of tokens that each hold one end token."""
        hidden = self.transformer(self.words(tokens) + self.positions[: tokens.shape[1]])
        end = (tokens == END).int().argmax(dim=1)
        return self.project(hidden[torch.arange(len(tokens), device=tokens.device), end])


def contrastive_loss(
    images: Float[Tensor, "batch feature"], texts: Float[Tensor, "batch feature"], log_scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """CLIP's symmetric cross-entropy: each image must find its caption in the batch and each caption its image.

    `log_scale` is the logarithm of the inverse temperature, learned, limited to 100 as in CLIP.
    """
    similarity = functional.normalize(images, dim=1) @ functional.normalize(texts, dim=1).T
    logits = log_scale.exp().clamp(max=100.0) * similarity
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2

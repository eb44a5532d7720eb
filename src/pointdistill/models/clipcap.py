"""ClipCap's mapping network (paper eq. 10; Mokady et al., "ClipCap: CLIP Prefix for Image Captioning", 2021).

It turns one image feature into a sequence of vectors in the embedding space of a language model: the semantic prefix P.
The MLP form (Linear, Tanh, Linear) is the one published for Conceptual Captions. The layers stand under `model.0` and
`model.2`, as in the published checkpoints.
"""

from jaxtyping import Float
from torch import Tensor, nn


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
        self.prefix_length, self.width = prefix_length, width
        size = prefix_length * width
        hidden = hidden or size // 2
        self.model = nn.Sequential(nn.Linear(feature_width, hidden), nn.Tanh(), nn.Linear(hidden, size))

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch prefix dim"]:
        """The semantic prefix P = {p_1 ... p_l} of each image feature."""
        return self.model(features).unflatten(1, (self.prefix_length, self.width))

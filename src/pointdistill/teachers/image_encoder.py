"""The small teacher's image encoder: a residual convolutional network (He et al., 2016), image -> one feature."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first with stride 2, beside a strided 1x1 shortcut."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride=2, bias=False)

    def forward(self, maps: Float[Tensor, "batch c1 h1 w1"]) -> Float[Tensor, "batch c2 h2 w2"]:
        inner = functional.relu(self.norm1(self.conv1(maps)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(maps))

    def at_every_place(
        self, maps: Float[Tensor, "batch c1 height width"], spacing: int
    ) -> Float[Tensor, "batch c2 height width"]:
        """What `forward` gives, without its stride, of maps in which neighbours for it lie `spacing` places apart."""
        inner = functional.relu(self.norm1(_spread(self.conv1, maps, spacing)))
        outer = self.norm2(_spread(self.conv2, inner, 2 * spacing))
        return functional.relu(outer + functional.conv2d(maps, self.shortcut.weight))


def _spread(
    convolution: nn.Conv2d, maps: Float[Tensor, "batch c1 height width"], spacing: int
) -> Float[Tensor, "batch c2 height width"]:
    """A 3x3 convolution without its stride, its taps `spacing` places apart."""
    return functional.conv2d(maps, convolution.weight, padding=spacing, dilation=spacing)


class ImageEncoder(nn.Module):
    """Images to features (paper eq. 9: I = CLIP(x)).

    Args:
        channels: width of the stem and of each residual stage; every one of them halves the resolution.
        feature_width: width of the feature.
    """

    def __init__(self, channels: Sequence[int], feature_width: int):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()
        )
        self.stages = nn.Sequential(*(ResidualBlock(*pair) for pair in pairwise(channels)))
        self.project = nn.Linear(2 * channels[-1], feature_width)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch feature"]:
        """Features, not normalised, of RGB images with values in [-1, 1]."""
        maps = self.stages(self.stem(images.contiguous(memory_format=torch.channels_last)))
        # The maximum keeps small things (a picture on a wall) that the mean over the view would drown.
        pooled = torch.cat([maps.mean((2, 3)), maps.flatten(2).max(2).values], dim=1)
        return self.project(pooled)

    def dense_features(
        self, images: Float[Tensor, "batch 3 height width"], stride: int
    ) -> Float[Tensor, "batch rows columns feature"]:
        """Features of places: the last map before pooling, taken every `stride` pixels, each cell projected as an
        image would be that is this cell everywhere (its mean and its maximum are the cell).

        Each stage halves the map, so little of it is left at the end (3 x 2 of 80 x 60 pixels). From `stride` on the
        stages therefore keep all places and spread their convolutions instead, the "algorithme à trous": where the
        strided map has a cell, this one has the same numbers, and between them those of images moved by less than the
        network's own stride.

        Args:
            images: RGB, values in [-1, 1].
            stride: pixels from cell to cell; a power of two, 2 at least. The cell (i, j) is centred on the pixel in
                row i * stride and column j * stride.
        """
        maps, reached = self.stem(images.contiguous(memory_format=torch.channels_last)), 2
        for stage in self.stages:
            assert isinstance(stage, ResidualBlock)
            maps = stage(maps) if reached < stride else stage.at_every_place(maps, reached // stride)
            reached *= 2
        cells = maps.permute(0, 2, 3, 1)
        return self.project(torch.cat([cells, cells], dim=-1))


def to_network_range(pixels: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """8-bit RGB pixels as the encoder's input: channels first, values in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1

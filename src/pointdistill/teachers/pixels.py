"""From images of any size to a published network's input: shorter side resized, centre cropped, scaled, normalised."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class CentreCrop:
    """Where the pixels of one image size end up; pixel centres at integers, as everywhere.

    Attributes:
        original: width and height of the image.
        resized: width and height before the crop.
        left: columns cut off on the left; `top`: rows cut off above. Negative where the image is padded.
        side: width and height of the crop.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    left: int
    top: int
    side: int

    def place(self, pixels: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Positions (column, row) in the crop of positions in the image; it reaches from -0.5 to side - 0.5."""
        scale = np.array(self.resized, np.float64) / np.array(self.original)
        return (pixels + 0.5) * scale - 0.5 - (self.left, self.top)

    def cells(self, pixels: Float[np.ndarray, "points 2"], grid: int) -> Int64[np.ndarray, "points"]:
        """Row-major cell, of `grid` x `grid` equal ones in the crop, that each position is in; -1 outside the crop."""
        cell = np.floor((self.place(pixels) + 0.5) * (grid / self.side)).astype(np.int64)
        inside = ((cell >= 0) & (cell < grid)).all(axis=1)
        return np.where(inside, cell[:, 1] * grid + cell[:, 0], -1)


@dataclass(frozen=True)
class Preprocessing:
    """Settings of a published network's input.

    Attributes:
        resize: the shorter side, in pixels, after a bicubic resize; the longer one keeps the proportions, rounded down.
        side: of the square cut out of the middle.
        mean: of each colour, taken off values in [0, 1].
        std: of each colour, by which the rest is divided.
    """

    resize: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def crop(self, size: tuple[int, int]) -> CentreCrop:
        """Where an image of `size` (width, height) is cut."""
        width, height = size
        shorter = min(size)
        resized = (self.resize * width // shorter, self.resize * height // shorter)
        left, top = ((length - self.side) // 2 for length in resized)
        return CentreCrop(size, resized, left, top, self.side)

    def __call__(self, images: list[Image.Image]) -> Float[Tensor, "batch 3 side side"]:
        """The network's input; any mode that pillow converts to RGB."""
        pixels = np.stack([self._cut(image) for image in images])
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return (values - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]

    def _cut(self, image: Image.Image) -> np.ndarray:
        crop = self.crop(image.size)
        colour = image if image.mode == "RGB" else image.convert("RGB")
        resized = colour.resize(crop.resized, Image.Resampling.BICUBIC)
        return np.asarray(resized.crop((crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)))

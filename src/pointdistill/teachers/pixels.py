"""From images of any size to a published network's input: shorter side resized, centre cropped, scaled, normalised."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pointdistill.geometry.image_crop import CentreCrop, centre_crop


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
        return centre_crop(size, self.resize, self.side)

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

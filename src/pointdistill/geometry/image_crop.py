"""Where pixels go when an image is resized by its shorter side and cut in the middle, as published networks want it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64


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


def centre_crop(size: tuple[int, int], resize: int, side: int) -> CentreCrop:
    """The crop of an image of `size` (width, height).

    Args:
        resize: the shorter side after the resize; the longer one keeps the proportions, rounded down.
        side: of the square cut out of the middle.
    """
    width, height = size
    shorter = min(size)
    resized = (resize * width // shorter, resize * height // shorter)
    left, top = ((length - side) // 2 for length in resized)
    return CentreCrop(size, resized, left, top, side)

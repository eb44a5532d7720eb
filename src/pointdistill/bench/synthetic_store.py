"""A store of made-up frames, as large a frame as the paper's: to measure feeding without a data set."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt16
from PIL import Image

from pointdistill.prepare import prepare_recordings
from pointdistill.recipes.paper import paper
from pointdistill.scan_part import FrameSettings
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore

PREFIX = 10, 768
WIDTH, HEIGHT = 320, 240
FRAMES_A_SCAN = 64


@dataclass(frozen=True)
class _Frame:
    index: int
    pose: Float32[np.ndarray, "4 4"]
    colour: bytes
    depth: UInt16[np.ndarray, "height width"]


class _Reader:
    """A wavy wall two metres ahead, another one in every frame."""

    def __init__(self, name: str):
        self.name = name
        pinhole = np.array([[290, 0, 159.5, 0], [0, 290, 119.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
        self.colour_intrinsics = self.depth_intrinsics = pinhole
        self.colour_extrinsics = self.depth_extrinsics = np.eye(4, dtype=np.float32)
        self.colour_size: tuple[int, int] = (WIDTH, HEIGHT)
        self.depth_size: tuple[int, int] = (WIDTH, HEIGHT)
        self.depth_shift, self.frame_count = 1000.0, FRAMES_A_SCAN
        jpeg = io.BytesIO()
        Image.new("RGB", (8, 8), (90, 60, 30)).save(jpeg, "JPEG")
        self.jpeg = jpeg.getvalue()

    def every(self, step: int, on_problem: Callable[[Any], None] | None = None) -> Iterator[_Frame]:
        row, column = np.mgrid[:HEIGHT, :WIDTH]
        for index in range(0, self.frame_count, step):
            a, b, c = numpy_generator(0, "wall", self.name, index).uniform(0.01, 0.05, 3)
            depth = 2000 + 600 * np.sin(a * row + 99 * c) + 600 * np.sin(b * column)
            yield _Frame(index, np.eye(4, dtype=np.float32), self.jpeg, depth.astype(np.uint16))

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


@dataclass(frozen=True)
class _Recording:
    name: str

    def open(self) -> _Reader:
        return _Reader(self.name)


class _Teacher:
    """Says noise of a prefix's shape."""

    identity = "noise"
    weights_hash = "0" * 64

    def __init__(self, target_shape: tuple[int, int]):
        self.target_shape = target_shape

    def targets(self, images: list[Image.Image]) -> Float[torch.Tensor, "batch prefix dim"]:
        return torch.randn(len(images), *self.target_shape, generator=torch.Generator().manual_seed(0))


def synthetic_store(
    folder: Path, frames: int, points: int | None = None, prefix: tuple[int, int] = PREFIX
) -> FrameStore:
    """At least so many frames, in whole scans of 64.

    Args:
        folder: of the store.
        frames: how many at least.
        points: kept of each; default the paper's 16,384, which with its prefix take 0.12 MB.
        prefix: shape of a target.
    """
    recordings = [_Recording(f"synthetic{number:04d}") for number in range(-(-frames // FRAMES_A_SCAN))]
    settings = FrameSettings(every=1, points=points or paper().frames.stored_points)
    return prepare_recordings(recordings, folder, lambda: _Teacher(prefix), settings, "synthetic", workers=1)

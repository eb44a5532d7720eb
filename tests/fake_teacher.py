"""A teacher that needs no weights: its target is the mean colour of the image, and how often it was asked."""

import hashlib
import os
import signal
import threading
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image


class MeanColourTeacher:
    """Target (2, 3): mean and standard deviation of each colour.

    Args:
        log: file that gets a line a call (shared by worker processes), or None.
        version: part of the weights' hash.
    """

    identity = "mean-colour-1"
    target_shape = (2, 3)

    def __init__(self, log: Path | None = None, version: str = "a"):
        self.log = log
        self.weights_hash = hashlib.sha256(version.encode()).hexdigest()

    def targets(self, images: list[Image.Image]) -> torch.Tensor:
        if self.log:
            with self.log.open("a") as file:
                file.write(f"{len(images)}\n")
        pixels = np.stack([np.asarray(image, np.float32) / 255 for image in images])
        return torch.from_numpy(np.stack([pixels.mean((1, 2)), pixels.std((1, 2))], 1))


def factory(log: Path | None = None, version: str = "a"):
    """A factory that worker processes can import."""
    return partial(MeanColourTeacher, log, version)


class StallingTeacher(MeanColourTeacher):
    """Its first call of all, in whatever process, writes that process's number to `stalled` and never ends."""

    def __init__(self, stalled: Path, log: Path | None = None):
        super().__init__(log)
        self.stalled = stalled

    def targets(self, images: list[Image.Image]) -> torch.Tensor:
        try:
            with self.stalled.open("x") as file:
                file.write(f"{os.getpid()}\n")
        except FileExistsError:
            return super().targets(images)
        threading.Event().wait()
        raise AssertionError("never")


class DeadlyTeacher(MeanColourTeacher):
    """Asked, it ends its process as the system does when memory runs out."""

    def targets(self, images: list[Image.Image]) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("never")

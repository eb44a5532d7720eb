"""Augmentations of one cloud, each a function of (points, generator); all are linear maps and shifts.

Ranges are Point-MAE's, which the paper's "scale and translate" is taken to mean (docs/paper.md).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

Matrix = Float32[np.ndarray, "3 3"]
Vector = Float32[np.ndarray, "3"]
Cloud = Float32[np.ndarray, "points 3"]


@dataclass(frozen=True)
class Augmentation:
    """What may be done to a cloud: turned about z, mirrored, stretched along each axis, shifted; in this order.

    Attributes:
        scale: each axis is multiplied by its own draw from this range; (1, 1) leaves sizes alone.
        shift: each axis is shifted by its own draw from [-shift, shift].
        yaw: turn about z by any angle; only for clouds whose z points up.
        flip: mirror x and y, each with probability one half; only for clouds whose z points up.
    """

    scale: tuple[float, float] = (2 / 3, 3 / 2)
    shift: float = 0.2
    yaw: bool = False
    flip: bool = False

    def draw(self, generator: np.random.Generator) -> tuple[Matrix, Vector]:
        """A matrix and a shift: the augmented cloud is `points @ matrix.T + shift`."""
        matrix = np.eye(3)
        if self.yaw:
            matrix = yaw_matrix(generator) @ matrix
        if self.flip:
            matrix = flip_signs(generator)[:, None] * matrix
        matrix = generator.uniform(*self.scale, 3)[:, None] * matrix
        return matrix.astype(np.float32), generator.uniform(-self.shift, self.shift, 3).astype(np.float32)

    def __call__(self, points: Cloud, generator: np.random.Generator) -> Cloud:
        matrix, shift = self.draw(generator)
        return points @ matrix.T + shift


def yaw_matrix(generator: np.random.Generator) -> Float64[np.ndarray, "3 3"]:
    """A turn about z by an angle drawn from all."""
    return rotation_z(generator.uniform(0, 2 * np.pi))


def rotation_z(angle: float) -> Float64[np.ndarray, "3 3"]:
    """The rotation by `angle` radians about z (up), to be applied as `points @ rotation.T`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def flip_signs(generator: np.random.Generator) -> np.ndarray:
    """1 or -1 for x and y, evenly; 1 for z."""
    return np.append(np.where(generator.random(2) < 0.5, -1.0, 1.0), 1.0)


def scale_and_shift(
    points: Cloud, generator: np.random.Generator, scale: tuple[float, float] = (2 / 3, 3 / 2), shift: float = 0.2
) -> Cloud:
    """Stretch each axis by a draw from `scale` and shift it by one from [-shift, shift]."""
    return Augmentation(scale, shift)(points, generator)


def rotate_yaw(points: Cloud, generator: np.random.Generator) -> Cloud:
    """Turn about z (up) by any angle."""
    return points @ yaw_matrix(generator).T.astype(np.float32)


def flip(points: Cloud, generator: np.random.Generator) -> Cloud:
    """Mirror x and y, each with probability one half."""
    return points * flip_signs(generator).astype(np.float32)

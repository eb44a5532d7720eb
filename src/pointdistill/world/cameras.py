"""Pinhole cameras, the two-camera rig of an RGB-D scanner, and the walk of a person who scans a room.

Camera frame: x right, y down, z forward. Pixel centres lie at integer coordinates: u = fx * x / z + cx.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; all figures in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def matrix(self) -> Float32[np.ndarray, "4 4"]:
        """Intrinsics in ScanNet's 4x4 form."""
        matrix = np.eye(4, dtype=np.float32)
        matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = self.fx, self.fy, self.cx, self.cy
        return matrix

    @classmethod
    def for_size(cls, width: int, height: int, horizontal_fov_degrees: float) -> "Camera":
        """A camera with square pixels and its principal point in the middle of the image."""
        focal = width / 2 / np.tan(np.radians(horizontal_fov_degrees) / 2)
        return cls(width, height, float(focal), float(focal), (width - 1) / 2, (height - 1) / 2)


@dataclass(frozen=True)
class Rig:
    """A colour and a depth camera, fixed to each other."""

    colour: Camera
    depth: Camera
    colour_to_depth: Float64[np.ndarray, "4 4"]
    """Takes points of the colour camera's frame to the depth camera's: small, not the identity."""


def default_rig(colour_size: tuple[int, int] = (160, 120), depth_size: tuple[int, int] = (80, 60)) -> Rig:
    """A rig like ScanNet's (an iPad's colour camera beside a structured-light sensor), at any sizes (width, height)."""
    colour = Camera.for_size(*colour_size, 61.0)
    colour = Camera(*colour_size, colour.fx, colour.fy * 1.002, colour.cx + 0.004 * colour_size[0], colour.cy)
    depth = Camera.for_size(*depth_size, 58.5)
    turn = _rotation(0.012, -0.008, 0.005)
    colour_to_depth = np.eye(4)
    colour_to_depth[:3, :3] = turn
    colour_to_depth[:3, 3] = (0.037, -0.004, -0.022)
    return Rig(colour, depth, colour_to_depth)


def _rotation(x: float, y: float, z: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation by small angles about x, then y, then z."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def look(
    position: Float[np.ndarray, "frames 3"],
    yaw: Float[np.ndarray, "frames"],
    pitch: Float[np.ndarray, "frames"],
    roll: Float[np.ndarray, "frames"],
) -> Float64[np.ndarray, "frames 4 4"]:
    """Camera-to-room poses from positions and angles in radians.

    Yaw 0 looks along +x and turns towards +y, positive pitch looks up, positive roll turns the camera clockwise.
    """
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], -1)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.zeros((len(position), 4, 4))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = c * right + s * down, c * down - s * right, forward
    poses[:, :3, 3], poses[:, 3, 3] = position, 1.0
    return poses

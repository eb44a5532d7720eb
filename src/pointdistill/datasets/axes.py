"""Which axis points up."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

Axis = Literal["x", "-x", "y", "-y", "z", "-z"]
AXES: tuple[str, ...] = get_args(Axis)
_TURNS = {
    "x": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}


def y_up_to_z_up(points: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """(x, y, z) -> (x, -z, y): a quarter turn about x, so that shapes published with y up stand like scenes do."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1)


def z_up_to_y_up(points: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """(x, y, z) -> (x, z, -y): the way back."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], 1)


def to_z_up(axis: Axis) -> Float32[np.ndarray, "4 4"]:
    """The turn of a world after which what pointed along `axis` points along z; identity for z."""
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = _TURNS[axis]
    return matrix

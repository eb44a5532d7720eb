"""Pinhole cameras: depth images to points and back.

Camera frame: x right, y down, z forward, metres. Pixel centres lie at integer coordinates: u = fx x / z + cx, with u
along the columns. Intrinsics are 4x4 with fx, fy, cx, cy; skew is not supported (ScanNet's is zero). Every function
takes numpy arrays or tensors and returns the kind it was given.
"""

from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)
Matrix = Float[np.ndarray, "4 4"] | Float[Tensor, "4 4"]


def unproject(depth: Float[Array, "*batch height width"], intrinsics: Matrix) -> Float[Array, "*batch height width 3"]:
    """Points in the camera frame, one a pixel.

    Args:
        depth: along the camera's z axis, metres. A pixel without depth (0) becomes the origin: the caller drops it.
        intrinsics: of the camera that took the depth, at this size of image.
    """
    fx, fy, cx, cy = _parameters(intrinsics)
    height, width = depth.shape[-2:]
    if isinstance(depth, Tensor):
        columns = torch.arange(width, dtype=depth.dtype, device=depth.device)
        rows = torch.arange(height, dtype=depth.dtype, device=depth.device)
        return torch.stack([depth * ((columns - cx) / fx), depth * ((rows - cy) / fy)[:, None], depth], dim=-1)
    columns, rows = np.arange(width, dtype=depth.dtype), np.arange(height, dtype=depth.dtype)
    return np.stack([depth * ((columns - cx) / fx), depth * ((rows - cy) / fy)[:, None], depth], axis=-1)


def project(points: Float[Array, "*batch 3"], intrinsics: Matrix) -> Float[Array, "*batch 2"]:
    """Pixel coordinates (u, v) of points in the camera frame; NaN for points that are not in front of the camera."""
    fx, fy, cx, cy = _parameters(intrinsics)
    if isinstance(points, Tensor):
        x, y, z = points.unbind(-1)
        z = torch.where(z > 0, z, torch.nan)
        return torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    x, y, z = np.moveaxis(points, -1, 0)
    z = np.where(z > 0, z, points.dtype.type(np.nan))
    return np.stack([fx * x / z + cx, fy * y / z + cy], axis=-1)


def transform(points: Float[Array, "*batch 3"], matrix: Matrix) -> Float[Array, "*batch 3"]:
    """Points through a rigid or affine 4x4 matrix (last row 0 0 0 1), in the points' own precision."""
    if isinstance(points, Tensor):
        matrix = torch.as_tensor(matrix, dtype=points.dtype, device=points.device)
        return points @ matrix[:3, :3].T + matrix[:3, 3]
    array = np.asarray(matrix, dtype=points.dtype)
    return points @ array[:3, :3].T + array[:3, 3]


def _parameters(intrinsics: Matrix) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy as Python floats, which leave the precision of what they meet as it is."""
    return (
        float(intrinsics[0, 0]),
        float(intrinsics[1, 1]),
        float(intrinsics[0, 2]),
        float(intrinsics[1, 2]),
    )

"""Which points of a cloud a camera sees, by a z-buffer of points: no surface is needed."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def camera_turns(angles: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 3"]:
    """Rotations about x, then y, then z.

    Args:
        angles: about each axis, in radians.

    Returns:
        Matrices whose columns are a camera's right, up and backward direction in the frame of the cloud.
    """
    turn = torch.eye(3, dtype=angles.dtype, device=angles.device).expand(len(angles), 3, 3)
    for axis in range(3):
        cosine, sine = angles[:, axis].cos(), angles[:, axis].sin()
        first, second = (axis + 1) % 3, (axis + 2) % 3
        about = torch.zeros_like(turn)
        about[:, axis, axis] = 1.0
        about[:, first, first], about[:, first, second] = cosine, -sine
        about[:, second, first], about[:, second, second] = sine, cosine
        turn = _product(about, turn)
    return turn


def visible_points(
    points: Float[Tensor, "batch points 3"],
    turns: Float[Tensor, "batch 3 3"],
    distance: float = 2.0,
    points_per_pixel: float = 16.0,
    slack: float = 2.0,
) -> Bool[Tensor, "batch points"]:
    """Whether a pinhole camera that looks at the cloud's mean sees each point.

    The image is a square around the cloud's bounding sphere. Its pixels are as large as the cloud is sparse, so that
    the points of a surface close it. A point is seen that is not farther than the nearest one of its pixel by more than
    `slack` pixels (in units of length there): at 1, surfaces of up to 45 degrees to the image stay whole. With fewer
    points a pixel more of what is behind shows through; with less slack slanted surfaces get holes. No gradient.

    Args:
        points: clouds in any unit.
        turns: each camera's right, up and backward direction, in columns.
        distance: of the camera from the mean, in radii of the bounding sphere around it; more than 1.
        points_per_pixel: points of the whole cloud, over pixels of the whole image.
        slack: see above.
    """
    points = points.detach()
    offsets = points - points.mean(1, keepdim=True)
    radius = torch.linalg.vector_norm(offsets, dim=-1).amax(1, keepdim=True).clamp_min(1e-12)
    right, up, back = _product(offsets / radius.unsqueeze(-1), turns).unbind(-1)
    depth, opening = distance - back, 1.0 / math.sqrt(distance**2 - 1.0)  # the tangent of half the angle of view
    pixels = max(1, round(math.sqrt(points.shape[1] / points_per_pixel)))
    pixel = _pixel(up / depth, opening, pixels) * pixels + _pixel(right / depth, opening, pixels)
    nearest = torch.full((len(points), pixels**2), math.inf, dtype=depth.dtype, device=depth.device)
    nearest = nearest.scatter_reduce_(1, pixel, depth, "amin").gather(1, pixel)
    return depth <= nearest * (1.0 + slack * 2.0 * opening / pixels)


def _product(rows: Tensor, turns: Tensor) -> Tensor:
    """`rows @ turns`, in the numbers' own precision under mixed precision too."""
    return (rows.unsqueeze(-1) * turns.unsqueeze(-3)).sum(-2)


def _pixel(tangent: Tensor, opening: float, pixels: int) -> Int[Tensor, "batch points"]:
    """Row or column of what lies in this direction."""
    return ((tangent / opening + 1.0) * (pixels / 2)).long().clamp_(0, pixels - 1)

"""Clouds in the frame and unit that pre-training sees them in."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class UnitSphere(NamedTuple):
    """Clouds in the unit sphere, and the way back: `points * radius + centre`."""

    points: Float[Tensor, "batch points 3"]
    centre: Float[Tensor, "batch 1 3"]
    """The mean of each cloud, in its own frame and unit."""
    radius: Float[Tensor, "batch 1 1"]
    """The largest distance from it; at least 1e-6."""


def to_unit_sphere(points: Float[Tensor, "batch points 3"]) -> UnitSphere:
    """Clouds shifted to their mean and divided by their radius. Points that are all in one place come to lie at 0; a
    coordinate that is NaN or infinite makes its cloud NaN, and so large ones that their squares are not finite.

    The mean is a sum in double precision, rounded once, and the radius the root of (x² + y²) + z², each operation
    rounded: the same bits on every device and in an exported graph, so that farthest point sampling goes on from the
    same numbers everywhere.

    Raises:
        ValueError: clouds without points.
    """
    if not points.shape[1]:
        raise ValueError("clouds of 0 points have no centre")
    wide = points.dtype if points.device.type == "mps" else torch.float64  # which has no double precision
    centre = points.to(wide).mean(1, keepdim=True).to(points.dtype)
    shifted = points - centre
    x, y, z = shifted.unbind(-1)
    radius = (x * x + y * y + z * z).amax(1).sqrt()[:, None, None].clamp_min(1e-6)
    return UnitSphere(shifted / radius, centre, radius)

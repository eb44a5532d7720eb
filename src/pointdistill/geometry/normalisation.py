"""Clouds in the frame and unit that pre-training sees them in."""

from typing import NamedTuple

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

    Raises:
        ValueError: clouds without points.
    """
    if not points.shape[1]:
        raise ValueError("clouds of 0 points have no centre")
    centre = points.mean(1, keepdim=True)
    shifted = points - centre
    radius = shifted.norm(dim=-1).amax(1)[:, None, None].clamp_min(1e-6)
    return UnitSphere(shifted / radius, centre, radius)

"""Some points of each cloud, as many in all of them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pointdistill.geometry.patches import gather


def resample_kept(
    points: Float[Tensor, "batch points 3"],
    kept: Bool[Tensor, "batch points"],
    count: int,
    noise: Float[Tensor, "batch points"] | None = None,
) -> Float[Tensor, "batch count 3"]:
    """`count` of the points kept; where there are fewer, all of them again and again.

    Args:
        points: clouds.
        kept: which points may be taken, at least one in each cloud.
        count: how many.
        noise: uniform numbers in [0, 1), which decide the order; without them it stays as it is.
    """
    noise = points.new_zeros(kept.shape) if noise is None else noise
    order = torch.where(kept, noise, noise + 1.0).argsort(dim=1, stable=True)
    turn = torch.arange(count, device=points.device) % kept.sum(1, keepdim=True)
    return gather(points, order.gather(1, turn))

"""Local patches of a cloud: the token inputs of the point transformer."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from pointdistill.geometry.fps import farthest_point_sample
from pointdistill.geometry.neighbours import knn


class Patches(NamedTuple):
    """A cloud cut into overlapping patches."""

    centres: Float[Tensor, "batch groups 3"]
    """Patch centres, in the cloud's frame and unit."""
    patches: Float[Tensor, "batch groups size 3"]
    """Each patch's points minus its centre, the nearest first (the centre itself, at zero)."""
    centre_index: Int[Tensor, "batch groups"]
    """Which points of the cloud are the centres."""
    index: Int[Tensor, "batch groups size"]
    """Which points of the cloud are in the patches."""


def gather(
    values: Shaped[Tensor, "batch points channels"], index: Int[Tensor, "batch *rest"]
) -> Shaped[Tensor, "batch *rest channels"]:
    """`values[b, index[b, ...]]`: the rows that `index` names, cloud by cloud. Differentiable in the values."""
    batch, count, channels = values.shape
    offsets = torch.arange(batch, device=index.device).mul_(count).view(batch, *[1] * (index.dim() - 1))
    # One index_select over all clouds: its backward pass is twice as fast as that of values[rows, index].
    chosen = values.reshape(batch * count, channels).index_select(0, (index + offsets).flatten())
    return chosen.view(*index.shape, channels)


def group_patches(
    points: Float[Tensor, "batch points 3"],
    count: int,
    size: int,
    start: int = 0,
    skip_near_origin: bool = False,
    by_index: bool = False,
) -> Patches:
    """Centres by farthest point sampling (eq. 1) and the `size` points nearest to each, centred on it (eq. 2).

    Args:
        points: clouds in any unit.
        count: patches a cloud.
        size: points a patch.
        start: index of the first centre.
        skip_near_origin: see `farthest_point_sample`.
        by_index: see `knn`.

    Raises:
        ValueError: a cloud has fewer than `count` or `size` points.

    Source: paper section 3.1, eqs. 1-2, after Point-MAE.
    """
    centre_index = farthest_point_sample(points, count, start, skip_near_origin)
    centres = gather(points, centre_index)
    index = knn(centres, points, size, by_index)
    return Patches(centres, gather(points, index) - centres.unsqueeze(2), centre_index, index)

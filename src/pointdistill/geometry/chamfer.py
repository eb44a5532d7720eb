"""Chamfer distances between point sets, differentiable in both. A cloud with a coordinate that is NaN or infinite is at
no finite distance from any: a training that has diverged sees it in its loss."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pointdistill.geometry.neighbours import knn, squared_distances
from pointdistill.geometry.patches import gather

_SMALL = 1 << 18  # pairs of one cloud: below, one matrix of distances serves both directions


def chamfer_l2(a: Float[Tensor, "batch first 3"], b: Float[Tensor, "batch second 3"]) -> Float[Tensor, "batch"]:
    """Mean squared distance from each point of `a` to its nearest of `b`, plus the same from `b` to `a`.

    In squared units of the input. Source: Point-MAE's reconstruction loss (its "l2" form), Fan et al. 2017.
    """
    to_b, to_a = _offsets(a, b)
    return to_b.square().sum(-1).mean(-1) + to_a.square().sum(-1).mean(-1)


def chamfer_l1(a: Float[Tensor, "batch first 3"], b: Float[Tensor, "batch second 3"]) -> Float[Tensor, "batch"]:
    """Half the sum of the two mean nearest distances (not squared), in the input's unit; the "l1" form of completion
    benchmarks. The gradient of a distance of zero is zero."""
    to_b, to_a = _offsets(a, b)
    return (torch.linalg.vector_norm(to_b, dim=-1).mean(-1) + torch.linalg.vector_norm(to_a, dim=-1).mean(-1)) / 2


def _offsets(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """From each point to its nearest in the other set. The neighbours are found without a graph: who is nearest does
    not change under small steps, so the gradient of the distance to it is the whole gradient."""
    nearest_b, nearest_a = _nearest(a, b)
    return a - gather(b, nearest_b), b - gather(a, nearest_a)


def _nearest(a: Tensor, b: Tensor) -> tuple[Int[Tensor, "batch first"], Int[Tensor, "batch second"]]:
    if not (a.shape[1] and b.shape[1]):
        raise ValueError(f"no distance between clouds of {a.shape[1]} and {b.shape[1]} points")
    if a.shape[1] * b.shape[1] > _SMALL:
        a, b = a.detach().nan_to_num(), b.detach().nan_to_num()  # who is nearest then does not matter
        return knn(a, b, 1)[..., 0], knn(b, a, 1)[..., 0]
    distances = squared_distances(a, b)
    return distances.argmin(2), distances.argmin(1)

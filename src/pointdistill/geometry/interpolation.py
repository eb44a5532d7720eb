"""Features from a few centres to every point."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from pointdistill.geometry import traced
from pointdistill.geometry.neighbours import knn
from pointdistill.geometry.patches import gather

_EPSILON = 1e-8  # keeps a point that lies on a centre finite: that centre then takes nearly all the weight


class Nearest(NamedTuple):
    """The centres that each query reads from."""

    index: Int[Tensor, "batch queries near"]
    """Nearest first."""
    weights: Float[Tensor, "batch queries near"]
    """Not negative, adding up to one for each query."""


def three_nearest(
    queries: Float[Tensor, "batch queries 3"], centres: Float[Tensor, "batch groups 3"], squared: bool = True
) -> Nearest:
    """The three nearest centres of each query (all of them if there are fewer), weighted by inverse SQUARED distance.

    No gradient: coordinates are data.

    Args:
        queries: points to interpolate at.
        centres: points that have features.
        squared: weigh by the inverse of the squared distance. False, by that of the distance itself: VoteNet's and
            3DETR's copy of PointNet++ takes the root of what its kernel returns, so that their networks expect it.

    Source: PointNet++, section 3.4, with p = 2, k = 3 (its feature propagation).
    """
    queries, centres = queries.detach(), centres.detach()
    index = knn(queries, centres, min(3, centres.shape[1]))
    distances = (queries.unsqueeze(2) - gather(centres, index)).square().sum(-1)
    distances = distances if squared else distances.sqrt()
    # Recorded in other units, of the same weights: onnxscript takes so small a number for zero, and leaves it out.
    inverse = 1 / (distances / _EPSILON + 1) if traced.exporting() else 1 / (distances + _EPSILON)
    return Nearest(index, inverse / inverse.sum(-1, keepdim=True))


def interpolate(
    features: Float[Tensor, "batch groups channels"],
    index: Int[Tensor, "batch queries near"],
    weights: Float[Tensor, "batch queries near"],
) -> Float[Tensor, "batch queries channels"]:
    """Weighted sum of the features that `index` names (their mean, with the weights of `three_nearest`).

    Differentiable in features and weights.
    """
    batch, groups, channels = features.shape
    if traced.exporting():  # not every runtime has the bag
        return (gather(features, index) * weights.to(features.dtype).unsqueeze(-1)).sum(2)
    rows = index + torch.arange(batch, device=index.device).mul_(groups).view(batch, 1, 1)
    # An embedding bag builds neither the gathered (queries, near, channels) features nor their gradient.
    values = functional.embedding_bag(
        rows.flatten(0, 1),
        features.reshape(batch * groups, channels),
        per_sample_weights=weights.to(features.dtype).flatten(0, 1),
        mode="sum",
    )
    return values.view(batch, index.shape[1], channels)

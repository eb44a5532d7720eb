"""PointNet++'s set abstraction (Qi et al. 2017, section 3.2): a cloud to fewer points with features, as in 3DETR."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill.geometry import ball_query, farthest_point_sample, gather
from pointdistill.models.channels_first import SharedLayer, pool


class Abstracted(NamedTuple):
    """The chosen points and what is around them."""

    centres: Float[Tensor, "batch count 3"]
    """In the cloud's frame and unit."""
    features: Float[Tensor, "batch count width"]
    """Not negative: the last layer's ReLU."""
    centre_index: Int[Tensor, "batch count"]
    """Which points of the cloud are the centres."""


class SetAbstraction(nn.Module):
    """Farthest points, the ball around each, a shared MLP on offsets and features, the maximum over the ball.

    The defaults but `count` and `width` are those of 3DETR's tokens, which takes 2048 points of a scene in metres to
    the encoder's width. Every layer is linear without bias, then BatchNorm and ReLU. Offsets are divided by the
    radius. A ball with fewer than `size` points repeats its first, also in BatchNorm's statistics.

    Args:
        count: points to choose.
        width: of the features.
        channels: width of the features that points bring along (colours, or an earlier abstraction's); 0 for none.
        radius: of the balls, in the cloud's unit.
        size: points a ball.
        hidden: widths of the MLP's layers before the last.
        skip_near_origin: see `farthest_point_sample`.
    """

    def __init__(
        self,
        count: int,
        width: int,
        channels: int = 0,
        radius: float = 0.2,
        size: int = 64,
        hidden: tuple[int, ...] = (64, 128),
        skip_near_origin: bool = False,
    ):
        super().__init__()
        self.count, self.radius, self.size, self.skip_near_origin = count, radius, size, skip_near_origin
        widths = (3 + channels, *hidden, width)
        self.layers = nn.Sequential(*(SharedLayer(before, after) for before, after in pairwise(widths)))

    def forward(
        self,
        points: Float[Tensor, "batch points 3"],
        features: Float[Tensor, "batch points channels"] | None = None,
        centre_index: Int[Tensor, "batch count"] | None = None,
    ) -> Abstracted:
        """Abstract clouds.

        Args:
            points: coordinates.
            features: of the points, where the module has `channels`.
            centre_index: points chosen by another rule; None takes farthest points from point 0 on.

        Raises:
            ValueError: a cloud has fewer than `count` points.
        """
        if centre_index is None:
            centre_index = farthest_point_sample(points, self.count, skip_near_origin=self.skip_near_origin)
        centres = gather(points, centre_index)
        index = ball_query(centres, points, self.radius, self.size)
        inputs = (gather(points, index) - centres.unsqueeze(2)) / self.radius
        if features is not None:
            inputs = torch.cat([inputs, gather(features, index)], dim=-1)
        x = self.layers(inputs.flatten(1, 2).transpose(1, 2))
        return Abstracted(centres, pool(x, *index.shape[1:]).transpose(1, 2), centre_index)

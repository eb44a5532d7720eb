"""DepthContrast: instance discrimination of single-view depth maps (Zhang et al., ICCV 2021, section 3;
https://github.com/facebookresearch/DepthContrast).

Two augmentations of a frame's cloud go through a network and through its momentum copy; the first must tell the second
from a queue of earlier clouds (InfoNCE). What differs from the authors' code:

- the "within format" loss on points alone. Their second format, voxels in a sparse convolutional network, and the
  losses across formats do not live on this backbone;
- the backbone: their feature is the maximum over PointNet++'s 1024 points at the end, here over the final tokens; the
  hidden width of the head is the feature's, as theirs (512);
- augmentation: their random cuboid and their dropped cuboid are done here, sizes and centre of a cuboid drawn anew
  together. Flips, turns and scales are the recipe's (theirs: turns about x, y or z by any angle, one scale from
  [0.8, 1.2]). What a cuboid leaves is repeated up to the number of points, where theirs draws 5, 10, 15 or 20 thousand
  points and then 20 thousand of those;
- BatchNorm sees the whole batch, over all processes, so that none is shuffled between them;
- optimisation: the recipe's (theirs: SGD, momentum 0.9, 0.12 to 0.00012, batches of 1024).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.batch import FrameBatch
from pointdistill.geometry import drop_cuboid, random_cuboid, resample_kept
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.contrast import MomentumCopy, MomentumQueue, Retrieval, encode, info_nce, view_noise
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.models.projection import ProjectionHead
from pointdistill.seeding import sample_uniform

_TRIES = 16
"""Cuboids tried of a cloud (the authors' code: up to 100, one after the other)."""


@dataclass(frozen=True)
class DepthContrastConfig:
    """Settings of the method; the defaults are its authors'.

    Attributes:
        queue: negatives; 128 of the authors' batches.
        momentum: of the copy that makes keys.
        temperature: of InfoNCE.
        projection: width of the space in which clouds are compared.
        crop: range of each edge of the random cuboid, as a share of the cloud's extent.
        aspect: of two of the three shares, the smaller is at least this part of the larger.
        least: share of the points that a cuboid keeps at least (10,000 of 50,000).
        drop: edge of the cuboid left out, as a share of the extent of what the crop left; 0 leaves out nothing.
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 2

    queue: int = 131_072
    momentum: float = 0.999
    temperature: float = 0.1
    projection: int = 128
    crop: tuple[float, float] = (0.5, 1.0)
    aspect: float = 0.75
    least: float = 0.2
    drop: float = 0.2

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "DepthContrast":
        """The method around a backbone."""
        return DepthContrast(self, backbone)


def project(
    backbone: PointTransformer,
    head: ProjectionHead,
    points: Float[Tensor, "batch points 3"],
    noise: Float[Tensor, "batch branches"] | None = None,
) -> Float[Tensor, "batch projection"]:
    """Cloud -> maximum over the backbone's tokens -> projection head; `noise` is for stochastic depth."""
    return head(encode(backbone, points, noise).max(dim=1).values)


class CloudProjection(nn.Module):
    """Both networks of `project` as one, to be copied."""

    def __init__(self, backbone: PointTransformer, head: ProjectionHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(
        self, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch branches"] | None = None
    ) -> Float[Tensor, "batch projection"]:
        """See `project`."""
        return project(self.backbone, self.head, points, noise)


class DepthContrast(nn.Module):
    """InfoNCE between two augmentations of a cloud, with a momentum copy of the network and a queue of negatives."""

    def __init__(self, config: DepthContrastConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.head = ProjectionHead(backbone.width, backbone.width, config.projection, norm=False)
        self.copy = MomentumCopy(CloudProjection(self.backbone, self.head), config.momentum)
        self.queue = MomentumQueue(config.queue, config.projection)

    def augmented(self, points: Float[Tensor, "batch points 3"], draw: Draw, view: int) -> Tensor:
        """Each cloud cropped to a random cuboid, another one cut out of that; points are repeated to their old number.

        Args:
            points: clouds.
            draw: who asks.
            view: 0 or 1: each has numbers of its own.
        """
        config = self.config
        drawn = sample_uniform(draw.seed, f"cuboids {view}", draw.epoch, draw.index, 4 * _TRIES + 1)
        numbers = torch.from_numpy(drawn).to(points.device, non_blocking=True)
        tries = numbers[:, :-1].unflatten(1, (_TRIES, 4))
        kept = random_cuboid(points, tries, config.crop, config.aspect, config.least)
        return resample_kept(points, drop_cuboid(points, kept, numbers[:, -1], config.drop), points.shape[1])

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """The loss of a batch; in training its keys join the queue."""
        assert batch.second is not None
        views = [self.augmented(points, draw, view) for view, points in enumerate((batch.points, batch.second))]
        noises = [view_noise(draw, self.backbone, view).to(batch.points.device, non_blocking=True) for view in (0, 1)]
        if self.training:
            self.copy.follow(self.backbone, self.head)
        query = project(self.backbone, self.head, views[0], noises[0])
        key = self.copy(views[1], noises[1])
        loss = info_nce(query, key, self.queue.keys, self.config.temperature)
        if self.training:
            self.queue.push(key)
        return Losses(loss, {"contrast": loss})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out accuracy `retrieval` of a cloud's second view by its first (`methods.contrast.Retrieval`), both by
        the network that learns, without cuboids."""
        views = Retrieval()
        for batch in batches:
            assert batch.second is not None
            first, second = (project(self.backbone, self.head, view) for view in (batch.points, batch.second))
            views.add(batch.index, first, second)
        return {"retrieval": views.accuracy()}

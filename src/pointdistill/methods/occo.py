"""OcCo: completion of what a camera does not see (Wang et al., "Unsupervised Point Cloud Pre-Training via Occlusion
Completion", ICCV 2021), after the authors' code (https://github.com/hansen7/OcCo). On a transformer it is the row that
Point-BERT's paper calls Transformer-OcCo, of which no code was published.

A camera at a random place sees a part of the cloud; the encoder reads that part, and a decoder completes it from one
global feature, first coarsely, then finely. Chamfer distances of both, the fine one's weight growing. What differs:

- They render each shape's mesh from ten fixed random places, beforehand; here each cloud is occluded afresh at each
  epoch by a z-buffer of its points (`geometry.visible_points`), from the same law of directions and the same distance,
  two radii.
- The complete cloud is the draw of points that all methods train on (theirs: 16,384 points of the mesh). The frames of
  a depth camera are partial already: what is completed is what another viewpoint would not see of the frame's cloud,
  never the room behind it.
- Where fewer points are seen than the encoder reads, all are repeated in turn (theirs: some at random).
- The encoder is the backbone, without a class token; a linear layer and a maximum over its tokens give the feature.
- The weight's steps are at shares of the training, so that they move with its length.
- The grid's half edge is PCN's 0.05, as in their model; their PyTorch script passes 0.5.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import camera_turns, chamfer_l1, resample_kept, visible_points
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.completion import CompletionConfig, CompletionDecoder
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform


@dataclass(frozen=True)
class OccoConfig:
    """Settings of occlusion completion; the defaults are the authors', their 50 epochs on ten views of ModelNet40.

    Attributes:
        completion: the decoder.
        input_points: points that the encoder reads of what is seen.
        camera_distance: of the camera from the cloud's mean, in radii of the cloud.
        points_per_pixel: of the camera, see `geometry.visible_points`.
        slack: how far behind the nearest point others are seen, see there.
        fine_weights: of the fine cloud's distance in the loss, one after the other.
        fine_from: shares of the training at which each next weight begins (theirs: steps 10,000, 20,000 and 50,000 of
            153,800).
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 1

    completion: CompletionConfig = field(default_factory=CompletionConfig)
    input_points: int = 1024
    camera_distance: float = 2.0
    points_per_pixel: float = 16.0
    slack: float = 2.0
    fine_weights: tuple[float, float, float, float] = (0.01, 0.1, 0.5, 1.0)
    fine_from: tuple[float, float, float] = (0.065, 0.13, 0.325)

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "Occo":
        """The method around a backbone."""
        return Occo(self, backbone)

    def fine_weight(self, progress: float) -> float:
        """The fine cloud's weight after a share of the training."""
        return self.fine_weights[bisect_right(self.fine_from, progress)]


class Occo(nn.Module):
    """Complete the part of a cloud that a camera at a random place sees."""

    def __init__(self, config: OccoConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.decoder = CompletionDecoder(config.completion, backbone.width)

    def occlude(
        self, points: Float[Tensor, "batch points 3"], angles: Float[Tensor, "batch 3"], noise: Tensor
    ) -> Float[Tensor, "batch input 3"]:
        """What is seen of each cloud, resampled.

        Args:
            points: clouds.
            angles: uniform numbers in [0, 1): the camera's turns about x, y and z.
            noise: one uniform number a point: which of the points seen are taken.
        """
        config, turns = self.config, camera_turns(2 * math.pi * angles)
        seen = visible_points(points, turns, config.camera_distance, config.points_per_pixel, config.slack)
        return resample_kept(points, seen, config.input_points, noise)

    def distances(
        self, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch numbers"]
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Chamfer distances ("l1": not squared) of the coarse and of the fine cloud to the whole one.

        Args:
            points: clouds.
            noise: what `occlusion_noise` draws.
        """
        angles, order, branches = noise.split([3, points.shape[1], 2 * self.backbone.config.depth], dim=1)
        tokens, positions, _ = self.backbone.tokenise(self.occlude(points, angles, order))
        encoded = self.backbone.encode(tokens, positions, branches)
        coarse, fine = self.decoder(encoded)
        return chamfer_l1(coarse.float(), points), chamfer_l1(fine.float(), points)

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Coarse distance plus the weighted fine one."""
        noise = occlusion_noise(draw, batch.points, self.backbone)
        coarse, fine = (each.mean() for each in self.distances(batch.points, noise))
        loss = coarse + self.config.fine_weight(draw.progress) * fine
        return Losses(loss, {"chamfer_coarse": coarse, "chamfer_fine": fine})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out `chamfer_coarse` and `chamfer_fine`, from viewpoints that are the same at each call."""
        sums = torch.zeros(3, dtype=torch.float64, device=next(self.parameters()).device)
        for batch in batches:
            noise = occlusion_noise(Draw(0, 0, batch.index.cpu().numpy()), batch.points, self.backbone)
            coarse, fine = self.distances(batch.points, noise)
            sums += torch.stack([coarse.sum(), fine.sum(), coarse.new_tensor(len(batch))]).double()
        coarse, fine, frames = distributed.summed(sums).tolist()
        return {"chamfer_coarse": coarse / frames, "chamfer_fine": fine / frames}


def occlusion_noise(
    draw: Draw, points: Float[Tensor, "batch points 3"], backbone: PointTransformer
) -> Float[Tensor, "batch numbers"]:
    """Uniform numbers: three of the camera, one a point, two a block; where the points are."""
    count = 3 + points.shape[1] + 2 * backbone.config.depth
    return torch.from_numpy(sample_uniform(draw.seed, "occo", draw.epoch, draw.index, count)).to(
        points.device, non_blocking=True
    )

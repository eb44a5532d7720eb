"""PointContrast (Xie et al., ECCV 2020, https://github.com/facebookresearch/PointContrast): two frames of a scan that
saw the same place; points that are the same point of the world must find one another by their features."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import gather, interpolate, three_nearest
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.blocks import initialise
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform


@dataclass(frozen=True)
class PointContrastConfig:
    """Settings of PointContrast; the defaults are its code's (pretrain/pointcontrast/config/defaults.yaml).

    Attributes:
        temperature: what cosines are divided by. 0.07 is the code's default; its launch scripts say 0.4.
        feature: numbers of a point's feature.
        overlap: share that two frames must see of one another to be a pair (`overlap.partners`).
        radius: distance in the world, metres, up to which two points are the same: 1.5 voxels of 2.5 cm.
        matches: matched points of a pair at most: with 128 pairs a batch, the code's 4096 of a step.
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 2

    temperature: float = 0.07
    feature: int = 32
    overlap: float = 0.3
    radius: float = 0.0375
    matches: int = 32

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "PointContrast":
        """The method around a backbone."""
        return PointContrast(self, backbone)


class PointContrast(nn.Module):
    """Features of matched points, contrasted with those of all other matches of the batch (PointInfoNCE, section 3.4).

    Deviations:
        - The backbone has features of patches, theirs of voxels. A point reads the final tokens of its three nearest
          patches (`geometry.interpolation`) through an MLP that is given nothing else, so that all that tells points
          apart is in the tokens; theirs is a U-Net that ends in a linear layer.
        - Clouds are drawn points in the unit sphere with the recipe's augmentations, as for every method; theirs are
          voxels of 2.5 cm, turned about any axis.
        - Which frames are pairs: `overlap.overlaps`. Each frame meets one partner an epoch, drawn afresh, and where it
          has none, another draw of its own points; their epoch is the list of all pairs.
        - A point is matched with the nearest point within the radius, each point once; theirs draws one of those within
          it, and points of the second frame may serve twice, as their own wrong answers.
        - Matches are as many for each pair, and contrasted over the batch of all processes. Theirs are 4096 of the
          pairs on one GPU, four as its README says, so that more of the wrong answers are of the same place.
        - Batch statistics are of both views together; theirs of each alone.
    """

    def __init__(self, config: PointContrastConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.backbone = backbone
        width = backbone.width
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.feature))
        self.head.apply(initialise)

    def features(
        self,
        points: Float[Tensor, "clouds points 3"],
        chosen: Int[Tensor, "clouds matches"],
        noise: Float[Tensor, "clouds branches"] | None = None,
    ) -> Float[Tensor, "clouds matches feature"]:
        """Features of chosen points, of unit length.

        Args:
            points: clouds.
            chosen: which points of each.
            noise: uniform numbers for stochastic depth, two a block.
        """
        tokens, positions, centres = self.backbone.tokenise(points)
        tokens = self.backbone.encode(tokens, positions, noise)
        near = three_nearest(gather(points, chosen), centres)
        return F.normalize(self.head(interpolate(tokens, near.index, near.weights)), dim=-1)

    def pairs(
        self, batch: FrameBatch, noise: Float[Tensor, "clouds branches"] | None = None
    ) -> tuple[Float[Tensor, "batch sides matches feature"], Bool[Tensor, "batch matches"]]:
        """Features of both sides of each match, and which matches are no filling."""
        assert batch.second is not None and batch.matches is not None
        chosen = batch.matches.clamp(min=0).permute(2, 0, 1).flatten(0, 1)
        features = self.features(torch.cat([batch.points, batch.second]), chosen, noise)
        return features.unflatten(0, (2, -1)).transpose(0, 1), batch.matches[..., 0] >= 0

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """PointInfoNCE of all matches of the batch, whichever process holds them: each computes all of it."""
        features, there = self.pairs(batch, self.noise(draw).to(batch.points.device, non_blocking=True))
        features, there = distributed.all_rows(features), distributed.all_rows(there.float()) > 0
        first, second = features.transpose(1, 2).flatten(0, 1).unbind(1)
        loss = point_info_nce(first, second, self.config.temperature, there.flatten())
        return Losses(loss, {"point_info_nce": loss})

    def noise(self, draw: Draw) -> Float[Tensor, "clouds branches"]:
        """Numbers for the stochastic depth of the first views, then of the second."""
        count = 2 * len(self.backbone.blocks)
        drawn = [
            sample_uniform(draw.seed, f"drop path, {view} view", draw.epoch, draw.index, count)
            for view in ("first", "second")
        ]
        return torch.cat([torch.from_numpy(numbers) for numbers in drawn])

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """`match_retrieval`: the share of matched points of the first view whose nearest feature, of the second view's
        matched points of the same pair, is their own match's. By chance it is one over `matches`."""
        sums = torch.zeros(2, dtype=torch.float64)
        for batch in batches:
            features, there = self.pairs(batch)
            sums += right_matches(features, there).cpu()
        right, count = distributed.summed(sums.to(next(self.parameters()).device)).tolist()
        return {"match_retrieval": right / count}


def point_info_nce(
    query: Float[Tensor, "matches feature"],
    key: Float[Tensor, "matches feature"],
    temperature: float,
    there: Bool[Tensor, "matches"],
) -> Float[Tensor, ""]:
    """Cross-entropy over a query's similarities with all keys, of which its own match's is right; one way, as theirs.
    Zero where there is no match.

    Args:
        query, key: features of unit length of both sides of each match.
        temperature: what similarities are divided by.
        there: which matches are no filling; the others ask nothing and are nobody's answer.
    """
    similar = query @ key.T / temperature
    similar = similar.masked_fill(~there, torch.finfo(similar.dtype).min)
    entropy = F.cross_entropy(similar, torch.arange(len(query), device=query.device), reduction="none")
    return entropy.masked_fill(~there, 0).sum() / there.sum().clamp_min(1)


def right_matches(
    features: Float[Tensor, "batch sides matches feature"], there: Bool[Tensor, "batch matches"]
) -> Float[Tensor, "2"]:
    """How many matches are found among those of their pair, and how many there are."""
    similar = (features[:, 0] @ features[:, 1].transpose(1, 2)).masked_fill(~there[:, None], float("-inf"))
    found = similar.argmax(2) == torch.arange(there.shape[1], device=there.device)
    return torch.stack([(found & there).sum(), there.sum()]).double()

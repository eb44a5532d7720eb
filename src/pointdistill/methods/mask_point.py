"""MaskPoint: masked discrimination (Liu, Cai, Lee: "Masked Discrimination for Self-Supervised Learning on Point
Clouds", ECCV 2022), after the authors' code (https://github.com/haotian-liu/MaskPoint, cfgs/pretrain_shapenet.yaml).

The encoder sees one patch in ten. Query points, half of them real and half drawn in the box around these, read its
tokens, and each is said to be occupied or empty. Where this differs from the authors' code:

- No class token, so that the backbone is the one of all other methods (theirs is read by the decoder too).
- A mask a cloud instead of one a batch.
- The loss is the mean over a cloud's decided queries, then over clouds (theirs: over all queries of the batch), so that
  it depends neither on the batch nor on the number of processes.
- Their momentum-contrast branch is switched off in their settings (`use_moco_loss: false`) and is not built here.
- Their decoder's stochastic depth is 0 at its one block; there is none here.
- `MaskPointConfig.start` can be torch's own, and is in the recipes beside a distillation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import farthest_point_sample, gather, knn
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.decoder import split_tokens
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.models.query_decoder import QueryDecoder, QueryDecoderConfig
from pointdistill.seeding import sample_uniform


@dataclass(frozen=True)
class MaskPointConfig:
    """Settings of masked discrimination; the defaults are the authors' on ShapeNet.

    Attributes:
        mask_ratio: share of patches hidden (0.9: 57 of 64).
        decoder: what answers the queries.
        real_queries: occupied query points a cloud, by farthest point sampling.
        fake_queries: query points drawn in the box around the occupied ones.
        real_from: "cloud" takes the occupied ones from all points, as the authors' code does; "hidden" from those of
            hidden patches alone, as the paper words it.
        start: of the linear layers of the decoder and of the backbone's embedding of positions, through which alone a
            query's place is known. "small" is the authors' truncated normal of 0.02: positions then hardly matter at
            first, and it takes long until they do. "torch" is torch's own start for linear layers.
        focal_alpha: weight of a logit that should be positive; the others weigh 1 - alpha.
        focal_gamma: power of the focal loss; 0 is the plain binary cross-entropy.
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 1

    mask_ratio: float = 0.9
    decoder: QueryDecoderConfig = field(default_factory=QueryDecoderConfig)
    real_queries: int = 256
    fake_queries: int = 256
    real_from: Literal["cloud", "hidden"] = "cloud"
    start: Literal["small", "torch"] = "small"
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "MaskPoint":
        """The method around a backbone."""
        return MaskPoint(self, backbone)


def _draw_anew(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        module.reset_parameters()


class Queries(NamedTuple):
    """Where to ask, and the answers."""

    points: Float[Tensor, "batch queries 3"]
    """Real ones first, in the cloud's frame and unit."""
    occupied: Bool[Tensor, "batch queries"]
    """Whether a point of the cloud is there."""
    decided: Bool[Tensor, "batch queries"]
    """Whether the answer counts: a drawn point too near to the cloud is neither occupied nor empty."""


class MaskPoint(nn.Module):
    """Tell occupied from empty points by the few patches that are seen."""

    def __init__(self, config: MaskPointConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.decoder = QueryDecoder(config.decoder, backbone.width, outputs=2)
        if config.start == "torch":
            self.decoder.apply(_draw_anew)
            backbone.position_embed.apply(_draw_anew)

    def answer(
        self, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch numbers"]
    ) -> tuple[Float[Tensor, "batch queries 2"], Queries]:
        """Logits that a query is empty and that it is occupied, and the queries.

        Args:
            points: clouds.
            noise: what `query_noise` draws.

        Raises:
            ValueError: a cloud has fewer points than there are real queries.
        """
        sizes, backbone = self.backbone.config, self.backbone
        masking, branches, places = noise.split([sizes.groups, 2 * sizes.depth, 3 * self.config.fake_queries], dim=1)
        patches, order = backbone.patches(points), masking.argsort(dim=1)
        hidden = int(self.config.mask_ratio * sizes.groups)
        visible, hidden_patches = split_tokens(patches.patches, order, hidden)
        centres, hidden_centres = split_tokens(patches.centres, order, hidden)
        positions = backbone.position_embed(centres)
        tokens = backbone.encode(backbone.patch_embed(visible), positions, branches)
        source = points if self.config.real_from == "cloud" else hidden_patches + hidden_centres.unsqueeze(2)
        real = source.reshape(len(points), -1, 3)
        queries = draw_queries(points, real, self.config.real_queries, places.unflatten(1, (-1, 3)))
        return self.decoder(backbone.position_embed(queries.points), tokens, positions).float(), queries

    def cloud_losses(
        self, logits: Float[Tensor, "batch queries 2"], queries: Queries
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Each cloud's loss and its binary cross-entropy, means over its decided queries and both logits."""
        wanted = torch.stack([~queries.occupied, queries.occupied], dim=-1)
        entropy, weight = focal(logits, wanted, self.config.focal_alpha, self.config.focal_gamma)
        counts = queries.decided.unsqueeze(-1) / (2 * queries.decided.sum(1))[:, None, None]
        return (weight * entropy * counts).sum((1, 2)), (entropy.detach() * counts).sum((1, 2))

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Focal loss of a batch; beside it the plain cross-entropy, for the log."""
        noise = query_noise(draw, self.config, self.backbone).to(batch.points.device, non_blocking=True)
        loss, entropy = (each.mean() for each in self.cloud_losses(*self.answer(batch.points, noise)))
        return Losses(loss, {"focal": loss, "cross_entropy": entropy})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out `focal` loss, and `accuracy`: the mean of the shares of occupied and of empty points that are called
        so (0.5 by chance). The queries are the same at each call."""
        device = next(self.parameters()).device
        sums = torch.zeros(6, dtype=torch.float64, device=device)
        for batch in batches:
            noise = query_noise(Draw(0, 0, batch.index.cpu().numpy()), self.config, self.backbone).to(device)
            logits, queries = self.answer(batch.points, noise)
            loss, right = self.cloud_losses(logits, queries)[0], logits.argmax(-1).bool() == queries.occupied
            kinds = [kind & queries.decided for kind in (queries.occupied, ~queries.occupied)]
            counts = [total for kind in kinds for total in ((kind & right).sum(), kind.sum())]
            sums += torch.stack(
                [loss.sum().double(), sums.new_tensor(len(batch)), *(count.double() for count in counts)]
            )
        loss, frames, *counts = distributed.summed(sums).tolist()
        shares = [counts[first] / max(1.0, counts[first + 1]) for first in (0, 2)]
        return {"focal": loss / frames, "accuracy": sum(shares) / 2}


def query_noise(draw: Draw, config: MaskPointConfig, backbone: PointTransformer) -> Float[Tensor, "batch numbers"]:
    """Uniform numbers: one a patch, the smallest of which are hidden, two a block, three a drawn point."""
    count = backbone.config.groups + 2 * backbone.config.depth + 3 * config.fake_queries
    return torch.from_numpy(sample_uniform(draw.seed, "mask_point", draw.epoch, draw.index, count))


def draw_queries(
    points: Float[Tensor, "batch points 3"],
    real: Float[Tensor, "batch candidates 3"],
    count: int,
    places: Float[Tensor, "batch fake 3"],
) -> Queries:
    """Occupied points of the cloud, and points in the box around these.

    A drawn point is left undecided where its nearest point of the cloud is closer than the mean distance of the
    occupied queries to the nearest other one.

    Args:
        points: the clouds.
        real: the points that occupied queries are taken from, by farthest point sampling.
        count: occupied queries a cloud.
        places: uniform numbers in [0, 1): where in the box.

    Raises:
        ValueError: fewer candidates than queries.
    """
    occupied = gather(real, farthest_point_sample(real, count))
    lowest, highest = occupied.amin(1, keepdim=True), occupied.amax(1, keepdim=True)
    drawn = lowest + places * (highest - lowest)
    margin = _distance(occupied, occupied, 2).mean(1, keepdim=True)
    clear = _distance(drawn, points, 1) >= margin
    is_real = torch.cat([torch.ones_like(occupied[..., 0]), torch.zeros_like(drawn[..., 0])], dim=1).bool()
    decided = torch.cat([torch.ones_like(occupied[..., 0]).bool(), clear], dim=1)
    return Queries(torch.cat([occupied, drawn], dim=1), is_real, decided)


def _distance(queries: Tensor, points: Tensor, k: int) -> Float[Tensor, "batch queries"]:
    """To the k-th nearest point, counted from 1 (a point that is its own query is the first)."""
    nearest = gather(points, knn(queries, points, k)[..., -1])
    return torch.linalg.vector_norm(queries - nearest, dim=-1)


def focal(
    logits: Float[Tensor, "*shape"], wanted: Bool[Tensor, "*shape"], alpha: float, gamma: float
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Binary cross-entropy of each logit, and its weight in the focal loss (Lin et al., ICCV 2017): alpha, or
    1 - alpha, times the probability of the wrong answer to the power of gamma."""
    against = torch.where(wanted, -logits, logits)
    weight = torch.where(wanted, alpha, 1 - alpha) * against.sigmoid() ** gamma
    return F.softplus(against), weight

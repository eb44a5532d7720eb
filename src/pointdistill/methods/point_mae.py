"""Masked auto-encoding of point patches: Point-MAE (Pang et al., ECCV 2022), the paper's baseline."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import chamfer_l2
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw
from pointdistill.models.decoder import DecoderConfig, PointDecoder, split_tokens
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform


@dataclass(frozen=True)
class PointMAEConfig:
    """Settings of Point-MAE.

    Attributes:
        mask_ratio: share of patches hidden (0.6: 38 of 64).
        decoder: the decoder.
    """

    mask_ratio: float = 0.6
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


class PointMAE(nn.Module):
    """Encode the visible patches, reconstruct the hidden ones; l2 Chamfer distance per patch."""

    def __init__(self, config: PointMAEConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.decoder = PointDecoder(config.decoder, backbone.width, backbone.config.group_size)

    def reconstruction(self, points: Tensor, noise: Tensor) -> Tensor:
        """Mean Chamfer distance of the hidden patches.

        Args:
            points: clouds (batch, points, 3).
            noise: (batch, groups + branches) uniform numbers: the first `groups` choose what is hidden.
        """
        config = self.backbone.config
        patches = self.backbone.patches(points)
        hidden = int(self.config.mask_ratio * config.groups)
        order = noise[:, : config.groups].argsort(dim=1)
        branches = noise[:, config.groups :]
        visible_patches, hidden_patches = split_tokens(patches.patches, order, hidden)
        visible_centres, hidden_centres = split_tokens(patches.centres, order, hidden)
        encoder = 2 * config.depth
        tokens = self.backbone.trace(
            self.backbone.patch_embed(visible_patches),
            self.backbone.position_embed(visible_centres),
            branches[:, :encoder],
        ).outputs[-1]
        rebuilt = self.decoder(self.backbone.norm(tokens), visible_centres, hidden_centres, branches[:, encoder:])
        return chamfer_l2(rebuilt.flatten(0, 1), hidden_patches.flatten(0, 1)).mean()

    def _noise(self, draw: Draw) -> Tensor:
        config = self.backbone.config
        count = config.groups + 2 * (config.depth + len(self.decoder.blocks))
        return torch.from_numpy(sample_uniform(draw.seed, "point_mae", draw.epoch, draw.index, count))

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Reconstruction loss of a batch."""
        loss = self.reconstruction(batch.points, self._noise(draw).to(batch.points.device))
        return Losses(loss, {"chamfer": loss})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out Chamfer distance, with masks that are the same at each call."""
        sums = torch.zeros(2, dtype=torch.float64)
        for batch in batches:
            noise = self._noise(Draw(0, 0, batch.index.cpu().numpy())).to(batch.points.device)
            distance = self.reconstruction(batch.points, noise).item()
            sums += torch.tensor([distance * len(batch), len(batch)], dtype=torch.float64)
        total, count = distributed.summed(sums.to(next(self.parameters()).device)).tolist()
        return {"chamfer": total / count}

"""Distillation with masked reconstruction beside it, on one encoder: the paper's ablation (section 4.3.2, Table 6)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pointdistill.batch import FrameBatch
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.point_mae import (
    MeanChamfer,
    PointMAEConfig,
    chamfer_parts,
    held_out_noise,
    masked_chamfer,
    masking_noise,
)
from pointdistill.models.decoder import DecoderConfig, PointDecoder
from pointdistill.models.point_transformer import PointTransformer

MASKED_FEATURES = PointMAEConfig(mask_ratio=0.6, decoder=DecoderConfig(depth=3), mask_at="output")
"""Section 4.3.2's reconstruction: 60 % of what is encoded masked, a decoder of three blocks."""


@dataclass(frozen=True)
class DistillReconstructionConfig:
    """Settings of both at once; the defaults are the paper's where it says anything.

    Attributes:
        distill: the distillation.
        reconstruction: mask and decoder.
        distill_weight: factor on eq. 12.
        reconstruction_weight: factor on the raw Chamfer distance ("adding these two losses together": both 1).
    """

    learns_from_teacher: ClassVar[bool] = True
    views: ClassVar[int] = 1

    distill: DistillConfig = field(default_factory=DistillConfig)
    reconstruction: PointMAEConfig = MASKED_FEATURES
    distill_weight: float = 1.0
    reconstruction_weight: float = 1.0

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None) -> "DistillReconstruction":
        """The method around a backbone."""
        assert targets is not None
        return DistillReconstruction(self, backbone, *targets)


class DistillReconstruction(Distill):
    """A distillation whose encoder is also asked to reconstruct hidden patches.

    The concepts read an encoder that sees all patches. Masked at the output, that same pass is what the decoder
    completes; masked at the input, the decoder completes a second pass over the visible patches alone.

    Gradients: both losses reach the tokeniser, the position embedding and the blocks that the concepts read; the
    distillation alone the concepts and the projector; the reconstruction alone the decoder, the encoder's last
    LayerNorm and, where the concepts read blocks' inputs, its last block, so that, unlike under `Distill`, all of the
    backbone learns. What only a loss of weight 0 would reach is frozen and not in the optimiser. That loss is still
    computed, for the log (at a mask at the input its pass counts in the tokeniser's running statistics, too).

    Args:
        config: settings.
        backbone: the student.
        target_mean: mean of the training targets, (prefix, prefix width).
        target_std: their standard deviation, same shape.

    Raises:
        ValueError: a negative weight, or two of 0.
    """

    def __init__(
        self,
        config: DistillReconstructionConfig,
        backbone: PointTransformer,
        target_mean: Float[Tensor, "prefix prefix_width"],
        target_std: Float[Tensor, "prefix prefix_width"],
    ):
        super().__init__(config.distill, backbone, target_mean, target_std)
        weights = config.distill_weight, config.reconstruction_weight
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError(f"weights of distillation and reconstruction {weights}: none below 0, one above")
        self.weights = weights
        self.masking = config.reconstruction
        if config.distill_weight == 0:
            self.requires_grad_(False)
        self.decoder = PointDecoder(config.reconstruction.decoder, backbone.width, backbone.config.group_size)
        if config.reconstruction_weight == 0:
            self.decoder.requires_grad_(False)
        else:
            backbone.requires_grad_(True)

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """The weighted sum of both losses on a batch."""
        backbone, device = self.backbone, batch.points.device
        masking = masking_noise(draw, backbone, self.decoder)
        # The blocks that a distillation runs draw as they do there; what the reconstruction adds, as it does.
        own = self.noise(draw)
        of_encoder = masking[:, backbone.config.groups :][:, own.shape[1] : 2 * backbone.config.depth]
        noise = torch.cat([own, of_encoder], dim=1).to(device, non_blocking=True)
        patches = backbone.patches(batch.points)
        tokens, positions = backbone.patch_embed(patches.patches), backbone.position_embed(patches.centres)
        trace = backbone.trace(tokens, positions, noise)
        distill = self.loss(self.read(trace), batch)
        encoded = backbone.norm(trace.outputs[-1])
        chamfer = masked_chamfer(
            self.masking, backbone, self.decoder, patches, masking.to(device, non_blocking=True), encoded
        )
        total = self.weights[0] * distill + self.weights[1] * chamfer
        return Losses(total, {"distill": distill, **chamfer_parts(chamfer)})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out figures: those of the distillation, and the Chamfer distance with masks that stay the same."""
        mean = MeanChamfer()

        def measured() -> Iterator[FrameBatch]:
            for batch in batches:
                noise = held_out_noise(batch, self.backbone, self.decoder)
                patches = self.backbone.patches(batch.points)
                distance = masked_chamfer(self.masking, self.backbone, self.decoder, patches, noise)
                mean.add(distance, len(batch))
                yield batch

        figures = super().validate(measured())
        return figures | mean.figures(self.target_mean.device)

"""Masked auto-encoding of point patches: Point-MAE (Pang et al., ECCV 2022), the paper's baseline, and the
reconstruction of the paper's own ablation (section 4.3.2), which masks what is encoded."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import Patches, chamfer_l2
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.decoder import DecoderConfig, PointDecoder, split_tokens
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform


@dataclass(frozen=True)
class PointMAEConfig:
    """Settings of masked auto-encoding; the defaults are Point-MAE's.

    Attributes:
        mask_ratio: share of patches hidden (0.6: 38 of 64).
        decoder: the decoder.
        mask_at: "input" is Point-MAE's form: the encoder never sees the hidden patches. "output" is section 4.3.2 of
            the paper to the letter ("we mask 60% of the encoded point cloud features"): the encoder sees all patches,
            and its outputs for the hidden ones are replaced by the mask token.
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 1

    mask_ratio: float = 0.6
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    mask_at: Literal["input", "output"] = "input"

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "PointMAE":
        """The method around a backbone."""
        return PointMAE(self, backbone)


class PointMAE(nn.Module):
    """Hide patches before or after the encoder, reconstruct the hidden ones; l2 Chamfer distance per patch."""

    def __init__(self, config: PointMAEConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.decoder = PointDecoder(config.decoder, backbone.width, backbone.config.group_size)

    def reconstruction(self, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch numbers"]) -> Tensor:
        """Mean Chamfer distance of the hidden patches.

        Args:
            points: clouds.
            noise: what `masking_noise` draws.
        """
        return masked_chamfer(self.config, self.backbone, self.decoder, self.backbone.patches(points), noise)

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Reconstruction loss of a batch."""
        noise = masking_noise(draw, self.backbone, self.decoder).to(batch.points.device, non_blocking=True)
        loss = self.reconstruction(batch.points, noise)
        return Losses(loss, chamfer_parts(loss))

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out Chamfer distance, with masks that are the same at each call."""
        mean = MeanChamfer()
        for batch in batches:
            noise = held_out_noise(batch, self.backbone, self.decoder)
            mean.add(self.reconstruction(batch.points, noise), len(batch))
        return mean.figures(next(self.parameters()).device)


class FrozenEncoderMAE(PointMAE):
    """The same with an encoder that is as it is: the decoder alone learns, the encoder stays in evaluation mode."""

    def __init__(self, config: PointMAEConfig, backbone: PointTransformer):
        super().__init__(config, backbone)
        backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> "FrozenEncoderMAE":
        """As every module's, but for the encoder: its statistics and its depth stay."""
        super().train(mode)
        self.backbone.eval()
        return self


def masked_chamfer(
    config: PointMAEConfig,
    backbone: PointTransformer,
    decoder: PointDecoder,
    patches: Patches,
    noise: Float[Tensor, "batch numbers"],
    encoded: Float[Tensor, "batch groups width"] | None = None,
) -> Float[Tensor, ""]:
    """Mean Chamfer distance of the hidden patches, in squared units of the cloud.

    Args:
        config: share and place of the mask.
        backbone: the encoder.
        decoder: what reconstructs.
        patches: the clouds, cut.
        noise: what `masking_noise` draws.
        encoded: the encoder's outputs for all patches, where the caller has them (of use for `mask_at` "output").
    """
    sizes = backbone.config
    order, branches = noise[:, : sizes.groups].argsort(dim=1), noise[:, sizes.groups :]
    of_encoder, of_decoder = branches[:, : 2 * sizes.depth], branches[:, 2 * sizes.depth :]
    hidden = int(config.mask_ratio * sizes.groups)
    visible_patches, hidden_patches = split_tokens(patches.patches, order, hidden)
    visible_centres, hidden_centres = split_tokens(patches.centres, order, hidden)
    if config.mask_at == "input":
        visible = _encode(backbone, visible_patches, visible_centres, of_encoder)
    else:
        whole = _encode(backbone, patches.patches, patches.centres, of_encoder) if encoded is None else encoded
        visible, _ = split_tokens(whole, order, hidden)
    rebuilt = decoder(visible, visible_centres, hidden_centres, of_decoder)
    return chamfer_l2(rebuilt.flatten(0, 1), hidden_patches.flatten(0, 1)).mean()


def _encode(backbone: PointTransformer, patches: Tensor, centres: Tensor, noise: Tensor) -> Tensor:
    return backbone.encode(backbone.patch_embed(patches), backbone.position_embed(centres), noise)


def masking_noise(draw: Draw, backbone: PointTransformer, decoder: PointDecoder) -> Float[Tensor, "batch numbers"]:
    """Uniform numbers: one a patch, the smallest of which are hidden, then two a block of encoder and decoder."""
    count = backbone.config.groups + 2 * (backbone.config.depth + len(decoder.blocks))
    return torch.from_numpy(sample_uniform(draw.seed, "point_mae", draw.epoch, draw.index, count))


def held_out_noise(
    batch: FrameBatch, backbone: PointTransformer, decoder: PointDecoder
) -> Float[Tensor, "batch numbers"]:
    """The numbers to validate by: a frame's are always the same."""
    return masking_noise(Draw(0, 0, batch.index.cpu().numpy()), backbone, decoder).to(
        batch.points.device, non_blocking=True
    )


def chamfer_parts(loss: Float[Tensor, ""]) -> dict[str, Float[Tensor, ""]]:
    """The loss for the log, raw and times a thousand (as Point-MAE and Point-BERT print it)."""
    return {"chamfer": loss, "chamfer_x1000": 1000 * loss}


class MeanChamfer:
    """The mean over all frames, and over all processes that take a share of them."""

    def __init__(self):
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, distance: Float[Tensor, ""], frames: int) -> None:
        """The mean of a batch of so many frames."""
        self.sums += torch.tensor([distance.item() * frames, frames], dtype=torch.float64)

    def figures(self, device: torch.device) -> dict[str, float]:
        """`chamfer`, as a method's `validate` returns it."""
        total, count = distributed.summed(self.sums.to(device)).tolist()
        return {"chamfer": total / count}

"""Distillation of semantic prefixes through concept alignment: the paper's method (sections 3.2-3.4, eqs. 5-12)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.blocks import initialise
from pointdistill.models.concepts import ConceptConfig, ConceptExtractor
from pointdistill.models.point_transformer import PointTransformer, Trace
from pointdistill.models.projector import ProjectorConfig, create_projector
from pointdistill.models.readout import readout, readout_shape
from pointdistill.seeding import sample_uniform


@dataclass(frozen=True)
class DistillConfig:
    """Settings of the method; the defaults are the paper's.

    Attributes:
        concepts: concept extraction.
        projector: the MLP from concepts to prefix.
        standardise: "none" is eq. 12 as written; "scalar" subtracts the targets' mean and divides by one number (the
            root mean variance), so that the first steps do not go into learning a constant; "dimension" divides each
            dimension by its own deviation instead, so that all of them weigh the same (those of almost no variance are
            divided by a hundredth of the root mean variance). The statistics are kept in the checkpoint and
            predictions are always in the teacher's own units.
        reads: what the projector reads: the concepts; or without concept extraction (Table 5) the encoder's final
            "tokens", flattened in the order of farthest point sampling, or their mean and maximum, "pooled".
    """

    learns_from_teacher: ClassVar[bool] = True
    views: ClassVar[int] = 1

    concepts: ConceptConfig = field(default_factory=ConceptConfig)
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    standardise: Literal["none", "scalar", "dimension"] = "none"
    reads: Literal["concepts", "tokens", "pooled"] = "concepts"

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None) -> "Distill":
        """The method around a backbone."""
        assert targets is not None
        return Distill(self, backbone, *targets)


class Distill(nn.Module):
    """Point cloud -> concept tokens (or the encoder's own) -> predicted semantic prefix, pulled to the frozen teacher's
    by MSE.

    Args:
        config: settings.
        backbone: the student.
        target_mean: mean of the training targets, (prefix, prefix width).
        target_std: their standard deviation, same shape.
    """

    target_mean: Tensor
    target_scale: Tensor

    def __init__(
        self,
        config: DistillConfig,
        backbone: PointTransformer,
        target_mean: Float[Tensor, "prefix prefix_width"],
        target_std: Float[Tensor, "prefix prefix_width"],
    ):
        super().__init__()
        self.config = config
        self.backbone = backbone
        depth = backbone.config.depth
        prefix = (target_mean.shape[0], target_mean.shape[1])
        if config.reads == "concepts":
            self.concepts = ConceptExtractor(config.concepts, backbone.width, depth)
            read, self.blocks_run = (config.concepts.count, backbone.width), self.concepts.blocks_needed(depth)
            # Nothing downstream of the concepts reaches these: training must not touch or decay them.
            for module in (backbone.norm, *backbone.blocks[self.blocks_run :]):
                module.requires_grad_(False)
        else:
            self.concepts, self.blocks_run = None, depth
            read = readout_shape(config.reads, backbone.config.groups, backbone.width)
        self.projector = create_projector(config.projector, read, prefix)
        self.projector.apply(initialise)
        overall = target_std.square().mean().sqrt()
        scales = {
            "none": torch.ones(()),
            "scalar": overall,
            "dimension": torch.maximum(target_std, 0.01 * overall),
        }
        raw = config.standardise == "none"
        self.register_buffer("target_mean", torch.zeros_like(target_mean) if raw else target_mean)
        self.register_buffer("target_scale", scales[config.standardise].clone())

    def standardised(
        self, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch branches"] | None = None
    ) -> Float[Tensor, "batch prefix prefix_width"]:
        """The predicted prefix in the units of the loss."""
        tokens, positions, _ = self.backbone.tokenise(points)
        return self.read(self.backbone.trace(tokens, positions, noise, depth=self.blocks_run))

    def read(self, trace: Trace) -> Float[Tensor, "batch prefix prefix_width"]:
        """The predicted prefix, in the units of the loss, from what the encoder did."""
        if self.concepts is not None:
            return self.projector(self.concepts(trace))
        assert self.config.reads != "concepts"
        return self.projector(readout(self.config.reads, self.backbone.norm(trace.outputs[-1])))

    def predict(self, points: Float[Tensor, "batch points 3"]) -> Float[Tensor, "batch prefix prefix_width"]:
        """The predicted semantic prefix C' in the teacher's units."""
        return self.standardised(points) * self.target_scale + self.target_mean

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Eq. 12 on a batch."""
        loss = self.loss(
            self.standardised(batch.points, self.noise(draw).to(batch.points.device, non_blocking=True)), batch
        )
        return Losses(loss, {"distill": loss})

    def noise(self, draw: Draw) -> Float[Tensor, "batch branches"]:
        """Numbers for the stochastic depth of the blocks that are run."""
        return torch.from_numpy(sample_uniform(draw.seed, "drop path", draw.epoch, draw.index, 2 * self.blocks_run))

    def loss(self, prefix: Float[Tensor, "batch prefix prefix_width"], batch: FrameBatch) -> Float[Tensor, ""]:
        """Eq. 12 between predictions in the units of the loss and a batch's targets."""
        return F.mse_loss(prefix, (batch.targets - self.target_mean) / self.target_scale)

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out figures: `r2` of the prefix (1 - squared error / variance over all dimensions), and `spread`, the
        variance of the predictions over the variance of the targets (near 0: collapsed to the mean).

        Sums alone are kept, in double precision and of numbers less the training targets' mean: they add up over
        batches, and over processes that validate a share each."""
        mean = self.target_mean.double()
        sums, squares = mean.new_zeros(2, mean.numel()), mean.new_zeros(4)
        for batch in batches:
            pair = torch.stack([self.predict(batch.points), batch.targets]).double() - mean
            predicted, target = pair = pair.flatten(2)
            sums += pair.sum(1)
            errors = [predicted.square().sum(), target.square().sum(), (predicted - target).square().sum()]
            squares += torch.stack([*errors, mean.new_tensor(len(batch))])
        totals = distributed.summed(torch.cat([sums.flatten(), squares]))
        sums, (of_predicted, of_target, error, count) = totals[:-4].unflatten(0, (2, -1)), totals[-4:]
        means = sums.square().sum(1) / count
        variance = of_target - means[1]
        return {"r2": (1 - error / variance).item(), "spread": ((of_predicted - means[0]) / variance).item()}

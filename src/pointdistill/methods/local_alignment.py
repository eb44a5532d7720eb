"""Direct local alignment (the paper's Table 5): each patch token is pulled to the teacher's token of the image cell
that the patch's centre falls into. No concepts, no captions, no occlusion test within one frame."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.errors import RecipeError
from pointdistill.geometry import gather, project, transform
from pointdistill.geometry.image_crop import centre_crop
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.blocks import initialise
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform
from pointdistill.store import FrameStore


@dataclass(frozen=True)
class LocalAlignmentConfig:
    """Settings of direct local alignment.

    Attributes:
        hidden: width of the two-layer MLP from a token to a cell's token; the paper does not name its form.
        image_side: the teacher's image: its shorter side is resized to so many pixels and the middle square of that
            size is cut out (CLIP: 224, the embedded teacher: 64).
        standardise: as `DistillConfig.standardise`, over the cells of all frames: "none" is plain MSE.
    """

    learns_from_teacher: ClassVar[bool] = True
    views: ClassVar[int] = 1

    hidden: int = 1024
    image_side: int = 224
    standardise: Literal["none", "scalar"] = "none"

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None) -> "LocalAlignment":
        """The method around a backbone."""
        assert targets is not None
        return LocalAlignment(self, backbone, *targets)


class CellsOf:
    """In which cell of the teacher's square map points of a frame lie (`loader.CellFinder`).

    Raises:
        RecipeError: the targets are not a square map of tokens.
    """

    def __init__(self, store: FrameStore, image_side: int):
        self.grid = round(store.target_shape[0] ** 0.5)
        if self.grid**2 != store.target_shape[0] or self.grid < 2:
            raise RecipeError(
                f"{store.path}: its targets are {store.target_shape[0]} tokens a frame, no square map. Prepare it with "
                "--teacher clip-patches:CLIP, imagenet-map or small-patches"
            )
        self.store, self.image_side = store, image_side

    def __call__(self, index: int, points: Float32[np.ndarray, "points 3"]) -> Int64[np.ndarray, "points"]:
        """-1 outside the crop and behind the colour camera.

        Args:
            index: the frame's number in the store.
            points: in the depth camera's frame, metres.
        """
        store = self.store
        to_colour = np.linalg.inv(store.colour_to_depth[index].astype(np.float64))
        pixels = project(transform(points.astype(np.float64), to_colour), store.colour_intrinsics[index])
        width, height = store.colour_size[index].tolist()
        seen = np.isfinite(pixels[:, :1])  # `project` gives NaN for both coordinates behind the camera
        cells = centre_crop((width, height), self.image_side, self.image_side).cells(
            np.where(seen, pixels, -1e6), self.grid
        )
        return np.where(seen[:, 0], cells, -1)


class LocalAlignment(nn.Module):
    """Patch tokens -> two-layer MLP -> the teacher's token at the patch's place, by MSE.

    Args:
        config: settings.
        backbone: the student; all of it learns, the final LayerNorm too.
        target_mean, target_std: of the training targets, (cells, width).
    """

    target_mean: Tensor
    target_scale: Tensor

    def __init__(
        self,
        config: LocalAlignmentConfig,
        backbone: PointTransformer,
        target_mean: Float[Tensor, "cells width"],
        target_std: Float[Tensor, "cells width"],
    ):
        super().__init__()
        self.config, self.backbone = config, backbone
        width = target_mean.shape[1]
        self.head = nn.Sequential(nn.Linear(backbone.width, config.hidden), nn.GELU(), nn.Linear(config.hidden, width))
        self.head.apply(initialise)
        mean = target_mean.mean(0)
        spread = (target_std.square() + (target_mean - mean).square()).mean().sqrt()
        raw = config.standardise == "none"
        self.register_buffer("target_mean", torch.zeros_like(mean) if raw else mean)
        self.register_buffer("target_scale", torch.ones(()) if raw else spread)

    def aligned(
        self, batch: FrameBatch, noise: Float[Tensor, "batch branches"] | None = None
    ) -> tuple[Float[Tensor, "batch groups width"], Float[Tensor, "batch groups width"], Bool[Tensor, "batch groups"]]:
        """Each patch's predicted token and the teacher's, in the loss's units, and whether its centre lies in the
        image: where it does not, the teacher's is that of another cell.

        Raises:
            RecipeError: the batch's loader was not asked for cells.
        """
        if batch.cells is None:
            raise RecipeError("local alignment needs to know where points lie in the image: give the loader `cells`")
        patches = self.backbone.patches(batch.points)
        tokens = self.backbone.patch_embed(patches.patches)
        trace = self.backbone.trace(tokens, self.backbone.position_embed(patches.centres), noise)
        cells = batch.cells.gather(1, patches.centre_index)
        predicted = self.head(self.backbone.norm(trace.outputs[-1]))
        target = gather(batch.targets, cells.clamp_min(0))
        return predicted, (target - self.target_mean) / self.target_scale, cells >= 0

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Mean squared error over the whole batch's patches inside the image; zero where there is none."""
        count = 2 * self.backbone.config.depth
        noise = torch.from_numpy(sample_uniform(draw.seed, "drop path", draw.epoch, draw.index, count))
        predicted, target, inside = self.aligned(batch, noise.to(batch.points.device, non_blocking=True))
        error = (predicted - target).square().mean(-1).masked_fill(~inside, 0)
        loss = error.sum() / distributed.even_share(inside.sum(), len(batch))
        return Losses(loss, {"alignment": loss})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """`r2` of the cells' tokens over all patches inside the image, and their share of all (`inside`)."""
        width = self.target_mean.shape[0]
        sums = torch.zeros(width + 4, dtype=torch.float64, device=self.target_mean.device)
        for batch in batches:
            predicted, target, inside = self.aligned(batch)
            predicted, target = predicted[inside].double(), target[inside].double()
            sums[:width] += target.sum(0)
            patches = len(batch) * self.backbone.config.groups
            error = (predicted - target).square().sum()
            sums[width:] += torch.stack([target.square().sum(), error, *sums.new_tensor([len(target), patches])])
        total = distributed.summed(sums)
        square, error, count, patches = total[width:]
        variance = square - total[:width].square().sum() / count
        return {"r2": (1 - error / variance).item(), "inside": (count / patches).item()}

"""CrossPoint: 2D-3D instance contrast (Afham et al., CVPR 2022, section 3; https://github.com/MohamedAfham/CrossPoint).

Two views of a cloud are to be alike (intra-modal), and their mean is to be like the image of the same thing
(cross-modal); all other samples of the batch are negatives. What differs from the authors' code:

- the image branch. Theirs is a ResNet-50 on augmented renderings, trained along. Here the store holds a frozen
  teacher's target of each frame: it is flattened, standardised and goes through their head for images, which alone
  is trained. So the method sees of the images what distillation sees, and no augmentation of them;
- the backbone: their head for clouds reads maximum and mean over DGCNN's points, here over the final tokens;
- augmentation: the recipe's, for each view anew. Theirs also jitters points and leaves some out (here each view is
  another draw of the frame's points), scales all axes alike from [1/2, 2] and shifts by up to half the extent;
- optimisation: the recipe's (theirs: Adam, 1e-3, weight decay 1e-6, batches of 16 or 20).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.batch import FrameBatch
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.contrast import Retrieval, encode, nt_xent, view_noise
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.models.projection import ProjectionHead
from pointdistill.models.readout import readout


@dataclass(frozen=True)
class CrossPointConfig:
    """Settings of the method; the defaults are its authors'.

    Attributes:
        temperature: of both losses.
        projection: width of the space that clouds and images share.
        image_hidden: hidden width of the images' head. The clouds' is the backbone's width: half of what it reads, as
            in the authors' code.
    """

    learns_from_teacher: ClassVar[bool] = True
    views: ClassVar[int] = 2

    temperature: float = 0.1
    projection: int = 256
    image_hidden: int = 512

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None) -> "CrossPoint":
        """The method around a backbone."""
        assert targets is not None
        return CrossPoint(self, backbone, targets)


class CrossPoint(nn.Module):
    """NT-Xent between two views of each cloud, and between their mean and what a frozen teacher says of the image.

    Args:
        config: settings.
        backbone: the student.
        targets: statistics of the training targets; those of almost no variance are divided by a hundredth of the root
            mean variance, as in `methods.distill`.
    """

    target_mean: Tensor
    target_scale: Tensor

    def __init__(self, config: CrossPointConfig, backbone: PointTransformer, targets: TargetStatistics):
        super().__init__()
        self.config = config
        self.backbone = backbone
        width = backbone.width
        self.cloud_head = ProjectionHead(2 * width, width, config.projection)
        self.image_head = ProjectionHead(targets.mean.numel(), config.image_hidden, config.projection, bias=False)
        overall = targets.std.square().mean().sqrt()
        self.register_buffer("target_mean", targets.mean)
        self.register_buffer("target_scale", torch.maximum(targets.std, 0.01 * overall))

    def clouds(
        self,
        first: Float[Tensor, "batch points 3"],
        second: Float[Tensor, "batch points 3"],
        noise: Float[Tensor, "both branches"] | None = None,
    ) -> tuple[Float[Tensor, "batch projection"], Float[Tensor, "batch projection"]]:
        """The projected features of both views, which are one batch to the networks.

        Args:
            first, second: the views.
            noise: for stochastic depth, the first views' rows in front.
        """
        tokens = encode(self.backbone, torch.cat([first, second]), noise)
        features = self.cloud_head(readout("pooled", tokens).flatten(1))
        return features[: len(first)], features[len(first) :]

    def images(self, targets: Float[Tensor, "batch prefix prefix_width"]) -> Float[Tensor, "batch projection"]:
        """The projected targets of the frozen teacher."""
        return self.image_head(((targets - self.target_mean) / self.target_scale).flatten(1))

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Both contrasts of a batch, with equal weights."""
        assert batch.second is not None
        noise = torch.cat([view_noise(draw, self.backbone, view) for view in (0, 1)])
        first, second = self.clouds(batch.points, batch.second, noise.to(batch.points.device, non_blocking=True))
        intra = nt_xent(first, second, self.config.temperature)
        cross = nt_xent((first + second) / 2, self.images(batch.targets), self.config.temperature)
        return Losses(intra + cross, {"intra": intra, "cross": cross})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out accuracies (`methods.contrast.Retrieval`): `retrieval` of a cloud's second view by its first, and
        `image_retrieval` of the teacher's target of a cloud's image by both views."""
        views, images = Retrieval(), Retrieval()
        for batch in batches:
            assert batch.second is not None
            first, second = self.clouds(batch.points, batch.second)
            views.add(batch.index, first, second)
            images.add(batch.index, (first + second) / 2, self.images(batch.targets))
        return {"retrieval": views.accuracy(), "image_retrieval": images.accuracy()}

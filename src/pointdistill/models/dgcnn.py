"""DGCNN (Wang et al., ACM TOG 2019): edge convolutions on graphs that are drawn anew in feature space.

The network of the authors' indoor segmentation (section 5.4, S3DIS), without its spatial transformer, as they do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill.geometry import gather, knn, knn_features
from pointdistill.models.backbone import Backbone, Config
from pointdistill.models.batch_norm import BatchNorm
from pointdistill.models.channels_first import SharedLayer, affine

_SLOPE = 0.2


@dataclass(frozen=True)
class DGCNNConfig(Config):
    """The network's sizes; the defaults are the authors'.

    Attributes:
        neighbours: edges a point, k; one of them leads to itself.
        width: channels of each edge convolution.
        embedding: channels of the feature of the whole cloud.
        channels: features that points bring besides their coordinates: 0, or 3 for colours.
    """

    neighbours: int = 20
    width: int = 64
    embedding: int = 1024
    channels: int = 0

    def build(self) -> "DGCNN":
        return DGCNN(self)


@dataclass(frozen=True)
class PointFeatures:
    """What the network says of a batch of clouds.

    Attributes:
        local: outputs of the edge convolutions side by side, first to last.
        whole: of each cloud, the maximum over its points.
    """

    local: Float[Tensor, "batch points local"]
    whole: Float[Tensor, "batch embedding"]


class EdgeConvolution(nn.Module):
    """max over the edges (i, j) of an MLP on concat(x_j - x_i, x_i).

    The first layer is linear in both and is applied to the points, not to the many edges: with weights A and B of the
    two halves, A (x_j - x_i) + B x_i = A x_j + (B - A) x_i.

    Args:
        channels: of the points.
        width: of every layer.
        layers: of the MLP, each followed by BatchNorm and LeakyReLU.
        norm: makes the first layer's normalisation over (batch, channels, edges), where it is another.
    """

    def __init__(self, channels: int, width: int, layers: int = 1, norm: Callable[[int], nn.Module] = BatchNorm):
        super().__init__()
        self.first = nn.Linear(2 * channels, width, bias=False)
        self.norm = norm(width)
        self.rest = nn.Sequential(*(SharedLayer(width, width, _SLOPE) for _ in range(layers - 1)))
        nn.init.kaiming_normal_(self.first.weight, _SLOPE)

    def forward(
        self, x: Float[Tensor, "batch points channels"], index: Int[Tensor, "batch points edges"]
    ) -> Float[Tensor, "batch points width"]:
        """Args: index: the points at the other end of each point's edges."""
        difference, own = self.first.weight.split(x.shape[-1], dim=1)
        edges = gather(x @ difference.t(), index) + (x @ (own - difference).t()).unsqueeze(2)
        columns = F.leaky_relu(self.norm(edges.flatten(1, 2).transpose(1, 2)), _SLOPE, inplace=True)
        return self.rest(columns).unflatten(2, index.shape[1:]).max(dim=3).values.transpose(1, 2)


class DGCNN(Backbone):
    """Three edge convolutions of two, two and one layers, then an embedding of the whole cloud.

    The first graph joins the nearest points, the others the most similar features of the layer before.
    """

    def __init__(self, config: DGCNNConfig):
        super().__init__()
        self.config = config
        self.width = 3 * config.width + config.embedding
        self.blocks = nn.ModuleList(
            EdgeConvolution(channels, config.width, layers)
            for channels, layers in ((3 + config.channels, 2), (config.width, 2), (config.width, 1))
        )
        self.embed = SharedLayer(3 * config.width, config.embedding, _SLOPE)

    def forward(
        self,
        points: Float[Tensor, "batch points 3"],
        features: Float[Tensor, "batch points channels"] | None = None,
    ) -> PointFeatures:
        """Encode clouds, in any unit.

        Args:
            points: coordinates.
            features: of the points, where the configuration has `channels`.

        Raises:
            ValueError: fewer points than neighbours.
        """
        index = knn(points, points, self.config.neighbours)
        x = points if features is None else torch.cat([points, features], dim=-1)
        outputs: list[Tensor] = []
        for block in self.blocks:
            if outputs:
                index = knn_features(outputs[-1], self.config.neighbours)
            outputs.append(block(outputs[-1] if outputs else x, index))
        local = torch.cat(outputs, dim=-1)
        return PointFeatures(local, self.embed(local.transpose(1, 2)).max(dim=2).values)


class DGCNNSegmentationHead(nn.Module):
    """concat(whole, local) of every point -> 512 -> 256 -> classes, dropout before the last (the authors').

    Args:
        local, embedding: widths of the network's two kinds of features.
        classes: number of classes.
        hidden: widths of the two hidden layers.
        dropout: after them.
    """

    def __init__(
        self, local: int, embedding: int, classes: int, hidden: tuple[int, int] = (512, 256), dropout: float = 0.5
    ):
        super().__init__()
        # The whole cloud's feature is the same at every point: its share of the first layer is computed once a cloud.
        self.local1 = nn.Linear(local, hidden[0], bias=False)
        self.whole1 = nn.Linear(embedding, hidden[0], bias=False)
        self.norm1 = BatchNorm(hidden[0])
        self.hidden2 = SharedLayer(*hidden, _SLOPE)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(hidden[1], classes)

    def forward(self, features: PointFeatures) -> Float[Tensor, "batch points classes"]:
        """Logits of every class at every point."""
        x = affine(features.local.transpose(1, 2), self.local1.weight, None) + self.whole1(features.whole).unsqueeze(2)
        x = self.hidden2(F.leaky_relu(self.norm1(x), _SLOPE, inplace=True))
        return self.logits(self.dropout(x.transpose(1, 2)))

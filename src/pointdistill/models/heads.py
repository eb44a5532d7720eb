"""Heads that turn the backbone's tokens into logits of a cloud or of each point (paper section 4.2, Appendix A.2)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill.geometry import interpolate, three_nearest
from pointdistill.models.point_transformer import Features, PointTransformer


class PointwiseMLP(nn.Module):
    """Linear layers on the last axis, each followed by BatchNorm, ReLU and dropout (a row of 1-D convolutions).

    Args:
        widths: input width, then the width of each layer.
        dropout: probability after each layer; 0 leaves it out.
        norm: with BatchNorm; linear layers before it have no bias.
    """

    def __init__(self, widths: Sequence[int], dropout: float = 0.0, norm: bool = True):
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers.append(nn.Linear(before, after, bias=not norm))
            layers += [nn.BatchNorm1d(after)] if norm else []
            layers.append(nn.ReLU())
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1]

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """Each row by itself (BatchNorm over all of them)."""
        return self.layers(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], self.width)


class ClassificationHead(nn.Module):
    """concat(class token, max over the other tokens) -> 256 -> 256 -> classes (Point-MAE).

    Args:
        width: token width.
        classes: number of classes.
        hidden: width of the two hidden layers.
        dropout: after each hidden layer.
    """

    def __init__(self, width: int, classes: int, hidden: int = 256, dropout: float = 0.5):
        super().__init__()
        self.hidden = PointwiseMLP((2 * width, hidden, hidden), dropout)
        self.logits = nn.Linear(hidden, classes)

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch classes"]:
        """Args: tokens: class token first."""
        return self.logits(self.hidden(torch.cat([tokens[:, 0], tokens[:, 1:].max(dim=1).values], dim=-1)))


def pyramid_layers(depth: int, count: int = 3) -> tuple[int, ...]:
    """The blocks whose outputs dense heads read, evenly spread, the last among them: 4, 8, 12 of 12 (Appendix A.2)."""
    return tuple(max(1, round(depth * (i + 1) / count)) for i in range(count))


def normed_layers(backbone: PointTransformer, features: Features) -> Float[Tensor, "batch groups stacked"]:
    """The asked-for block outputs, each through the backbone's final LayerNorm, side by side (Point-MAE)."""
    return torch.cat([backbone.norm(layer) for layer in features.layers], dim=-1)


class PartSegmentationHead(nn.Module):
    """Point-MAE's part segmentation head (Appendix A.2; sizes from its code).

    Block outputs are interpolated to the points (feature propagation: 3-NN, concatenated with xyz, two layers), the
    global max and mean and an embedding of the cloud's category are added to every point, then three layers.

    Args:
        width: width of the stacked block outputs (1152 for three blocks of 384).
        categories: number of object categories.
        parts: number of part labels over all categories.
        propagation: widths of the feature propagation's two layers.
        hidden: widths of the head's two hidden layers.
        embedding: width of the category embedding.
        dropout: after the first hidden layer.
    """

    def __init__(
        self,
        width: int,
        categories: int,
        parts: int,
        propagation: tuple[int, ...] = (1536, 1024),
        hidden: tuple[int, int] = (512, 256),
        embedding: int = 64,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.categories = categories
        self.label = nn.Sequential(
            nn.Linear(categories, embedding, bias=False), nn.BatchNorm1d(embedding), nn.LeakyReLU(0.2)
        )
        self.enter = nn.Linear(3 + width, propagation[0], bias=False)
        self.rest0 = nn.Sequential(nn.BatchNorm1d(propagation[0]), nn.ReLU())
        self.propagation = PointwiseMLP(propagation)
        # The global features are the same at every point: their share of the first layer is computed once a cloud.
        self.local1 = nn.Linear(propagation[-1], hidden[0], bias=False)
        self.global1 = nn.Linear(2 * width + embedding, hidden[0], bias=False)
        self.rest1 = nn.Sequential(nn.BatchNorm1d(hidden[0]), nn.ReLU(), nn.Dropout(dropout))
        self.hidden2 = PointwiseMLP(hidden)
        self.logits = nn.Linear(hidden[1], parts)

    def forward(
        self,
        stacked: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        points: Float[Tensor, "batch points 3"],
        category: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch points parts"]:
        """Logits of every part label at every point."""
        one_hot = F.one_hot(category, self.categories).to(stacked.dtype)
        whole = torch.cat([stacked.max(dim=1).values, stacked.mean(dim=1), self.label(one_hot)], dim=-1)
        # Interpolation and the first layer are linear and commute: the few centres go through the layer first.
        own_weight, token_weight = self.enter.weight.split((3, stacked.shape[-1]), dim=1)
        x = interpolate(stacked @ token_weight.t(), *three_nearest(points, centres)) + points @ own_weight.t()
        x = self.propagation(self.rest0(x.flatten(0, 1)))
        x = self.local1(x).view(*points.shape[:2], -1) + self.global1(whole)[:, None]
        x = self.rest1(x.flatten(0, 1)).view(x.shape)
        return self.logits(self.hidden2(x))


class SemanticSegmentationHead(nn.Module):
    """The three nearest centres' features, concatenated, then two 1-D convolution blocks and the classes.

    Paper section 4.2.2 and Appendix A.2 ("select three nearest neighbour center points for each point and concatenate
    their features").

    Args:
        width: token width.
        classes: number of classes.
        hidden: widths of the two convolution blocks.
        point_width: width of the features that each point brings of its own (0: to the letter of the paper).
        dropout: after each block.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        hidden: tuple[int, int] = (512, 256),
        point_width: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.width = width
        self.project = nn.Linear(3 * width, hidden[0], bias=False)
        self.own = nn.Linear(point_width, hidden[0], bias=False) if point_width else None
        self.rest1 = nn.Sequential(nn.BatchNorm1d(hidden[0]), nn.ReLU(), nn.Dropout(dropout))
        self.hidden2 = PointwiseMLP(hidden, dropout)
        self.logits = nn.Linear(hidden[1], classes)

    def forward(
        self,
        tokens: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        points: Float[Tensor, "batch points 3"],
        own: Float[Tensor, "batch points point_width"] | None = None,
    ) -> Float[Tensor, "batch points classes"]:
        """Logits of every class at every point.

        The first layer is linear in the concatenation, so it is applied to the few centres, once for each of the
        three places, and its results are gathered and summed at the many points.
        """
        index, _ = three_nearest(points, centres)
        places = torch.cat([tokens @ weight.t() for weight in self.project.weight.split(self.width, dim=1)], dim=1)
        index = index + torch.arange(3, device=index.device) * tokens.shape[1]
        x = interpolate(places, index, torch.ones_like(index, dtype=tokens.dtype))
        if self.own is not None and own is not None:
            x = x + self.own(own)
        x = self.rest1(x.flatten(0, 1)).view(x.shape)
        return self.logits(self.hidden2(x))

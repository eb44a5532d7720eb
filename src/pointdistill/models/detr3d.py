"""3DETR's decoder (Misra et al., ICCV 2021; paper section 4.2.1, Appendix A.2) on the tokens of a point backbone.

Non-parametric queries: farthest points among the token centres, their places given by Fourier features of the
coordinates normalised to the scene's extent. Boxes are upright, in metres, in the scene's own frame.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill.geometry import farthest_point_sample, gather, to_unit_sphere
from pointdistill.models.heads import PointwiseMLP
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.models.set_abstraction import SetAbstraction


@dataclass(frozen=True)
class Extent:
    """The scene's axis-aligned bounding box in metres; offsets and sizes are normalised by its edges.

    Attributes:
        lower: lower corner.
        edges: edge lengths, positive.
    """

    lower: Float[Tensor, "batch 3"]
    edges: Float[Tensor, "batch 3"]

    def normalise(self, points: Float[Tensor, "... batch n 3"]) -> Float[Tensor, "... batch n 3"]:
        """Metres to [0, 1] in each axis."""
        return (points - self.lower[:, None]) / self.edges[:, None]


def extent_of(points: Float[Tensor, "batch points 3"]) -> Extent:
    """The bounding box of each cloud; edges at least 1 cm."""
    lower = points.amin(1)
    return Extent(lower, (points.amax(1) - lower).clamp_min(0.01))


@dataclass(frozen=True)
class Angles:
    """Headings as a choice among evenly spread bins and a residual to the bin's middle; bin 0 is around zero (VoteNet).

    Attributes:
        logits: of the bins.
        residuals: for each bin, in halves of its width.
    """

    logits: Float[Tensor, "*batch bins"]
    residuals: Float[Tensor, "*batch bins"]

    def headings(self) -> Float[Tensor, "*batch"]:
        """Radians, in (-pi, pi] but for large residuals. A single bin is for axis-aligned boxes: zero, as in 3DETR."""
        bins = self.logits.shape[-1]
        if bins == 1:
            return torch.zeros_like(self.logits[..., 0])
        chosen = self.logits.argmax(-1, keepdim=True)
        angle = (2 * chosen + self.residuals.gather(-1, chosen))[..., 0] * (math.pi / bins)
        return torch.where(angle > math.pi, angle - 2 * math.pi, angle)


def angle_bins(headings: Float[Tensor, "*batch"], bins: int) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """The bin of each heading (radians), and its residual in halves of the bin's width: in [-1, 1)."""
    position = (headings * (bins / (2 * math.pi)) + 0.5).remainder(bins)
    chosen = position.floor().clamp_max(bins - 1)
    return chosen.long(), 2 * (position - chosen) - 1


@dataclass(frozen=True)
class Proposals:
    """What each decoder layer proposes, last layer last.

    Attributes:
        logits: of the classes, then of "no object".
        centres: box centres, metres, scene frame.
        sizes: full edge lengths, metres, positive.
        extent: of the scene.
        angles: of the boxes' headings; None for a decoder of axis-aligned boxes.
    """

    logits: Float[Tensor, "layers batch queries classes_and_background"]
    centres: Float[Tensor, "layers batch queries 3"]
    sizes: Float[Tensor, "layers batch queries 3"]
    extent: Extent
    angles: Angles | None = None

    @property
    def boxes(self) -> Float[Tensor, "layers batch queries 7"]:
        """Centre, size and heading."""
        headings = torch.zeros_like(self.centres[..., 0]) if self.angles is None else self.angles.headings()
        return torch.cat([self.centres, self.sizes, headings[..., None]], dim=-1)


class FourierPosition(nn.Module):
    """sin and cos of random projections of the coordinates normalised to the scene (3DETR; Tancik et al. 2020).

    Args:
        width: output width, even.
    """

    projection: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("projection", torch.randn(3, width // 2))

    def forward(self, points: Float[Tensor, "batch n 3"], extent: Extent) -> Float[Tensor, "batch n width"]:
        """Embed points given in metres."""
        angles = 2 * math.pi * extent.normalise(points) @ self.projection
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class DecoderLayer(nn.Module):
    """Pre-norm self-attention among the queries, cross-attention to the tokens, feed-forward (3DETR).

    Positions are added to queries and keys, never to values.
    """

    def __init__(self, width: int, heads: int, ffn: int, dropout: float):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.self_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.ReLU(), nn.Dropout(dropout), nn.Linear(ffn, width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        queries: Float[Tensor, "batch queries width"],
        places: Float[Tensor, "batch queries width"],
        tokens: Float[Tensor, "batch tokens width"],
        token_places: Float[Tensor, "batch tokens width"],
    ) -> Float[Tensor, "batch queries width"]:
        """One round: queries see each other, then the tokens."""
        x = self.norm1(queries)
        queries = queries + self.dropout(self.self_attention(x + places, x + places, x, need_weights=False)[0])
        x = self.norm2(queries) + places
        queries = queries + self.dropout(self.cross_attention(x, tokens + token_places, tokens, need_weights=False)[0])
        return queries + self.dropout(self.ffn(self.norm3(queries)))


class BoxHeads(nn.Module):
    """Class, centre, size and heading of each query's box; the same heads serve all decoder layers (3DETR).

    Args:
        width: decoder width.
        classes: number of object classes; "no object" is the last logit.
        prior: expected share of queries on an object; sets the class layer's starting biases, so that training
            does not begin by unlearning a uniform distribution. None: zero biases, as 3DETR.
        coding: "bounded": offset = sigmoid - 1/2 metre, size = sigmoid x the scene's edges (3DETR).
            "log": offset linear, in units of the mean size; size = mean size x exp(output).
        mean_size: the training boxes' mean edge lengths, metres (used by "log").
        dropout: of the heads' hidden layers.
        bins: of the headings; None leaves their heads out.
    """

    mean_size: Tensor

    def __init__(
        self,
        width: int,
        classes: int,
        prior: float | None,
        coding: Literal["bounded", "log"],
        mean_size: Float[Tensor, "3"],
        dropout: float,
        bins: int | None = None,
    ):
        super().__init__()
        self.coding, self.bins = coding, bins
        self.register_buffer("mean_size", mean_size.clone())
        self.logits, self.offset, self.size = (
            nn.Sequential(PointwiseMLP((width, width, width), dropout), nn.Linear(width, out))
            for out in (classes + 1, 3, 3)
        )
        if bins is not None:
            self.angle, self.residual = (
                nn.Sequential(PointwiseMLP((width, width, width), dropout), nn.Linear(width, bins)) for _ in range(2)
            )
        if prior is not None:
            bias = torch.full((classes + 1,), math.log(prior / classes))
            bias[-1] = math.log(1 - prior)
            last = self.logits[-1]
            assert isinstance(last, nn.Linear)
            with torch.no_grad():
                last.bias.copy_(bias)
                last.weight.mul_(0.1)

    def forward(
        self,
        features: Float[Tensor, "layers batch queries width"],
        places: Float[Tensor, "batch queries 3"],
        extent: Extent,
    ) -> Proposals:
        """Args: places: of the queries, metres."""
        offset, size = self.offset(features), self.size(features)
        if self.coding == "bounded":
            offset, size = offset.sigmoid() - 0.5, size.sigmoid() * extent.edges[:, None]
        else:
            offset, size = offset * self.mean_size, self.mean_size * size.clamp(-4, 4).exp()
        angles = None if self.bins is None else Angles(self.angle(features), self.residual(features))
        return Proposals(self.logits(features), places + offset, size, extent, angles)


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of the decoder; the defaults are 3DETR's.

    Attributes:
        width, depth, heads, ffn, dropout: of the decoder layers.
        queries: box proposals a scene.
        head_dropout: in the box heads.
        content: what a query starts from: zeros (3DETR) or the projected token it sits on.
        coding, prior: see `BoxHeads`.
        angle_bins: of the boxes' headings: 1 for data whose boxes are all axis aligned, as 3DETR has it for ScanNet
            (its residual learns to be zero), 12 for SUN RGB-D; None leaves the angle heads out.
        projection_layers: layers from the tokens' width to the decoder's: 3 in 3DETR, 2 in 3DETR-m.
        skip_near_origin: in choosing the queries; see `farthest_point_sample`. For comparisons with 3DETR's own code.
        xavier: matrices of the decoder layers start by Glorot's uniform distribution (3DETR), not by torch's own.
    """

    width: int = 256
    depth: int = 8
    heads: int = 4
    ffn: int = 256
    dropout: float = 0.1
    queries: int = 256
    head_dropout: float = 0.3
    content: Literal["zero", "token"] = "zero"
    coding: Literal["bounded", "log"] = "bounded"
    prior: float | None = None
    angle_bins: int | None = 1
    projection_layers: int = 3
    xavier: bool = True
    skip_near_origin: bool = False


class Decoder(nn.Module):
    """Tokens of a scene -> box proposals.

    Args:
        token_width: width of the backbone's tokens.
        classes: number of object classes.
        config: sizes and form.
        mean_size: the training boxes' mean edge lengths, metres.
    """

    def __init__(self, token_width: int, classes: int, config: DecoderConfig, mean_size: Float[Tensor, "3"]):
        super().__init__()
        self.config, width = config, config.width
        self.project = PointwiseMLP((*[token_width] * config.projection_layers, width))
        self.fourier = FourierPosition(width)
        self.place = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.heads, config.ffn, config.dropout) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.heads = BoxHeads(
            width, classes, config.prior, config.coding, mean_size, config.head_dropout, config.angle_bins
        )
        if config.xavier:
            for parameter in self.layers.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens token_width"],
        centres: Float[Tensor, "batch tokens 3"],
        extent: Extent,
    ) -> Proposals:
        """Args: centres: of the tokens, metres. extent: of the scene."""
        tokens = self.project(tokens)
        chosen = farthest_point_sample(centres, self.config.queries, skip_near_origin=self.config.skip_near_origin)
        places = gather(centres, chosen)
        token_positions, query_positions = self.fourier(centres, extent), self.place(self.fourier(places, extent))
        queries = gather(tokens, chosen) if self.config.content == "token" else torch.zeros_like(query_positions)
        outputs = []
        for layer in self.layers:
            queries = layer(queries, query_positions, tokens, token_positions)
            outputs.append(self.norm(queries))
        return self.heads(torch.stack(outputs), places, extent)


def encode_metric(
    backbone: PointTransformer, points: Float[Tensor, "batch points 3"], group_count: int, group_size: int
) -> tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch tokens 3"]]:
    """Tokens of clouds in metres and their centres in metres.

    The backbone itself sees the clouds centred and divided by their radius, as in pre-training; queries and boxes stay
    metric (docs/paper.md, inputs of downstream tasks).
    """
    unit = to_unit_sphere(points)
    features = backbone(unit.points, group_count, group_size)
    return features.tokens, features.centres * unit.radius + unit.centre


def encode_abstracted(
    backbone: PointTransformer, tokeniser: SetAbstraction, points: Float[Tensor, "batch points 3"]
) -> tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch tokens 3"]]:
    """The same with set abstraction, on the cloud in metres, in the place of the backbone's own patches.

    The blocks keep their position embedding, of the centres in the unit sphere (docs/paper.md, detection tokens).
    """
    unit = to_unit_sphere(points)
    centres, tokens, _ = tokeniser(points)
    positions = backbone.position_embed((centres - unit.centre) / unit.radius)
    return backbone.encode(tokens, positions), centres

"""Features of point clouds from any backbone checkpoint."""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64, Num
from torch import Tensor

from pointdistill.applications.clouds import Frame, training_form, turn
from pointdistill.datasets.axes import Axis
from pointdistill.files import read_json
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.point_transformer import PointTransformer

BATCH = 16
"""Clouds that the backbone is given at a time."""


@dataclass(frozen=True)
class Encoder:
    """A backbone, and how the clouds of its pre-training were.

    Attributes:
        backbone: in evaluation mode.
        frame: "gravity" (z up) or "camera" (x right, y down, z forward).
        points: points a cloud.
    """

    backbone: PointTransformer
    frame: Frame
    points: int


@dataclass(frozen=True)
class Embedding:
    """Features of a cloud.

    Attributes:
        tokens: one a patch, after the final LayerNorm.
        centres: of the patches, in the input's own frame and unit.
        pooled: mean and maximum over the tokens.
    """

    tokens: Float32[np.ndarray, "groups width"]
    centres: Float64[np.ndarray, "groups 3"]
    pooled: Float32[np.ndarray, "twice_width"]


def load_encoder(checkpoint: str | Path) -> Encoder:
    """A backbone file (or the folder of a pre-training); without backbone.json beside it: z up, 4096 points.

    Raises:
        CheckpointError: no such file, or none of a backbone.
    """
    path = Path(checkpoint)
    backbone = load_backbone(path).eval()
    card = (path if path.is_dir() else path.parent) / "backbone.json"
    frames = read_json(card).get("recipe", {}).get("frames", {}) if card.is_file() else {}
    return Encoder(backbone, frames.get("frame", "gravity"), int(frames.get("points", 4096)))


def embed(points: Num[np.ndarray, "points 3"], checkpoint: str | Path | Encoder, up: Axis | None = None) -> Embedding:
    """What a backbone says of a cloud: tokens, their centres, and one pooled vector.

    Args:
        points: a cloud in any unit.
        checkpoint: a backbone.safetensors, the folder of a pre-training, or what `load_encoder` made of it.
        up: which axis of the cloud points up; default that of the pre-training's frame: z, or -y in the camera's.

    Raises:
        CheckpointError: no such file, or none of a backbone.
        DataError: fewer points than a patch has, or all in one place.
    """
    encoder = checkpoint if isinstance(checkpoint, Encoder) else load_encoder(checkpoint)
    return next(embed_all([("point cloud", points)], encoder, up))


def embed_all(
    clouds: Iterable[tuple[str | Path, Num[np.ndarray, "points 3"]]],
    encoder: Encoder,
    up: Axis | None = None,
    batch: int = BATCH,
) -> Iterator[Embedding]:
    """The same of many clouds, as they come: the next batch is read and prepared while the backbone is at one.

    Args:
        clouds: each with what errors call it.
        encoder: from `load_encoder`.
        up: as in `embed`.
        batch: clouds a time; what is said of a cloud depends on it in the last bits at most.

    Raises:
        DataError: as `embed`, and whatever reading a cloud raises.
    """
    config = encoder.backbone.config
    least, clouds = max(config.groups, config.group_size), iter(clouds)

    def prepare() -> list[tuple[Tensor, np.ndarray, float]]:
        chosen = itertools.islice(clouds, batch)
        return [training_form(points, up, encoder.frame, encoder.points, least, name) for name, points in chosen]

    with ThreadPoolExecutor(1, "clouds") as ahead:
        following = ahead.submit(prepare)
        while prepared := following.result():
            following = ahead.submit(prepare)
            yield from _embedded(encoder, prepared, up)


@torch.no_grad()
def _embedded(encoder: Encoder, prepared: list[tuple[Tensor, np.ndarray, float]], up: Axis | None) -> list[Embedding]:
    features = encoder.backbone(torch.cat([cloud for cloud, _, _ in prepared]))
    pooled = torch.cat([features.tokens.mean(1), features.tokens.max(1).values], dim=1)
    back = turn(up, encoder.frame).astype(np.float64)
    return [
        Embedding(
            features.tokens[number].numpy(),
            (features.centres[number].double().numpy() * radius + centre) @ back,
            pooled[number].numpy(),
        )
        for number, (_, centre, radius) in enumerate(prepared)
    ]

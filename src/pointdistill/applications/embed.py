"""Features of point clouds from any backbone checkpoint."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from jaxtyping import Float32, Float64, Num
from torch import Tensor

from pointdistill.applications.clouds import Frame, training_form, turn
from pointdistill.applications.inputs import BATCH, UNNAMED, Cloud, as_array, evaluating, is_one, named_arrays
from pointdistill.datasets.axes import Axis
from pointdistill.errors import DataError
from pointdistill.files import read_json
from pointdistill.geometry import interpolate, three_nearest
from pointdistill.hub import BACKBONE, located
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.point_transformer import PointTransformer

POINTS = 4096
"""Points a cloud where nothing is known of a backbone's pre-training: the paper's."""


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

    def at(
        self, points: Num[np.ndarray, "queries 3"] | Num[Tensor, "queries 3"]
    ) -> Float32[np.ndarray, "queries width"]:
        """Features at any points, in the input's own frame and unit: those of the three nearest patches, weighted by
        inverse squared distance (`Features.at`, in the patches' own extent, so that the unit does not matter).

        Raises:
            DataError: another shape than (queries, 3), or points that are not finite.
        """
        queries = as_array(points).astype(np.float64)
        if not np.isfinite(queries).all():
            raise DataError(UNNAMED, "has points that are not finite", "Leave them out")
        origin = self.centres.mean(0)
        extent = max(float(np.linalg.norm(self.centres - origin, axis=1).max()), 1e-12)
        at, centres = (torch.from_numpy((rows - origin) / extent)[None].float() for rows in (queries, self.centres))
        return interpolate(torch.from_numpy(self.tokens)[None], *three_nearest(at, centres))[0].numpy()


def load_encoder(checkpoint: str | Path) -> Encoder:
    """A backbone file (or the folder of a pre-training, or OWNER/NAME on the model hub); without backbone.json beside
    it: z up, 4096 points.

    Raises:
        CheckpointError: no such file, or none of a backbone.
        HubError: no such repository, or the hub cannot be reached and the cache has it not.
    """
    path = located(checkpoint, BACKBONE)
    backbone = load_backbone(path).eval()
    card = (path if path.is_dir() else path.parent) / "backbone.json"
    frames = read_json(card).get("recipe", {}).get("frames", {}) if card.is_file() else {}
    return Encoder(backbone, frames.get("frame", "gravity"), int(frames.get("points", POINTS)))


@overload
def embed(points: Cloud, checkpoint: str | Path | Encoder | PointTransformer, up: Axis | None = None) -> Embedding: ...


@overload
def embed(
    points: Sequence[Cloud], checkpoint: str | Path | Encoder | PointTransformer, up: Axis | None = None
) -> list[Embedding]: ...


def embed(
    points: Cloud | Sequence[Cloud], checkpoint: str | Path | Encoder | PointTransformer, up: Axis | None = None
) -> Embedding | list[Embedding]:
    """What a backbone says of a cloud: tokens, their centres, and one pooled vector; of a list of clouds, of each.

    Args:
        points: an array or tensor of shape (points, 3) in any unit, or a file (.ply, .pcd, .las, .npy, .obj, .off,
            text); or a list of such, of any sizes: what is said of each is what is said of it alone, up to rounding.
        checkpoint: a backbone.safetensors, the folder of a pre-training, OWNER/NAME on the model hub, or what
            `load_encoder` made of it; or a backbone itself, which is taken to want z up and 4096 points.
        up: which axis of the cloud points up; default that of the pre-training's frame: z, or -y in the camera's.

    Raises:
        CheckpointError: no such file, or none of a backbone.
        DataError: a cloud that cannot be read, has fewer points than a patch, or all in one place.

    >>> from pointdistill import create_backbone
    >>> room = np.random.rand(900, 3) * [5, 4, 2.5]
    >>> found = embed(room, create_backbone("vit_nano"))
    >>> found.tokens.shape, found.centres.shape, found.pooled.shape, found.at(room).shape
    ((64, 96), (64, 3), (192,), (900, 96))
    """
    if isinstance(checkpoint, PointTransformer):
        encoder = Encoder(checkpoint, "gravity", POINTS)
    else:
        encoder = checkpoint if isinstance(checkpoint, Encoder) else load_encoder(checkpoint)
    with evaluating(encoder.backbone):
        found = list(embed_all(named_arrays(points), encoder, up))
    return found[0] if is_one(points) else found


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
    where = encoder.backbone.norm.weight.device
    features = encoder.backbone(torch.cat([cloud for cloud, _, _ in prepared]).to(where))
    tokens, centres, pooled = (found.cpu() for found in (features.tokens, features.centres, features.pooled))
    back = turn(up, encoder.frame).astype(np.float64)
    return [
        Embedding(
            tokens[number].numpy(),
            (centres[number].double().numpy() * radius + centre) @ back,
            pooled[number].numpy(),
        )
        for number, (_, centre, radius) in enumerate(prepared)
    ]

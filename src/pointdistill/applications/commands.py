"""The verbs `caption`, `classify` and `embed`: files in, lines or arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointdistill import manifest
from pointdistill.applications.caption import caption
from pointdistill.applications.classify import classify
from pointdistill.applications.clouds import Frame, cloud_files, frame_cloud, open_cloud, open_store, read_cloud
from pointdistill.applications.embed import embed_all, load_encoder
from pointdistill.applications.feature_file import write_features
from pointdistill.console import answer, say, track
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import load_distilled
from pointdistill.errors import DataError, PointdistillError
from pointdistill.store import FrameStore


def caption_command(cloud: Path, run: Path, frame: int | None, teacher: str | None, up: Axis | None) -> dict[str, str]:
    """Print a sentence about a cloud."""
    distilled = load_distilled(run)
    sentence = caption(open_cloud(cloud, frame, distilled.recipe.frames.frame), distilled, teacher, up)
    answer(sentence)
    return {"caption": sentence}


def classify_command(
    cloud: Path,
    run: Path,
    labels: str,
    frame: int | None,
    teacher: str | None,
    up: Axis | None,
    template: str | None,
) -> dict[str, dict[str, float]]:
    """Print each label with its share, best first."""
    distilled = load_distilled(run)
    points = open_cloud(cloud, frame, distilled.recipe.frames.frame)
    names = [label.strip() for label in labels.split(",")]
    shares = classify(points, distilled, names, teacher, up, template)
    for label, share in shares.items():
        answer(f"{share:.3f} {label}")
    return {"shares": shares}


def embed_command(
    clouds: Sequence[Path], backbone: Path, out: Path, frame: int | None, up: Axis | None
) -> dict[str, Path | int]:
    """Write features of clouds: tokens, centres, pooled and names as .npz, or pooled alone as .npy.

    Raises:
        DataError: `out` is neither, or a cloud cannot be read.
    """
    if out.suffix not in (".npz", ".npy"):
        raise DataError(out, "is neither .npz nor .npy", "Name one: .npz for everything, .npy for pooled features")
    if not clouds:
        raise PointdistillError("no cloud to embed: name a file or a store. `pointdistill embed --help` says more")
    encoder = load_encoder(backbone)
    sources = [source for cloud in clouds for source in _sources(cloud, frame)]
    names = [name for source in sources for name in source.names]
    opened = (
        (name, source.points(number, encoder.frame))
        for source in sources
        for number, name in zip(source.numbers, source.names, strict=True)
    )
    found = track(embed_all(opened, encoder, up), "embedding", total=len(names))
    write_features(out, found, names)
    say(f"{out}: features of {len(names)} clouds")
    return {"out": out, "clouds": len(names)}


@dataclass(frozen=True)
class _Source:
    """A file, or frames of a store."""

    path: Path
    store: FrameStore | None = None
    numbers: Sequence[int] = (0,)

    @property
    def names(self) -> list[str]:
        return [str(self.path) if self.store is None else f"{self.path} {number}" for number in self.numbers]

    def points(self, number: int, reference: Frame) -> np.ndarray:
        return read_cloud(self.path) if self.store is None else frame_cloud(self.store, number, reference)


def _sources(cloud: Path, frame: int | None) -> list[_Source]:
    """A file, the files of a folder, one frame of a store, or all of them."""
    if not cloud.is_dir():
        if frame is not None:
            raise DataError(cloud, "is no store", "Leave --frame out")
        return [_Source(cloud)]
    if frame is None and not manifest.is_there(cloud) and (files := cloud_files(cloud)):
        return [_Source(path) for path in files]
    store = open_store(cloud)
    return [_Source(cloud, store, range(len(store)) if frame is None else (frame,))]

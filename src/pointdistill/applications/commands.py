"""The verbs `caption`, `classify` and `embed`: files in, lines or arrays out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointdistill.applications.caption import caption
from pointdistill.applications.classify import classify
from pointdistill.applications.clouds import open_cloud, open_store
from pointdistill.applications.embed import embed, load_encoder
from pointdistill.console import console, track
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import load_distilled
from pointdistill.errors import DataError, PointdistillError
from pointdistill.files import write_arrays, write_atomic


def caption_command(cloud: Path, run: Path, frame: int | None, teacher: str | None, up: Axis | None) -> None:
    """Print a sentence about a cloud."""
    distilled = load_distilled(run)
    print(caption(open_cloud(cloud, frame, distilled.recipe.frames.frame), distilled, teacher, up))


def classify_command(
    cloud: Path,
    run: Path,
    labels: str,
    frame: int | None,
    teacher: str | None,
    up: Axis | None,
    template: str | None,
) -> None:
    """Print each label with its share, best first."""
    distilled = load_distilled(run)
    points = open_cloud(cloud, frame, distilled.recipe.frames.frame)
    names = [label.strip() for label in labels.split(",")]
    for label, share in classify(points, distilled, names, teacher, up, template).items():
        print(f"{share:.3f} {label}")


def embed_command(clouds: Sequence[Path], backbone: Path, out: Path, frame: int | None, up: Axis | None) -> None:
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
    found = [
        embed(open_cloud(path, number, encoder.frame), encoder, up) for path, number in track(sources, "embedding")
    ]
    arrays = {name: np.stack([getattr(one, name) for one in found]) for name in ("tokens", "centres", "pooled")}
    names = np.array([str(path) if number is None else f"{path} {number}" for path, number in sources])
    if out.suffix == ".npz":
        write_arrays(out, {**arrays, "names": names})
    else:
        write_atomic(out, lambda target: _save(target, arrays["pooled"]))
    console.print(f"{out}: features of {len(found)} clouds", markup=False, soft_wrap=True)


def _sources(cloud: Path, frame: int | None) -> list[tuple[Path, int | None]]:
    """A file, one frame of a store, or all of them."""
    if frame is None and cloud.is_dir():
        return [(cloud, number) for number in range(len(open_store(cloud)))]
    return [(cloud, frame)]


def _save(target: Path, array: np.ndarray) -> None:
    with target.open("wb") as file:
        np.save(file, array, allow_pickle=False)

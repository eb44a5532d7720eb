"""Held-out frames in words, from the picture and from the points, and frames whose features are most alike."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from pointdistill.analyses.subject import Subject, pooled_frames, targets_of, titles
from pointdistill.applications.prefix import speaking, teacher_of
from pointdistill.distilled import load_distilled
from pointdistill.errors import RecipeError
from pointdistill.loader import FrameLoader
from pointdistill.predictions.examples import evenly
from pointdistill.report.analyses.schema import Caption
from pointdistill.report.examples import NeighboursExample
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore
from pointdistill.teachers.base import Captioner

SAID, ASKED, NEAREST, SEARCHED = 12, 4, 3, 512
"""Frames put into words; frames asked about, how many neighbours of each, and among how many frames."""
SHOWN_POINTS = 2500


def reader_of(subject: Subject, run: Path, teacher: str | None = None) -> Captioner | None:
    """The language model of the run's teacher; None where it has none, or where no teacher is named and it is not the
    embedded one.

    Args:
        subject: the pre-training.
        run: its folder.
        teacher: how `prepare --teacher` names it.

    Raises:
        RecipeError: a named teacher is not the run's, or has no language model.
    """
    if subject.method is None:
        return None
    try:
        return speaking(teacher_of(load_distilled(run), teacher))
    except RecipeError:
        if teacher is not None:
            raise
        return None


@torch.inference_mode()
def captions(subject: Subject, heldout: FrameStore, reader: Captioner | None, shown: int = SAID) -> list[Caption]:
    """A few held-out frames, evenly spaced over the store, in the words of the teacher's language model."""
    if reader is None or subject.method is None:
        return []
    rows = evenly(len(heldout), shown)
    loader = subject.loader(heldout, len(heldout))
    predicted = subject.method.predict(loader.batch(np.array(rows), 0).points)
    seen = torch.from_numpy(heldout.targets[rows].astype(np.float32))
    said = zip(titles(heldout, rows), reader.caption(seen), reader.caption(predicted), strict=True)
    return [Caption(*one) for one in said]


def neighbours_examples(
    subject: Subject, heldout: FrameStore, reader: Captioner | None, shown: int = ASKED
) -> list[NeighboursExample]:
    """Held-out frames beside those of other scans whose frozen features are most like theirs.

    Features are concat(mean, max) of the tokens, less their mean over the frames searched; alike by their cosine.
    Frames asked about are evenly spaced over those searched, chosen before anyone looked.
    """
    loader = subject.loader(heldout, SEARCHED)
    likeness = cosines(pooled_frames(subject.backbone, loader))
    scans = heldout.scans[loader.indices]
    found = []
    for asked in evenly(len(loader.indices), shown):
        others = np.flatnonzero(scans != scans[asked])
        nearest = others[np.argsort(-likeness[asked, others], kind="stable")][:NEAREST]
        if len(nearest):
            found.append(_example(heldout, loader, reader, likeness[asked], [asked, *nearest.tolist()]))
    return found


def cosines(features: Float[np.ndarray, "frames width"]) -> Float[np.ndarray, "frames frames"]:
    """The cosine between any two rows, each less the mean row; rows of zeros are like nothing."""
    centred = features.astype(np.float64) - features.astype(np.float64).mean(0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T


def _example(
    store: FrameStore, loader: FrameLoader, reader: Captioner | None, likeness: np.ndarray, places: list[int]
) -> NeighboursExample:
    rows = [int(loader.indices[place]) for place in places]
    clouds = [_fewer(store.cloud(row), row) for row in rows]
    said = [""] * len(rows)
    if reader is not None:
        said = reader.caption(torch.from_numpy(targets_of(loader)[places]))
    return NeighboursExample(
        names=titles(store, rows),
        said=said,
        likeness=likeness[places],
        counts=np.array([len(cloud) for cloud in clouds], np.int64),
        points=np.concatenate(clouds),
    )


def _fewer(cloud: Float[np.ndarray, "points 3"], row: int) -> Float[np.ndarray, "kept 3"]:
    return cloud[numpy_generator(0, "shown neighbours", row).permutation(len(cloud))[:SHOWN_POINTS]]

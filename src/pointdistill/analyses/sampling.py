"""Figure 4: what a draw of points keeps of a frame's cloud."""

import numpy as np
import torch
from jaxtyping import Float, Float32

from pointdistill.analyses.subject import titles
from pointdistill.geometry import knn
from pointdistill.loader import draw_rows
from pointdistill.predictions.examples import evenly
from pointdistill.report.examples import SamplingExample
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore

SHOWN = 3
"""Frames that are drawn."""


def sampling_examples(store: FrameStore, counts: tuple[int, ...], shown: int = SHOWN) -> list[SamplingExample]:
    """A few frames, evenly spaced over the store, in all their points and as `loader.FrameLoader` draws them.

    Each draw is the one that a loader of that many points, seed 0 and no augmentation makes in its first epoch. "All"
    are the points the store keeps of a frame, themselves a draw of the depth image's pixels.

    Args:
        store: prepared frames.
        counts: points of each draw.
        shown: how many frames.
    """
    rows = evenly(len(store), shown)
    return [_example(store, row, title, counts) for row, title in zip(rows, titles(store, rows), strict=True)]


def _example(store: FrameStore, index: int, title: str, counts: tuple[int, ...]) -> SamplingExample:
    cloud = store.cloud(index)
    draws = [draw_rows(numpy_generator(0, "sample", 0, index), len(cloud), count) for count in counts]
    return SamplingExample(
        title=title,
        points=cloud,
        counts=np.array(counts, np.int64),
        rows=np.concatenate(draws),
        distances=np.array([mean_distance(cloud, cloud[drawn]) for drawn in draws]),
    )


def mean_distance(points: Float32[np.ndarray, "points 3"], drawn: Float32[np.ndarray, "drawn 3"]) -> float:
    """Mean distance of points to the nearest one drawn, in their unit; the drawn themselves count, with 0."""
    nearest = knn(torch.from_numpy(points)[None], torch.from_numpy(drawn)[None], 1)[0, :, 0].numpy()
    gaps: Float[np.ndarray, "points 3"] = points.astype(np.float64) - drawn[nearest]
    return float(np.linalg.norm(gaps, axis=1).mean())

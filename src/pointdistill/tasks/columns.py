"""Columns cut from scenes: how semantic segmentation sees rooms, in training and over a whole scene in tests."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from pointdistill.tasks.sampling import choose


@dataclass(frozen=True)
class Column:
    """Vertices within a square of the floor plan, all heights.

    Attributes:
        index: the chosen vertices of the scene.
        points: their coordinates, metres, x and y relative to the square's middle, z above the scene's floor.
    """

    index: Int[np.ndarray, " points"]
    points: Float[np.ndarray, "points 3"]


def floor_height(points: Float[np.ndarray, "vertices 3"]) -> float:
    """Height of the floor: the first percentile of z, which a few stray vertices below it do not move."""
    z = points[:, 2]
    return float(np.partition(z, len(z) // 100)[len(z) // 100])


def inside(
    points: Float[np.ndarray, "vertices 3"], middle: Float[np.ndarray, "2"], side: float
) -> Int[np.ndarray, " inside"]:
    """Indices of the vertices in the square of edge `side` around `middle`."""
    near = np.abs(points[:, :2] - middle.astype(points.dtype)) <= side / 2
    return np.flatnonzero(near[:, 0] & near[:, 1])


def random_column(
    points: Float[np.ndarray, "vertices 3"],
    semantic: Int[np.ndarray, " vertices"],
    count: int,
    side: float,
    floor: float,
    generator: np.random.Generator,
    balanced: bool = False,
    tries: int = 10,
) -> Column:
    """A column around a random vertex, `count` of its vertices.

    Places are drawn again, up to `tries` times, while fewer than `count` / 4 vertices or fewer than 70 % labelled ones
    fall inside (PointNet++'s rule for ScanNet); then the best place seen is taken.

    Args:
        semantic: class of each vertex, 0 where unlabelled.
        balanced: draw the middle vertex from a random class of the scene instead of from all vertices.
    """
    best, most = None, -1.0
    for _ in range(tries):
        middle = points[_middle(semantic, balanced, generator), :2]
        found = inside(points, middle, side)
        share = float((semantic[found] > 0).mean())
        if len(found) >= count / 4 and share >= 0.7:
            best = middle, found
            break
        quality = share + min(1.0, len(found) / count)
        if quality > most:
            best, most = (middle, found), quality
    assert best is not None
    middle, found = best
    index = found[choose(generator, len(found), count)]
    return Column(index, _relative(points[index], middle, floor))


def _middle(semantic: Int[np.ndarray, " vertices"], balanced: bool, generator: np.random.Generator) -> int:
    classes = np.flatnonzero(np.bincount(semantic)[1:]) + 1
    if not balanced or not len(classes):
        return int(generator.integers(len(semantic)))
    return int(generator.choice(np.flatnonzero(semantic == generator.choice(classes))))


def _relative(
    points: Float[np.ndarray, "points 3"], middle: Float[np.ndarray, "2"], floor: float
) -> Float[np.ndarray, "points 3"]:
    return points - np.array([middle[0], middle[1], floor], np.float32)


def grid(points: Float[np.ndarray, "vertices 3"], side: float, stride: float) -> Float[np.ndarray, "places 2"]:
    """Middles of overlapping squares that cover the scene's floor plan."""
    lower, upper = points[:, :2].min(0), points[:, :2].max(0)
    steps = [max(1, int(np.ceil((extent - side) / stride)) + 1) for extent in upper - lower]
    axes = [
        np.linspace(low + side / 2, high - side / 2, n) if n > 1 else np.array([(low + high) / 2])
        for low, high, n in zip(lower, upper, steps, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def vote(
    points: Float[np.ndarray, "vertices 3"],
    predict: Callable[[list[Column]], Float[np.ndarray, "columns points classes"]],
    classes: int,
    count: int,
    side: float,
    stride: float,
    passes: int | None,
    generator: np.random.Generator,
    batch: int = 8,
) -> Float[np.ndarray, "vertices classes"]:
    """Class scores of every vertex: summed over overlapping columns; vertices never drawn take their nearest's.

    Args:
        predict: class probabilities for columns of `count` points each.
        stride: distance of neighbouring columns.
        passes: draws of `count` vertices in each column at most; those with the fewest votes go first. None: as
            many as it takes to reach each vertex of the column.
        batch: columns a call of `predict`.
    """
    votes = np.zeros((len(points), classes), np.float32)
    times = np.zeros(len(points), np.int64)
    floor = floor_height(points)
    waiting: list[Column] = []

    def settle() -> None:
        for column, scores in zip(waiting, predict(waiting), strict=True):
            distinct, first = np.unique(column.index, return_index=True)
            votes[distinct] += scores[first]
        waiting.clear()

    for middle in grid(points, side, stride):
        found = inside(points, middle, side)
        needed = -(-len(found) // count)
        for _ in range(needed if passes is None else min(passes, needed)):
            index = _least_seen(found, times, count, generator)
            times[index] += 1
            waiting.append(Column(index, _relative(points[index], middle, floor)))
            if len(waiting) == batch:
                settle()
    if waiting:
        settle()
    return _fill(points, votes, times > 0)


def _least_seen(
    found: Int[np.ndarray, " inside"], times: Int[np.ndarray, " vertices"], count: int, generator: np.random.Generator
) -> Int[np.ndarray, " count"]:
    """`count` of the vertices with the fewest votes, ties at random, in random order; repeated if there are fewer."""
    if len(found) <= count:
        return found[choose(generator, len(found), count)]
    order = times[found] + generator.random(len(found))
    return found[generator.permutation(np.argpartition(order, count)[:count])]


def _fill(
    points: Float[np.ndarray, "vertices 3"],
    votes: Float[np.ndarray, "vertices classes"],
    seen: Bool[np.ndarray, " vertices"],
) -> Float[np.ndarray, "vertices classes"]:
    if not seen.all():
        _, nearest = KDTree(points[seen]).query(points[~seen])
        votes[~seen] = votes[seen][nearest]
    return votes

"""Few-shot episodes: small classification problems out of a large labelled set."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from pointdistill.datasets.objects import ObjectSet
from pointdistill.errors import DataError
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Splits


def draw_episode(
    data: Splits[ObjectSet], way: int, shot: int, number: int, queries: int = 20, seed: int = 0
) -> Splits[ObjectSet]:
    """`way` classes, `shot` training clouds of each from `data.train`, `queries` test clouds of each from `data.test`.

    Drawn as Point-BERT's generator does, whose published draws Point-MAE uses too. Those are pickles, which are not
    read here: means over ten episodes can be compared with theirs, single episodes cannot. The same (seed, way, shot,
    number) gives the same episode; 10 shots and 20 shots have unrelated draws, as theirs have.

    Returns:
        Labels are counted through the drawn classes. Validation is the test split: clouds are too few for a third.

    Raises:
        DataError: fewer classes than `way`, or a class with too few clouds (any class: all can be drawn).
    """
    classes = len(data.train.classes)
    if way > classes:
        raise DataError("train split", f"holds {classes} classes where {way} are drawn", "Ask for fewer ways.")
    _require(data.train, "train split", shot, "shots")
    _require(data.test, "test split", queries, "queries")
    generator = numpy_generator(seed, "episode", way, shot, number)
    chosen = generator.permutation(classes)[:way]
    train = _take(data.train, chosen, shot, generator)
    test = _take(data.test, chosen, queries, generator)
    return Splits(train, test, test)


def _require(split: ObjectSet, name: str, count: int, what: str) -> None:
    present = np.bincount(split.labels, minlength=len(split.classes))
    if present.min() < count:
        poorest = int(present.argmin())
        problem = f"class {split.classes[poorest]} has {present[poorest]} clouds where {count} are drawn"
        raise DataError(name, problem, f"Ask for fewer {what}, or leave the class out.")


def _take(split: ObjectSet, classes: Int[np.ndarray, " way"], count: int, generator: np.random.Generator) -> ObjectSet:
    rows = [generator.permutation(np.flatnonzero(split.labels == label))[:count] for label in classes]
    drawn = split.select(np.concatenate(rows))
    labels = np.repeat(np.arange(len(classes)), count)
    return replace(drawn, labels=labels, classes=tuple(split.classes[label] for label in classes))

"""Prepared labelled data as tasks take them: the splits of a store, whatever it holds, or few labels of them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from pointdistill import manifest
from pointdistill.datasets import layouts
from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.scannet.scenes import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError
from pointdistill.prepared_labels import SceneStore, open_objects, open_part_shapes
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Splits

Labelled = Sequence[Scene] | ObjectSet | PartSet
"""What one split of a task's data is."""


def kind_of(out: str | Path) -> str:
    """What a prepared store holds: "scenes", "objects", "parts" (or "frames", without labels).

    Raises:
        DataError: it is no finished store; where it is a data set as published, how to prepare it.
    """
    out = Path(out)
    if (
        not manifest.is_there(out)
        and out.is_dir()
        and not (out / manifest.SETTINGS).is_file()
        and layouts.is_known(out)
    ):
        remedy = f"Prepare it first: pointdistill prepare {out} STORE --labels"
        raise DataError(out, f"is {layouts.layout_of(out).title} as published, not prepared", remedy)
    return str(manifest.read(out).get("kind"))


class StoredScenes(Sequence[Scene]):
    """Scenes of a store by their names, each read when it is asked for; the last one is kept."""

    def __init__(self, store: SceneStore, names: Sequence[str]):
        self.store, self.names = store, tuple(names)
        self._last: tuple[str, Scene] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return StoredScenes(self.store, self.names[index])
        name = self.names[index]
        if self._last is None or self._last[0] != name:
            self._last = name, self.store.scene(name)
        return self._last[1]


def open_labelled(out: str | Path, split: str, in_memory: bool = True) -> Labelled:
    """A split of a prepared store, whatever kind of labelled data it holds.

    Args:
        out: the store's folder.
        split: its name; "train+val" is both, one after the other.
        in_memory: else scenes are read one by one as they are asked for. Shapes are always in memory.

    Raises:
        DataError: no finished store of labelled data, no such split, or splits that do not go together.
    """
    out, kind, splits = Path(out), kind_of(out), split.split("+")
    if kind == "scenes":
        store = SceneStore.open(out)
        scenes = StoredScenes(store, [name for part in splits for name in store.names(part)])
        return list(scenes) if in_memory else scenes
    if kind not in ("objects", "parts"):
        raise DataError(out, f"is a store of {kind}, without labels", "Prepare one with --labels.")
    parts = [(open_objects if kind == "objects" else open_part_shapes)(out, part) for part in splits]
    return parts[0] if len(parts) == 1 else _joined(out, split, parts)


def _joined(out: Path, split: str, parts: Sequence[Any]) -> ObjectSet | PartSet:
    """Shapes of several splits as one; those with fewer points are filled up as a `PartSet` is."""
    first = parts[0]
    tables = [field.name for field in fields(first) if not isinstance(getattr(first, field.name), np.ndarray)]
    tables.remove("names")
    if any(getattr(part, name) != getattr(first, name) for part in parts for name in tables):
        raise DataError(out, f"the splits of {split} have different classes", "Prepare them again, together.")
    most = max(part.points.shape[1] for part in parts)
    if isinstance(first, ObjectSet) and any(part.points.shape[1] != most for part in parts):
        raise DataError(out, f"the shapes of {split} have different numbers of points", "Prepare them again, together.")
    rows = {}
    for name in (field.name for field in fields(first) if field.name not in (*tables, "names")):
        values = [getattr(part, name) for part in parts]
        if isinstance(first, PartSet) and values[0].ndim > 1:
            values = [_filled(value, part.counts, most) for value, part in zip(values, parts, strict=True)]
        rows[name] = np.concatenate(values)
    return replace(first, **rows, names=tuple(name for part in parts for name in part.names))


def _filled(values: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    return np.stack([value[np.arange(size) % count] for value, count in zip(values, counts, strict=True)])


def few_labels(training: Any, labels: int | None, seed: int) -> Any:
    """A training split cut to `labels` rooms, or objects a class, drawn by the seed; None takes all."""
    if labels is None:
        return training
    if isinstance(training, ObjectSet | PartSet):
        classes = training.labels if isinstance(training, ObjectSet) else training.categories
        generator = numpy_generator(seed, "labelled objects")
        chosen = [generator.permutation(np.flatnonzero(classes == label))[:labels] for label in np.unique(classes)]
        return training.select(np.sort(np.concatenate(chosen)))
    if labels >= len(training):
        return training
    chosen = numpy_generator(seed, "labelled rooms").permutation(len(training))[:labels]
    return [training[index] for index in np.sort(chosen)]


def open_splits(store: str | Path, names: tuple[str, str, str], labels: int | None = None, seed: int = 0) -> Splits:
    """Training, validation and test split of a store (`open_labelled`), the first with few labels; one that serves as
    two is opened once."""
    opened = {name: open_labelled(store, name) for name in dict.fromkeys(names)}
    train, val, test = (opened[name] for name in names)
    return Splits(few_labels(train, labels, seed), val, test)

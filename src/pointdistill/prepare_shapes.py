"""Shapes -> a store to pre-train on without a teacher: the clouds of ShapeNet-55 as frames that no camera saw.

Reading them all is a matter of a minute, so an interrupted run begins again; the manifest comes last.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointdistill import manifest
from pointdistill.console import say
from pointdistill.datasets.axes import y_up_to_z_up
from pointdistill.datasets.layouts import ALL, SHAPENET55
from pointdistill.datasets.objects import Shape, too_few
from pointdistill.datasets.shapenet55 import ShapeNet55, is_shapenet55
from pointdistill.errors import DataError
from pointdistill.files import exclusive, write_header
from pointdistill.scan_part import quantise
from pointdistill.seeding import numpy_generator
from pointdistill.store import FIELDS, FORMAT, SHAPE_FIELDS, FrameStore
from pointdistill.store_writer import describe, partial, to_disk


def holds_shapes(root: str | Path) -> bool:
    """Whether a folder is a data set that `prepare_shapes` takes."""
    return is_shapenet55(Path(root))


def prepare_shapes(
    root: str | Path, out: str | Path, split: str = "train", points: int = 16384, seed: int = 0
) -> FrameStore:
    """Prepare a split of ShapeNet-55 into a store of frames without cameras and targets; a finished one is opened.

    Args:
        root: its folder (docs/data.md).
        split: "train" is what Point-BERT and Point-MAE pre-train on; "test", any other list, or "all" of them.
        points: keep so many random points of a shape that has more. Shapes are turned to have z up.
        seed: of the choice of points.

    Raises:
        DataError: the first problem of the split, a shape with fewer points than the first, a folder that holds work
            with other settings, shapes that have changed since, another run at work there, a full disk.
    """
    source, out = ShapeNet55(root), Path(out)
    splits = source.splits() if split == ALL else [split]
    settings = {
        "format": FORMAT,
        "kind": "shapes",
        "source": f"{SHAPENET55.name} {split}",
        "terms": "those of their owner",
        "points": points,
        "seed": seed,
        "up": "z",
    }
    sources = _sources(source, splits)
    with exclusive(out):
        manifest.claim(out, settings)
        if manifest.is_there(out):
            manifest.check_sources(out, manifest.read(out)["sources"], sources)
            return FrameStore.open(out)
        names = _write(source, splits, out, points, seed)
        files = {f"{name}.npy": describe(out / f"{name}.npy") for name in SHAPE_FIELDS}
        content = {**settings, "sources": sources, "scans": names, "frames": len(names), "files": files}
        manifest.write(out, content)
        say(f"{len(names)} shapes in {out}, without targets")
        return FrameStore.open(out)


def _sources(source: ShapeNet55, splits: Sequence[str]) -> dict[str, Any]:
    """What the store is made from: each list by its hash, and how many bytes its clouds are together.

    Raises:
        DataError: no such list.
    """
    found = {}
    for split in splits:
        size = sum(path.stat().st_size for path in source.clouds(split) if path.is_file())
        found |= {path.name: [manifest.file_sha256(path), size] for path in source.files(split)}
    return found


def _write(source: ShapeNet55, splits: Sequence[str], out: Path, most: int, seed: int) -> list[str]:
    """All arrays, each under its name when it is complete; returns the shapes' names."""
    count, widest = sum(len(source.clouds(split)) for split in splits), 0
    names: list[str] = []
    rows: list[dict[str, np.ndarray]] = []
    with partial(out, "points.npy").open("wb") as file:
        for shape in _shapes(source, splits):
            width = min(most, len(shape.points))
            if not rows:
                widest = width
                write_header(file, FIELDS["points"], (count, widest, 3))
            elif width < widest:
                raise too_few(shape.path, width, widest)
            chosen = _draw(shape, widest, seed)
            row = quantise(y_up_to_z_up(shape.points[chosen]))
            file.write(row.pop("points").tobytes())
            names.append(shape.name)
            rows.append({**row, "counts": np.array(widest), "scans": np.array(len(rows)), "frames": np.array(0)})
        to_disk(file)
    for name in SHAPE_FIELDS:
        if name != "points":
            _write_array(partial(out, f"{name}.npy"), np.stack([row[name] for row in rows]).astype(FIELDS[name]))
        partial(out, f"{name}.npy").replace(out / f"{name}.npy")
    return names


def _shapes(source: ShapeNet55, splits: Sequence[str]) -> Iterator[Shape]:
    """Raises the first problem that there is."""
    for split in splits:
        for found in source.walk(split):
            if isinstance(found, DataError):
                raise found
            yield found


def _draw(shape: Shape, wanted: int, seed: int) -> slice | np.ndarray:
    if len(shape.points) == wanted:
        return slice(None)
    return numpy_generator(seed, "points", shape.name).choice(len(shape.points), wanted, replace=False, shuffle=False)


def _write_array(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        write_header(file, str(array.dtype), array.shape)
        file.write(array.tobytes())
        to_disk(file)

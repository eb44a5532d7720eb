"""ShapeNetPart as `shapenetcore_partanno_segmentation_benchmark_v0_normal` publishes it.

synsetoffset2category.txt ("Chair<TAB>03001627"), train_test_split/shuffled_{train,val,test}_file_list.json
("shape_data/03001627/<shape>"), <id>/<shape>.txt with "x y z nx ny nz part" a line, y up. A folder with other
categories than the official 16 brings parts.json: {category: {"parts": {part id: part name}}}.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from pointdistill.console import track
from pointdistill.datasets.axes import y_up_to_z_up
from pointdistill.errors import DataError
from pointdistill.files import is_plain, read_text
from pointdistill.io.columns import scan_columns

_GET = (
    "Unpack shapenetcore_partanno_segmentation_benchmark_v0_normal.zip there, or write an embedded one with "
    "`pointdistill world`."
)
_RESTORE = "Restore the official list."

OFFICIAL_PARTS: dict[str, tuple[int, ...]] = {
    "Airplane": (0, 1, 2, 3),
    "Bag": (4, 5),
    "Cap": (6, 7),
    "Car": (8, 9, 10, 11),
    "Chair": (12, 13, 14, 15),
    "Earphone": (16, 17, 18),
    "Guitar": (19, 20, 21),
    "Knife": (22, 23),
    "Lamp": (24, 25, 26, 27),
    "Laptop": (28, 29),
    "Motorbike": (30, 31, 32, 33, 34, 35),
    "Mug": (36, 37),
    "Pistol": (38, 39, 40),
    "Rocket": (41, 42, 43),
    "Skateboard": (44, 45, 46),
    "Table": (47, 48, 49),
}
"""The official 16 categories and the ids of their 50 parts; the release gives the parts no names."""


@dataclass(frozen=True)
class PartSet:
    """Part-labelled shapes of one split.

    Shapes hold different numbers of points: row i is filled up to the longest by going round its own points again, so
    that any draw of rows is a draw of its points, and `points[i, :counts[i]]` are the published ones.

    Attributes:
        points: the published coordinates, turned to `up`.
        parts: part id of each point.
        counts: how many points each shape was published with.
        categories: each shape's index into `category_names`.
        names: each shape's file name.
        category_names: sorted.
        part_ids: the part ids of each category, in the order of `category_names`.
        part_names: name of each part id.
    """

    points: Float32[np.ndarray, "shapes points 3"]
    parts: Int64[np.ndarray, "shapes points"]
    counts: Int64[np.ndarray, "shapes"]
    categories: Int64[np.ndarray, "shapes"]
    names: tuple[str, ...]
    category_names: tuple[str, ...]
    part_ids: tuple[tuple[int, ...], ...]
    part_names: dict[int, str]

    @property
    def part_count(self) -> int:
        """How many part ids there are over all categories: 50 in the official set."""
        return max(self.part_names) + 1

    def select(self, chosen: Int64[np.ndarray, "chosen"]) -> "PartSet":
        """The shapes of these rows, with the same categories and parts."""
        rows = {name: getattr(self, name)[chosen] for name in ("points", "parts", "counts", "categories")}
        return replace(self, **rows, names=tuple(self.names[row] for row in chosen))


class PartShape(NamedTuple):
    """One shape as it was read, y up; `path` is its file."""

    name: str
    category: str
    points: Float32[np.ndarray, "points 3"]
    parts: Int64[np.ndarray, "points"]
    path: Path


def read_shapenetpart(root: str | Path, split: str, up: Literal["y", "z"] = "z") -> PartSet:
    """Read one split.

    Args:
        root: the data set's folder.
        split: "train", "val", "test", or "trainval" for the first two together.
        up: "z" turns shapes to stand on the xy plane; "y" leaves them as published.

    Raises:
        DataError: a missing folder, list or shape, an unknown category or part, or a bad line, with file and line.
    """
    shapes = []
    for found in walk_shapenetpart(root, split):
        if isinstance(found, DataError):
            raise found
        shapes.append(found)
    part_table, part_names = _part_table(Path(root), tuple(_categories(Path(root)).values()))
    names = sorted(part_table)
    clouds = [y_up_to_z_up(shape.points) if up == "z" else shape.points for shape in shapes]
    counts = np.array([len(cloud) for cloud in clouds], np.int64)
    around = [np.arange(counts.max()) % count for count in counts]
    return PartSet(
        points=np.stack([cloud[rows] for cloud, rows in zip(clouds, around, strict=True)]),
        parts=np.stack([shape.parts[rows] for shape, rows in zip(shapes, around, strict=True)]),
        counts=counts,
        categories=np.array([names.index(shape.category) for shape in shapes], np.int64),
        names=tuple(shape.name for shape in shapes),
        category_names=tuple(names),
        part_ids=tuple(part_table[name] for name in names),
        part_names=part_names,
    )


def shapenetpart_splits(root: Path) -> list[str]:
    """The splits that have a list."""
    found = (root / "train_test_split").glob("shuffled_*_file_list.json")
    return sorted(path.name.removeprefix("shuffled_").removesuffix("_file_list.json") for path in found)


def walk_shapenetpart(root: str | Path, split: str) -> Iterator[PartShape | DataError]:
    """Read a split: its shapes, and an error for each problem, so that one pass finds them all.

    Raises:
        DataError: the split as a whole cannot be read.
    """
    root = Path(root)
    folders = _categories(root)
    part_table, _ = _part_table(root, tuple(folders.values()))
    entries = _split(root, split)
    empty = {folder for folder in folders if not any((root / folder).glob("*.txt"))}
    for folder in sorted(empty):
        listed = sum(entry[1] == folder for entry in entries)
        if listed:
            problem = (
                f"the folder of {folders[folder]} holds no files, but the {split} list names {listed} shapes of it"
            )
            yield DataError(root / folder, problem, _GET)
    for list_path, folder, shape in track(entries, f"reading {split} shapes"):
        if folder not in folders:
            remedy = "Restore the official lists."
            yield DataError(list_path, f"{folder} is not in synsetoffset2category.txt", remedy, f"shape {shape}")
        elif not is_plain(shape):
            yield DataError(list_path, f"{shape[:40]!r} is no name of a shape", _RESTORE)
        elif folder not in empty:
            category = folders[folder]
            yield from _shape(root / folder / f"{shape}.txt", category, part_table[category])


def _categories(root: Path) -> dict[str, str]:
    """Folder name -> category name."""
    if not root.is_dir():
        raise DataError(root, "no such ShapeNetPart folder", _GET)
    path = root / "synsetoffset2category.txt"
    if not path.is_file():
        raise DataError(path, "no such category list", _GET)
    folders = {}
    for number, line in enumerate(read_text(path, _RESTORE).splitlines(), 1):
        name, _, folder = line.strip().rpartition("\t" if "\t" in line else " ")
        if line.strip() and not name:
            raise DataError(path, "not a category and a folder", _RESTORE, f"line {number}")
        if name and not (is_plain(name.strip()) and is_plain(folder.strip())):  # files are called after the category
            problem = f"{line.strip()[:40]!r} is no category and the name of a folder"
            raise DataError(path, problem, _RESTORE, f"line {number}")
        if name:
            folders[folder.strip()] = name.strip()
    return folders


def _part_table(root: Path, categories: tuple[str, ...]) -> tuple[dict[str, tuple[int, ...]], dict[int, str]]:
    """Part ids of each category, and the name of each part id."""
    path = root / "parts.json"
    if path.is_file():
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            named = {category: {int(i): str(n) for i, n in entry["parts"].items()} for category, entry in table.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            remedy = 'It must be {category: {"parts": {part id: part name}}}.'
            raise DataError(path, "not a table of parts", remedy) from None
    else:
        path = root / "synsetoffset2category.txt"
        named = {
            category: {part: f"{category} {position}" for position, part in enumerate(parts)}
            for category, parts in OFFICIAL_PARTS.items()
        }
    unknown = [category for category in categories if category not in named]
    if unknown:
        remedy = "Categories beyond the official 16 need a parts.json that gives their part ids and names."
        raise DataError(path, f"unknown category {unknown[0]!r}", remedy)
    own = {category: named[category] for category in categories}
    ids = {category: tuple(sorted(parts)) for category, parts in own.items()}
    return ids, {part: name for parts in own.values() for part, name in parts.items()}


def _split(root: Path, split: str) -> list[tuple[Path, str, str]]:
    """(list, folder, shape) of each shape of the split."""
    entries = []
    for name in ("train", "val") if split == "trainval" else (split,):
        path = root / "train_test_split" / f"shuffled_{name}_file_list.json"
        try:
            shapes = json.loads(path.read_text(encoding="utf-8"))
            entries += [(path, *str(shape).split("/")[-2:]) for shape in shapes]
        except FileNotFoundError:
            raise DataError(path, "no such split list", _GET) from None
        except (ValueError, TypeError, RecursionError):
            raise DataError(path, "not a JSON list of shapes", _RESTORE) from None
    if not entries or any(len(entry) != 3 for entry in entries):
        path = root / "train_test_split"
        raise DataError(path, f"the {split} list is empty or not <folder>/<shape>", "Restore the official lists.")
    return entries


def _shape(path: Path, category: str, part_ids: tuple[int, ...]) -> Iterator[PartShape | DataError]:
    rows, lines, problems = scan_columns(path, 7)
    wrong = ~np.isin(rows[:, 6], part_ids)
    if wrong.any():
        first, count = int(wrong.argmax()), int(wrong.sum())
        others = f" (and {count - 1} lines more)" if count > 1 else ""
        problem = f"part label {rows[first, 6]:g} is none of {category}'s {part_ids}{others}"
        remedy = "Restore the file; labels of other categories need a parts.json."
        problems = [*problems, DataError(path, problem, remedy, f"line {lines[first]}")]
    if problems:
        yield from problems
    else:
        yield PartShape(path.stem, category, rows[:, :3], rows[:, 6].astype(np.int64), path)

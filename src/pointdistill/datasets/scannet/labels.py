"""ScanNet's classes: ids, names and colours of its benchmark (http://www.scan-net.org), and its label table."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointdistill.errors import DataError
from pointdistill.files import read_text


@dataclass(frozen=True)
class SceneClass:
    """One class of the benchmark.

    Attributes:
        nyu40: its id in NYU40, which the label files use.
        name: as the benchmark prints it.
        colour: red, green, blue of the benchmark's palette, 0..255.
    """

    nyu40: int
    name: str
    colour: tuple[int, int, int]


SEMANTIC_CLASSES: tuple[SceneClass, ...] = (
    SceneClass(1, "wall", (174, 199, 232)),
    SceneClass(2, "floor", (152, 223, 138)),
    SceneClass(3, "cabinet", (31, 119, 180)),
    SceneClass(4, "bed", (255, 187, 120)),
    SceneClass(5, "chair", (188, 189, 34)),
    SceneClass(6, "sofa", (140, 86, 75)),
    SceneClass(7, "table", (255, 152, 150)),
    SceneClass(8, "door", (214, 39, 40)),
    SceneClass(9, "window", (197, 176, 213)),
    SceneClass(10, "bookshelf", (148, 103, 189)),
    SceneClass(11, "picture", (196, 156, 148)),
    SceneClass(12, "counter", (23, 190, 207)),
    SceneClass(14, "desk", (247, 182, 210)),
    SceneClass(16, "curtain", (219, 219, 141)),
    SceneClass(24, "refrigerator", (255, 127, 14)),
    SceneClass(28, "shower curtain", (158, 218, 229)),
    SceneClass(33, "toilet", (44, 160, 44)),
    SceneClass(34, "sink", (112, 128, 144)),
    SceneClass(36, "bathtub", (227, 119, 194)),
    SceneClass(39, "other furniture", (82, 84, 163)),
)
"""The 20 classes of the semantic segmentation benchmark, in its order."""

DETECTION_CLASSES: tuple[SceneClass, ...] = tuple(
    SceneClass(39, "garbage bin", c.colour) if c.nyu40 == 39 else c
    for c in SEMANTIC_CLASSES
    if c.name not in ("wall", "floor")
)
"""The 18 classes with boxes: without wall and floor; the field calls id 39 "garbage bin" there."""


def class_names(ids: Iterable[int]) -> tuple[str, ...]:
    """Names of classes by their NYU40 ids, as detection calls them; the id itself beyond the benchmark's list."""
    names = {c.nyu40: c.name for c in (*SEMANTIC_CLASSES, *DETECTION_CLASSES)}
    return tuple(names.get(nyu40, str(nyu40)) for nyu40 in ids)


def read_label_map(path: str | Path, column: str = "nyu40id") -> dict[str, int]:
    """Raw category -> id, from scannetv2-labels.combined.tsv. Categories without an id map to 0.

    Raises:
        DataError: no such file, a missing column, or an id that is not a number, with the line.
    """
    path = Path(path)
    remedy = "Download scannetv2-labels.combined.tsv with ScanNet's own downloader (http://www.scan-net.org)."
    with io.StringIO(read_text(path, remedy, "no such label table"), newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = {"raw_category", column} - set(rows.fieldnames or ())
        if missing:
            raise DataError(path, f"has no column {', '.join(sorted(missing))}", remedy, "line 1")
        table = {}
        for row in rows:
            value = row[column] or "0"
            if not value.isdigit():
                raise DataError(path, f"{column} {value!r} is not a number", remedy, f"line {rows.line_num}")
            table[row["raw_category"]] = int(value)
    return table

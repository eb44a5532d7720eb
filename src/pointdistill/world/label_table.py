"""The raw category names that annotators would give, and the label table (`scannetv2-labels.combined.tsv`) that maps
them to NYU40 classes: the official columns, with rows for what the embedded world holds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pointdistill.world.classes import CEILING, FLOOR, NYU40, WALL

FILE_NAME = "scannetv2-labels.combined.tsv"
COLUMNS = (
    *("id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class"),
    *("ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey", "mpcat40"),
    "mpcat40index",
)

_RAW_NAMES: dict[str, tuple[str, ...]] = {
    "wall": ("wall",),
    "chair": ("chair", "office chair", "armchair", "dining chair"),
    "floor": ("floor",),
    "table": ("table", "coffee table", "end table", "dining table"),
    "door": ("door", "doors"),
    "sofa": ("couch", "sofa"),
    "cabinet": ("cabinet", "kitchen cabinet", "bathroom cabinet", "file cabinet"),
    "desk": ("desk",),
    "bed": ("bed",),
    "sink": ("sink", "kitchen sink", "bathroom sink"),
    "picture": ("picture", "painting", "poster"),
    "window": ("window",),
    "toilet": ("toilet",),
    "bookshelf": ("bookshelf", "bookshelves"),
    "curtain": ("curtain", "curtains"),
    "refrigerator": ("refrigerator", "mini fridge"),
    "bathtub": ("bathtub",),
    "counter": ("counter", "kitchen counter", "bathroom counter"),
    "shower curtain": ("shower curtain", "shower curtains"),
    "garbage bin": ("trash can", "trash bin", "recycling bin"),
    "ceiling": ("ceiling",),
}
"""For each class every raw name it may carry; the first of all classes come first in the table."""
_ONLY_IN = {
    "kitchen": {"kitchen cabinet", "kitchen sink", "kitchen counter"},
    "bathroom": {"bathroom cabinet", "bathroom sink", "bathroom counter"},
    "office": {"office chair", "file cabinet", "recycling bin", "mini fridge"},
    "living room": {"coffee table", "end table", "armchair"},
}
_ROOM_BOUND = set().union(*_ONLY_IN.values())
_NYU40_ID = {"wall": WALL, "floor": FLOOR, "ceiling": CEILING, **NYU40}


@dataclass(frozen=True)
class Label:
    """One row of the table."""

    id: int
    raw_category: str
    class_name: str
    nyu40: int


def _labels() -> tuple[Label, ...]:
    depth = max(map(len, _RAW_NAMES.values()))
    pairs = [(names[i], name) for i in range(depth) for name, names in _RAW_NAMES.items() if i < len(names)]
    return tuple(Label(i, raw, name, _NYU40_ID[name]) for i, (raw, name) in enumerate(pairs, start=1))


LABELS: tuple[Label, ...] = _labels()
"""All rows. Their ids are not NYU40 ids, as in ScanNet."""


def raw_label(class_name: str, room_kind: str, generator: np.random.Generator) -> Label:
    """A raw name for an instance of this class, fitting the kind of room."""
    fitting = [
        label
        for label in LABELS
        if label.class_name == class_name
        and (label.raw_category not in _ROOM_BOUND or label.raw_category in _ONLY_IN.get(room_kind, ()))
    ]
    return fitting[int(generator.integers(len(fitting)))]


def write_label_table(path: str | Path) -> None:
    """Write the table. Columns that this world has nothing to say about stay empty, as many do in ScanNet's own."""
    lines = ["\t".join(COLUMNS)]
    for label in LABELS:
        known = {"id": label.id, "raw_category": label.raw_category, "category": label.raw_category, "count": 1}
        known |= {"nyu40id": label.nyu40, "nyuClass": label.class_name, "nyu40class": label.class_name}
        lines.append("\t".join(str(known.get(column, "")) for column in COLUMNS))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def class_colours() -> UInt8[np.ndarray, "41 3"]:
    """One colour for each NYU40 id, for `_vh_clean_2.labels.ply`: evenly spread hues, neighbours far apart."""
    ids = np.arange(41)
    hue = ids * 0.618034 % 1.0 * 6
    channels = [np.clip(np.abs((hue + shift) % 6 - 3) - 1, 0, 1) for shift in (0, 4, 2)]
    value = np.where(ids % 2 == 0, 0.95, 0.7)
    colours = (0.25 + 0.75 * np.stack(channels, axis=1)) * value[:, None] * 255
    colours[0] = 0
    return np.rint(colours).astype(np.uint8)

"""Whether labelled data are complete: what their lists name, and which of it is there."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pointdistill.datasets import layouts
from pointdistill.datasets.captions import read_captions
from pointdistill.datasets.layouts import Layout
from pointdistill.datasets.scannet.layout import LABEL_TABLE, find_file, find_scan
from pointdistill.errors import DataError
from pointdistill.files import read_text

_AGAIN = "Unpack the data set again."
_SCENE_FILES = (".txt", "_vh_clean_2.ply")
_LABEL_FILES = ("_vh_clean_2.0.010000.segs.json", ".aggregation.json")
"""Of labelled scenes; ScanNet keeps those of its test split hidden."""


def examine_labelled(path: Path, layout: Layout) -> Iterator[str]:
    """Lines on a folder of captioned images or of labelled shapes.

    Raises:
        DataError: a list is missing or damaged.
    """
    if layout == layouts.CAPTIONS:
        captions = read_captions(path)
        yield f"  {len(captions)} captions of {len({caption.path for caption in captions})} images, all there"
        return
    lists = _modelnet40(path) if layout == layouts.MODELNET40 else _shapenetpart(path)
    if not lists:
        raise DataError(path, f"holds no split list of {layout.title}", _AGAIN)
    for split, files in lists.items():
        absent = [file for file in files if not file.is_file()]
        yield f"  split {split}: {len(files)} shapes, {len(files) - len(absent)} there"
        if absent:
            yield f"  missing: {absent[0]} and {len(absent) - 1} more: unpack the data set again"


def scene_lines(root: Path, split: str, scans: Sequence[str]) -> Iterator[str]:
    """How many of a split's scans have all that labelled scenes need, and which files are missing."""
    kinds = _SCENE_FILES if split == "test" else (*_SCENE_FILES, *_LABEL_FILES)
    lacking = {kind: [scan for scan in scans if not _has(root, scan, kind)] for kind in kinds}
    incomplete = {scan for missing in lacking.values() for scan in missing}
    what = "scenes" if split == "test" else "labelled scenes"
    yield f"    for the downstream tasks: {len(scans) - len(incomplete)} {what}"
    for kind, missing in lacking.items():
        if missing and len(incomplete) < len(scans):  # nobody who only pre-trains wants to hear of labels
            yield f"    missing: {kind} of {len(missing)} scans ({missing[0]}): ScanNet's downloader, --type {kind}"


def table_line(root: Path) -> Iterator[str]:
    """A word on the label table if it is not there."""
    try:
        find_file(root, LABEL_TABLE)
    except DataError:
        yield f"  missing, for labelled scenes only: {LABEL_TABLE}: it comes with ScanNet's downloader"


def _has(root: Path, scan: str, kind: str) -> bool:
    folder = find_scan(root, scan)
    return folder is not None and (folder / f"{scan}{kind}").is_file()


def _modelnet40(path: Path) -> dict[str, list[Path]]:
    lists = sorted(file for file in path.glob("modelnet40_*.txt") if file.stem != "modelnet40_shape_names")
    return {
        file.stem.removeprefix("modelnet40_"): [
            path / name.rpartition("_")[0] / f"{name}.txt" for name in read_text(file, _AGAIN).split()
        ]
        for file in lists
    }


def _shapenetpart(path: Path) -> dict[str, list[Path]]:
    found = {}
    for file in sorted((path / "train_test_split").glob("shuffled_*_file_list.json")):
        try:
            names = [name.removeprefix("shape_data/") for name in json.loads(read_text(file, _AGAIN))]
        except (ValueError, AttributeError, TypeError):
            raise DataError(file, "is no list of shapes", _AGAIN) from None
        found[file.name.split("_")[1]] = [path / f"{name}.txt" for name in names]
    return found

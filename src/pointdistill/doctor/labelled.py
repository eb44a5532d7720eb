"""Whether labelled data can be used: everything that their lists name is read, and every problem is said."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pointdistill.console import track
from pointdistill.datasets import layouts, scanobjectnn
from pointdistill.datasets.captions import read_captions
from pointdistill.datasets.layouts import Layout
from pointdistill.datasets.objects import ObjectSource, Shape, too_few
from pointdistill.datasets.problems import scene_problems
from pointdistill.datasets.scannet.labels import read_label_map
from pointdistill.datasets.scannet.layout import LABEL_TABLE, find_file, find_scan
from pointdistill.datasets.scannet.scenes import has_labels, read_scene
from pointdistill.datasets.shapenet55 import ShapeNet55
from pointdistill.datasets.shapenetpart import PartShape, shapenetpart_splits, walk_shapenetpart
from pointdistill.doctor.problem import Problem
from pointdistill.errors import DataError

_AGAIN = "Unpack the data set again."
_SCENE_FILES = (".txt", "_vh_clean_2.ply")
_LABEL_FILES = ("_vh_clean_2.0.010000.segs.json", ".aggregation.json")
"""Of labelled scenes; ScanNet keeps those of its test split hidden."""


def examine_labelled(path: Path, layout: Layout, points: int) -> Iterator[str]:
    """Lines on a folder of captioned images or of labelled shapes.

    Args:
        points: a cloud must hold at least so many.

    Raises:
        DataError: a list is missing or damaged, so that there is nothing to read by.
    """
    if layout == layouts.CAPTIONS:
        captions = read_captions(path)
        yield f"  {len(captions)} captions of {len({caption.path for caption in captions})} images, all there"
    elif layout == layouts.SHAPENETPART:
        splits = shapenetpart_splits(path)
        yield from _splits(path, layout, splits)
        for split in splits:
            yield from _shapes(split, walk_shapenetpart(path, split), points)
    elif layout == layouts.SHAPENET55:
        yield from _objects(ShapeNet55(path), layout, points)
    elif layout == layouts.SCANOBJECTNN:
        for variant in scanobjectnn.variants(path):
            yield f"  variant {variant}"
            yield from _objects(scanobjectnn.ScanObjectNN(path, variant), layout, points)
    else:
        yield from _objects(layouts.object_source(path), layout, points)


def scene_lines(root: Path, split: str, scans: Sequence[str], points: int) -> Iterator[str]:
    """How many of a split's scans have all that labelled scenes need, what is missing, and what is wrong in them."""
    kinds = _SCENE_FILES if split == "test" else (*_SCENE_FILES, *_LABEL_FILES)
    lacking = {kind: [scan for scan in scans if not _has(root, scan, kind)] for kind in kinds}
    incomplete = {scan for missing in lacking.values() for scan in missing}
    what = "scenes" if split == "test" else "labelled scenes"
    yield f"    for the downstream tasks: {len(scans) - len(incomplete)} {what}"
    for kind, missing in lacking.items():
        if missing and len(incomplete) < len(scans):  # nobody who only pre-trains wants to hear of labels
            said = f"{kind} of {len(missing)} scans ({missing[0]}): ScanNet's downloader, --type {kind}"
            yield Problem(f"    missing: {said}")
    complete = [scan for scan in scans if scan not in incomplete]
    yield from (Problem.of(error) for error in _scenes(root, split, complete, points))


def table_line(root: Path) -> Iterator[str]:
    """A word on the label table if it is not there: a problem where there are labels that need it."""
    try:
        find_file(root, LABEL_TABLE)
    except DataError:
        said = f"  missing, for labelled scenes only: {LABEL_TABLE}: it comes with ScanNet's downloader"
        yield Problem(said) if any(root.glob("*/*/*.aggregation.json")) else said


def _splits(path: Path, layout: Layout, splits: Sequence[str]) -> Iterator[str]:
    """Raises DataError where there is no split; yields nothing."""
    if not splits:
        raise DataError(path, f"holds no split list of {layout.title}", _AGAIN)
    yield from ()


def _objects(source: ObjectSource, layout: Layout, points: int) -> Iterator[str]:
    splits = source.splits()
    yield from _splits(source.root, layout, splits)
    for split in splits:
        yield from _shapes(split, source.walk(split), points, alike=True)


def _shapes(
    split: str, found: Iterator[Shape | DataError] | Iterator[PartShape | DataError], points: int, alike: bool = False
) -> Iterator[str]:
    """Lines on a split's shapes, which hold equally many points if they are `alike`."""
    counts: dict[Path, int] = {}
    problems = used = 0
    try:
        for shape in found:
            if isinstance(shape, DataError):
                problems += 1
                yield Problem.of(shape)
            elif len(shape.points) < points:
                problems += 1
                yield Problem.of(too_few(shape.path, len(shape.points), points))
            else:
                used += 1
                counts[shape.path] = len(shape.points)
    except DataError as error:
        problems += 1
        yield Problem.of(error)
    usual = Counter(counts.values()).most_common(1)
    for path, count in counts.items() if alike else ():
        if count != usual[0][0]:
            problems, used = problems + 1, used - 1
            yield Problem.of(too_few(path, count, usual[0][0]))
    yield f"  split {split}: {used} shapes can be used, {problems or 'no'} problem{'' if problems == 1 else 's'}"


def _scenes(root: Path, split: str, scans: Sequence[str], points: int) -> Iterator[DataError]:
    try:
        label_map = read_label_map(find_file(root, LABEL_TABLE)) if scans else None
    except DataError as error:
        label_map = None
        if any(root.rglob(LABEL_TABLE)):  # that it is not there is said elsewhere
            yield error
    for scan in track(scans, f"reading {split} scenes"):
        try:
            labelled = label_map is not None and (split != "test" or has_labels(root, scan))
            scene = read_scene(root, scan, labelled, label_map)
        except DataError as error:
            yield error
        else:
            yield from scene_problems(scene, find_scan(root, scan) or root, points)


def _has(root: Path, scan: str, kind: str) -> bool:
    folder = find_scan(root, scan)
    return folder is not None and (folder / f"{scan}{kind}").is_file()

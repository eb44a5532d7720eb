"""What a folder is, whether it is whole, and what preparing it would give and cost. Nothing is changed in it."""

from collections.abc import Iterator
from pathlib import Path

from pointdistill.datasets import layouts
from pointdistill.doctor.finished import examine_finished
from pointdistill.doctor.labelled import examine_labelled
from pointdistill.doctor.problem import Problem
from pointdistill.doctor.recordings import examine_recordings

__all__ = ["Problem", "examine"]


def examine(path: str | Path, every: int = 25, points: int = 32) -> Iterator[str]:
    """Lines on what lies at `path`: a data set in any layout, a store, a pre-training run, a trained teacher.

    Labelled data are read whole, and each problem in them is a `Problem`. What is wrong with recordings is said in
    plain lines: preparation leaves it out and goes on.

    Args:
        every: pairs are counted, and their cost is estimated, for every n-th frame.
        points: a labelled cloud or scene must hold at least so many; the default is one patch.

    Raises:
        DataError: it is nothing known, or not usable as what it is.
    """
    path = Path(path)
    of_finished = examine_finished(path, points)
    if of_finished is not None:
        yield from of_finished
        return
    layout = layouts.layout_of(path)
    yield f"{path}: {layout.title}"
    if layout.records:
        yield from examine_recordings(path, layout, every, points)
    else:
        yield from examine_labelled(path, layout, points)

"""What a folder is, whether it is whole, and what preparing it would give and cost. Nothing is changed in it."""

from collections.abc import Iterator
from pathlib import Path

from pointdistill.datasets import layouts
from pointdistill.doctor.finished import examine_finished
from pointdistill.doctor.labelled import examine_labelled
from pointdistill.doctor.recordings import examine_recordings

__all__ = ["examine"]


def examine(path: str | Path, every: int = 25) -> Iterator[str]:
    """Lines on what lies at `path`: a data set in any layout, a store, a pre-training run, a trained teacher.

    Args:
        every: pairs are counted, and their cost is estimated, for every n-th frame.

    Raises:
        DataError: it is nothing known, or not usable as what it is.
    """
    path = Path(path)
    of_finished = examine_finished(path)
    if of_finished is not None:
        yield from of_finished
        return
    layout = layouts.layout_of(path)
    yield f"{path}: {layout.title}"
    yield from examine_recordings(path, layout, every) if layout.records else examine_labelled(path, layout)

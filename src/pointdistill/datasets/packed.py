"""Labelled shapes that are published many to an HDF5 file: `data` (shapes, points, 3) and `label`, a row a shape."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pointdistill.datasets.coordinates import LARGEST, usable
from pointdistill.datasets.objects import Shape, too_few
from pointdistill.errors import DataError
from pointdistill.io.h5 import read_h5

_AGAIN = "Unpack it again from the data set's archive."


def walk_file(path: Path, classes: tuple[str, ...], points: int | None) -> Iterator[Shape | DataError]:
    """The shapes of one file, and an error for each row that cannot be used (or one for the file).

    Args:
        points: take the first so many of each shape; None takes all.

    Raises:
        MissingPackage: h5py is not installed.
    """
    try:
        arrays = read_h5(path, ("data", "label"))
    except DataError as error:
        yield error
        return
    data, labels = arrays["data"], arrays["label"].reshape(-1)
    if data.ndim != 3 or data.shape[2] < 3 or len(data) != len(labels):
        problem = (
            f"data is of shape {data.shape} and label of {arrays['label'].shape}, not (shapes, points, 3) and (shapes,)"
        )
        yield DataError(path, problem, "Use the file that the data set publishes.")
    elif points is not None and data.shape[1] < points:
        yield too_few(path, data.shape[1], points)
    else:
        for row, (cloud, label) in enumerate(zip(data[:, :points, :3], labels, strict=True)):
            place = f"shape {row}"
            good = usable(cloud)
            if not good.all():
                yield DataError(path, f"point {good.argmin()} is not finite, or beyond {LARGEST:g}", _AGAIN, place)
            elif not 0 <= label < len(classes):
                problem = f"label {label} is none of the {len(classes)} classes"
                yield DataError(path, problem, "Restore the list of classes, or the file.", place)
            else:
                yield Shape(f"{path.stem}, {place}", int(label), np.ascontiguousarray(cloud, np.float32), path)

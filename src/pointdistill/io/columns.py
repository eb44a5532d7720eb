"""Text files of numbers in columns: clouds as ModelNet40 (with commas) and ShapeNetPart (with spaces) publish them."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pointdistill.errors import DataError


def read_columns(
    path: Path, columns: int, delimiter: str | None = None, max_rows: int | None = None
) -> Float[np.ndarray, "rows columns"]:
    """The numbers of a text file, float32.

    Args:
        columns: how many numbers each line must hold.
        delimiter: what separates them; None is any white space.
        max_rows: read no further than this many rows.

    Raises:
        DataError: no such file, an empty one, a line with another number of columns, something that is not a number,
            or a number that is not finite; with the line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "no data" is reported below
            rows = np.loadtxt(path, np.float32, delimiter=delimiter, max_rows=max_rows, ndmin=2, comments=None)
    except FileNotFoundError:
        raise DataError(path, "no such file", "Put it back or take it out of the split list.") from None
    except (ValueError, UnicodeDecodeError):
        raise _first_bad_line(path, columns, delimiter) from None
    if rows.size == 0:
        raise DataError(path, "the file is empty", "Unpack it again from the data set's archive.")
    if rows.shape[1] != columns or not np.isfinite(rows).all():
        raise _first_bad_line(path, columns, delimiter)
    return rows


def _first_bad_line(path: Path, columns: int, delimiter: str | None) -> DataError:
    """Only reached once something is wrong, so it may be slow: find the line to name."""
    remedy = f"Each line must hold {columns} numbers; unpack the file again from the data set's archive."
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split(delimiter) if line.strip() else []
            if fields and len(fields) != columns:
                return DataError(path, f"{len(fields)} columns where {columns} belong", remedy, f"line {number}")
            for field in fields:
                try:
                    finite = np.isfinite(float(field))
                except ValueError:
                    return DataError(path, f"{field.strip()[:40]!r} is not a number", remedy, f"line {number}")
                if not finite:
                    return DataError(path, f"{field.strip()} is not finite", remedy, f"line {number}")
    return DataError(path, "the numbers cannot be read", remedy)

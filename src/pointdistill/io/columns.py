"""Text files of numbers in columns: clouds as ModelNet40 (with commas) and ShapeNetPart (with spaces) publish them."""

import warnings
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from pointdistill.errors import DataError


class Columns(NamedTuple):
    """What a text file of numbers holds.

    Attributes:
        rows: the numbers of the lines that can be used.
        lines: the number of each row's line, from 1.
        problems: what is wrong with the others: one error a kind, which names the first such line and counts the rest.
    """

    rows: Float[np.ndarray, "rows columns"]
    lines: Int[np.ndarray, "rows"]
    problems: list[DataError]


def read_columns(
    path: Path,
    columns: int,
    delimiter: str | None = None,
    max_rows: int | None = None,
    skip: int = 0,
    kind: type[np.floating] = np.float32,
) -> Float[np.ndarray, "rows columns"]:
    """The numbers of a text file.

    Args:
        columns: how many numbers each line must hold.
        delimiter: what separates them; None is any white space.
        max_rows: read no further than this many rows.
        skip: lines with something else before them.
        kind: of the answer's numbers.

    Raises:
        DataError: no such file, an empty one, a line with another number of columns, something that is not a number,
            or a number that is not finite; with the line.
    """
    found = scan_columns(path, columns, delimiter, max_rows, skip, kind)
    if found.problems:
        raise found.problems[0]
    return found.rows


def scan_columns(
    path: Path,
    columns: int,
    delimiter: str | None = None,
    max_rows: int | None = None,
    skip: int = 0,
    kind: type[np.floating] = np.float32,
) -> Columns:
    """The same, with all problems listed instead of the first one raised; arguments as in `read_columns`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "no data" is reported below
            rows = np.loadtxt(path, kind, None, delimiter, skiprows=skip, ndmin=2, max_rows=max_rows)
    except FileNotFoundError:
        return _nothing(path, columns, "no such file", "Put it back or take it out of the split list.")
    except (ValueError, UnicodeDecodeError):
        return _scan_lines(path, columns, delimiter, max_rows, skip)
    except OSError as error:
        return _nothing(path, columns, f"cannot be read ({error.strerror})", "Copy it again.")
    if rows.size == 0:
        return _nothing(path, columns, "the file is empty", "Unpack it again from the data set's archive.")
    if rows.shape[1] != columns or not np.isfinite(rows).all():
        return _scan_lines(path, columns, delimiter, max_rows, skip)
    return Columns(rows, np.arange(1, len(rows) + 1) + skip, [])


def _nothing(path: Path, columns: int, problem: str, remedy: str) -> Columns:
    empty = np.zeros((0, columns), np.float32)
    return Columns(empty, np.zeros(0, np.int64), [DataError(path, problem, remedy)])


def _scan_lines(path: Path, columns: int, delimiter: str | None, max_rows: int | None, skip: int) -> Columns:
    """Only reached once something is wrong, so it may be slow: find the lines to name."""
    rows: list[list[float]] = []
    numbers: list[int] = []
    wrong: dict[str, tuple[str, int, int]] = {}  # kind -> what is wrong, first line, lines
    with path.open(encoding="utf-8", errors="replace") as lines:
        numbered = islice(enumerate(lines, 1), skip, None)
        filled = ((number, line.split(delimiter)) for number, line in numbered if line.strip())
        for number, fields in islice(filled, max_rows):
            found = _problem(fields, columns)
            if found is None:
                rows.append([float(field) for field in fields])
                numbers.append(number)
            else:
                kind, problem = found
                said, first, count = wrong.get(kind, (problem, number, 0))
                wrong[kind] = said, first, count + 1
    remedy = f"Each line must hold {columns} numbers; unpack the file again from the data set's archive."
    problems = [
        DataError(path, f"{said} (and {count - 1} lines more)" if count > 1 else said, remedy, f"line {first}")
        for said, first, count in wrong.values()
    ]
    problems = problems or [DataError(path, "the numbers cannot be read", remedy)]
    return Columns(np.array(rows, np.float32).reshape(-1, columns), np.array(numbers, np.int64), problems)


def _problem(fields: list[str], columns: int) -> tuple[str, str] | None:
    """Kind and words of what is wrong with a line."""
    if len(fields) != columns:
        return "columns", f"{len(fields)} columns where {columns} belong"
    for field in fields:
        try:
            finite = np.isfinite(np.float32(field))
        except ValueError:
            return "number", f"{field.strip()[:40]!r} is not a number"
        if not finite:
            return "finite", f"{field.strip()} is not finite"
    return None

"""`results.json`: everything that a run measured, in one stable, versioned file (documented in docs/results-format.md).

All figures are in the unit that the task names: per cent run from 0 to 100. Field names and meanings of schema 1 do not
change; fields may be added, and a reader ignores those that it does not know.
"""

import dataclasses
import json
import math
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from pointdistill.errors import DataError
from pointdistill.files import read_text, write_text

SCHEMA = 1
Mode = Literal["full", "fast", "thorough"]
Protocol = Literal["fine-tuning", "linear probe"]
Init = Literal["scratch", "distilled", "permuted", "point_mae"]
INITS: tuple[Init, ...] = get_args(Init)


@dataclass(frozen=True)
class CurvePoint:
    """One point of a validation curve: the task's main metric after this many steps."""

    step: int
    value: float


@dataclass(frozen=True)
class PretrainingPoint:
    """One point of a pre-training curve; `r2` is that of the prefix on unseen rooms, None where the method has none."""

    step: int
    loss: float
    r2: float | None = None


@dataclass(frozen=True)
class PretrainingRun:
    """One pre-training. `method` is the initialisation it gives: "distilled", "permuted" or "point_mae"."""

    method: str
    seed: int
    steps: int
    seconds: float
    heldout_r2: float | None = None
    curve: list[PretrainingPoint] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """A significance test of distilled against something: mean difference, its 95 % interval and the p value.

    `p` is NaN where the test could say nothing (one figure a side, no spread); null in the file.
    """

    test: str
    difference: float
    p: float = field(metadata={"null": math.nan})
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """The figures of one initialisation under one protocol and label fraction, a figure a seed for each metric.

    `curves` holds a validation curve a seed (the task's main metric), or nothing.
    """

    protocol: Protocol
    labels: str
    init: Init
    metrics: dict[str, list[float]]
    curves: list[list[CurvePoint]] = field(default_factory=list)


@dataclass(frozen=True)
class TaskResult:
    """One downstream task.

    `scratch` and `distilled` are the main metric under fine-tuning at the main label fraction, one figure a seed, and
    `rows` holds everything, that included: its rows are those whose `labels` equal the task's. `significance` maps what
    distilled was tested against ("scratch", "permuted") to the test. `won` is the run's own verdict, None without.
    """

    metric: str
    unit: str
    label_fraction: str
    labels: str
    seeds: list[int]
    scratch: list[float]
    distilled: list[float]
    rows: list[Row] = field(default_factory=list)
    significance: dict[str, Comparison] | None = None
    no_learning: float | None = None
    won: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Results:
    """One run. `seconds` is wall time by stage; `teacher` has identity, weights_hash and quality (a flat dict)."""

    version: str
    mode: Mode
    recipe: dict[str, Any]
    host: dict[str, Any]
    seconds: dict[str, float]
    data: dict[str, Any]
    teacher: dict[str, Any]
    pretraining: list[PretrainingRun]
    tasks: dict[str, TaskResult]
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The file's text; figures that are NaN or infinite (but for p) raise ValueError, since JSON has none."""
        content = dataclasses.asdict(self)
        for task in content["tasks"].values():
            for test in (task["significance"] or {}).values():
                test["p"] = None if math.isnan(test["p"]) else test["p"]
        ordered = {"schema": content.pop("schema"), **content}
        return json.dumps(ordered, indent=1, default=_plain, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, path: str | Path = "results.json") -> "Results":
        """Read the text of a results file; raises DataError naming `path` and the field that is wrong."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                path, f"not JSON ({error.msg})", "Run again to write it anew.", f"line {error.lineno}"
            ) from error
        except (ValueError, RecursionError) as error:  # digits without end, brackets without end
            raise DataError(path, f"not JSON ({error})", "Run again to write it anew.") from error
        found = content.get("schema") if isinstance(content, dict) else None
        if found != SCHEMA:
            remedy = f"This version reads schema {SCHEMA}: use the version of pointdistill that wrote it, or run again."
            raise DataError(path, f"results of schema {found}", remedy, "schema")
        try:
            return _decode(cls, content, "")
        except _Mismatch as error:
            remedy = "See docs/results-format.md, or run again to write it anew."
            raise DataError(path, error.problem, remedy, error.place) from error


def write_results(path: Path, results: Results) -> None:
    """Write the file whole or not at all."""
    write_text(path, results.to_json())


def read_results(path: Path) -> Results:
    """Read a results file; raises DataError if it is missing or not what it should be."""
    if not path.is_file():
        raise DataError(path, "no results here", "Name the folder that a finished run wrote (its --out).")
    return Results.from_json(read_text(path, "Run again to write it anew."), path)


class _Mismatch(Exception):
    def __init__(self, place: str, problem: str):
        self.place, self.problem = place, problem


def _plain(value: object) -> object:
    """What JSON does not know but recipes and metrics hold: numpy and torch scalars, arrays, paths."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into results.json")


def _decode(kind: Any, value: Any, place: str) -> Any:
    """`value` out of JSON as the annotated type `kind`: dataclasses, list, dict with text keys, unions, literals."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, place)
    if origin is list and isinstance(value, list):
        return [_decode(inner[0], item, f"{place}[{index}]") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _decode(inner[1], item, f"{place}.{key}") for key, item in value.items()}
    if origin in (Union, types.UnionType):
        return None if value is None else _decode(next(k for k in inner if k is not type(None)), value, place)
    if origin is Literal and value in inner:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    expected = " or ".join(map(repr, inner)) if origin is Literal else getattr(origin or kind, "__name__", str(kind))
    raise _Mismatch(place, f"{expected} expected, {type(value).__name__} {str(value)[:40]!r} found")


def _decode_dataclass(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _Mismatch(place, f"an object expected, {type(value).__name__} found")
    hints, given = get_type_hints(kind), {}
    for entry in dataclasses.fields(kind):
        where = f"{place}.{entry.name}".lstrip(".")
        if value.get(entry.name, ...) is None and "null" in entry.metadata:
            given[entry.name] = entry.metadata["null"]
        elif entry.name in value:
            given[entry.name] = _decode(hints[entry.name], value[entry.name], where)
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise _Mismatch(where, "the field is missing")
    return kind(**given)

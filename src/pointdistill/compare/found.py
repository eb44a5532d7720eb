"""What lies in folders: pre-trainings, fine-tunings, tests, analyses, results of a quickstart, the paper's tables."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointdistill.engine.log import read_log
from pointdistill.errors import DataError
from pointdistill.files import read_json
from pointdistill.report.analyses import Analyses, read_analyses
from pointdistill.report.examples import Examples, load_examples
from pointdistill.report.schema import Results, read_results

_SKIPPED = {"examples", "predictions", "data", "store", "stores", "targets", "parts", "scans", "tokenizer"}
_DEEP = 6
_SEED = re.compile(r"-seed\d+(-[0-9a-f]{8})?$")


@dataclass(frozen=True)
class PretrainingFound:
    """A pre-training, finished or not.

    Attributes:
        path: its folder.
        card: run.json.
        log: the rows of log.jsonl.
        result: result.json; None while it is not finished.
    """

    path: Path
    card: dict[str, Any]
    log: list[dict[str, Any]]
    result: dict[str, Any] | None

    @property
    def seed(self) -> int:
        """Of everything random in it."""
        return int(self.card["recipe"]["engine"]["seed"])


@dataclass(frozen=True)
class TestFound:
    """A test of a fine-tuned model on a split: its own at the end of training, or one by `evaluate`.

    Attributes:
        path: its folder.
        content: task, metric, figures (shares by name), seed, recipe, init, labels, settings, data (split, store).
        examples: scenes with predictions.
        own: whether it is the one at the end of training.
    """

    path: Path
    content: dict[str, Any]
    examples: Examples
    own: bool


@dataclass(frozen=True)
class FinetuningFound:
    """A fine-tuning.

    Attributes:
        path: its folder.
        card: model.json.
        log: the rows of log.jsonl.
        result: result.json; None while it is not finished.
        test: the test at its end.
    """

    path: Path
    card: dict[str, Any]
    log: list[dict[str, Any]]
    result: dict[str, Any] | None
    test: TestFound | None


@dataclass(frozen=True)
class Found:
    """All that lies in the named folders, each kind in the order of its paths."""

    pretrainings: list[PretrainingFound] = field(default_factory=list)
    finetunings: list[FinetuningFound] = field(default_factory=list)
    tests: list[TestFound] = field(default_factory=list)
    analyses: list[tuple[Path, Analyses, Examples]] = field(default_factory=list)
    results: list[tuple[Path, Results, Examples]] = field(default_factory=list)
    tables: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(
            map(len, (self.pretrainings, self.finetunings, self.tests, self.analyses, self.results, self.tables))
        )


def find_runs(folders: Sequence[Path]) -> Found:
    """Look through folders; runs that lie in two of them count once.

    Raises:
        DataError: no such folder, one without any run, or a damaged file in it.
    """
    found, seen = Found(), set[Path]()
    for folder in folders:
        if not folder.is_dir():
            raise DataError(folder, "no such folder", "Name a folder that a run wrote (its --out).")
        before, known = len(found), bool(seen & {*map(Path.resolve, (folder, *folder.parents))})
        for path in _walk(folder):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                _read(path, found)
        if len(found) == before and not known:
            problem = "no run in it: no run.json, model.json, results.json or analyses.json"
            raise DataError(folder, problem, "Name a folder that a finished run wrote (its --out).")
    return found


def is_quickstart(folder: Path) -> bool:
    """Whether a folder's results.json is one run's whole page, or missing where nothing else is there either."""
    path = folder / "results.json"
    if path.is_file():
        return "schema" in _object(path)
    others = ("run.json", "model.json", "analyses.json")
    return folder.is_dir() and not any(True for name in others for _ in folder.rglob(name))


def _walk(folder: Path) -> Iterator[Path]:
    """The folder and those below it, but for data."""
    for root, below, _ in os.walk(folder):
        deep = len(Path(root).relative_to(folder).parts)
        below[:] = sorted(name for name in below if name not in _SKIPPED and not name.startswith(".") and deep < _DEEP)
        if deep == 0 or not (Path(root) / "manifest.json").exists():
            yield Path(root)
        else:
            below.clear()


def _read(path: Path, found: Found) -> None:
    if (path / "run.json").is_file() and isinstance((card := _object(path / "run.json")).get("recipe"), dict):
        if "engine" in card["recipe"]:
            found.pretrainings.append(PretrainingFound(path, card, _log(path), _optional(path / "result.json")))
    elif (path / "model.json").is_file() and "task" in (card := _object(path / "model.json")):
        found.finetunings.append(_finetuning(path, card))
    if (path / "analyses.json").is_file():
        found.analyses.append((path, read_analyses(path), load_examples(path)))
    if (path / "results.json").is_file():
        content = _object(path / "results.json")
        if "schema" in content:
            found.results.append((path, read_results(path / "results.json"), load_examples(path)))
        elif {"task", "metric", "figures", "data", "seed"} <= content.keys():
            found.tests.append(TestFound(path, content, load_examples(path), False))
    if path.name == "tables":
        contents = [(file, _object(file)) for file in sorted(path.glob("*.json"))]
        found.tables.extend((file, one) for file, one in contents if {"table", "rows", "columns"} <= one.keys())


def _finetuning(path: Path, card: dict[str, Any]) -> FinetuningFound:
    result, test = _optional(path / "result.json"), None
    if result is not None and isinstance(result.get("test"), dict):
        about = {name: card.get(name) for name in ("recipe", "init", "labels", "settings", "seed", "identity")}
        splits = card.get("splits") or ["test"]
        data = {"split": splits[-1], "store": card.get("store") or card.get("data") or ""}
        content = {"task": card["task"], "metric": result["metric"], "figures": result["test"], "data": data, **about}
        test = TestFound(path, content, Examples(), True)
    return FinetuningFound(path, card, _log(path), result, test)


def stem(path: Path) -> str:
    """A run's folder without its seed: what runs of a quickstart or a table that differ by it alone have in common."""
    return _SEED.sub("", path.name)


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path, "Delete it, or run again to write it anew.")
    if not isinstance(content, dict):
        raise DataError(path, "holds no JSON object", "Delete it, or run again to write it anew.")
    return content


def _optional(path: Path) -> dict[str, Any] | None:
    return _object(path) if path.is_file() else None


def _log(path: Path) -> list[dict[str, Any]]:
    return [row for row in read_log(path / "log.jsonl") if isinstance(row, dict) and isinstance(row.get("step"), int)]

"""Which runs belong together: those that share all but the seed. Nobody picks the best of them."""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pointdistill.compare.found import FinetuningFound, Found, PretrainingFound, TestFound, stem
from pointdistill.report.charts import KNOWN, ink_of
from pointdistill.report.comparison import INIT_NAMES

Run = TypeVar("Run")
SCRATCH = "scratch"
_MOST = 3


@dataclass(frozen=True)
class Group(Generic[Run]):
    """Runs of one kind that share all but the seed.

    Attributes:
        name: for the reader; no two groups that are compared have the same.
        ink: class of its colour.
        runs: by their seed.
    """

    name: str
    ink: str
    runs: list[Run]


def grouped(
    runs: Iterable[Run],
    settings: Callable[[Run], Mapping[str, Any]],
    name: Callable[[Run], str],
    seed: Callable[[Run], int],
) -> list[Group[Run]]:
    """Group runs by their settings; groups of the same name are told apart by the settings that differ.

    Args:
        runs: to be grouped; the order of first appearance stays.
        settings: all that decides a run but the seed.
        name: what it is called.
        seed: what orders it within its group.
    """
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(json.dumps(settings(run), sort_keys=True, default=str), []).append(run)
    members = [sorted(group, key=seed) for group in found.values()]
    names = _apart([name(group[0]) for group in members], [flat(settings(group[0])) for group in members])
    others = [one for one in names if one not in KNOWN]
    return [Group(one, ink_of(one, others), group) for one, group in zip(names, members, strict=True)]


def _apart(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names, where several are the same with what differs between them."""
    made = []
    for name, own in zip(names, settings, strict=True):
        rivals = [other for other, rival in zip(settings, names, strict=True) if rival == name]
        differing = [key for key in own if any(other.get(key) != own[key] for other in rivals)]
        said = ", ".join(f"{key.rpartition('.')[2].replace('_', ' ')} {_short(own[key])}" for key in differing[:_MOST])
        made.append(f"{name} ({said})" if said else name)
    return [f"{name} #{made[:at].count(name) + 1}" if made.count(name) > 1 else name for at, name in enumerate(made)]


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by their path."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def differing(groups: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Settings in which groups differ, and the value of each (None where it has none)."""
    every = [flat(group) for group in groups]
    keys = dict.fromkeys(key for one in every for key in one)
    rows = [(key, [one.get(key) for one in every]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]


def without_seed(card: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a pre-training but for its seed: recipe, data, teacher."""
    recipe = _seedless(json.loads(json.dumps(card["recipe"], default=str)))
    data, teacher = card.get("data") or {}, card.get("teacher") or {}
    about = {"store": data.get("store"), "targets_permuted": data.get("targets_permuted")}
    return {"recipe": recipe, "data": about, "teacher": teacher.get("identity")}


def _seedless(value: Any) -> Any:
    """Settings without the seeds in them."""
    if isinstance(value, dict):
        return {key: _seedless(inner) for key, inner in value.items() if key != "seed"}
    return [_seedless(inner) for inner in value] if isinstance(value, list) else value


def pretraining_groups(found: Found) -> list[Group[PretrainingFound]]:
    """Pre-trainings by recipe, data and teacher."""
    return grouped(found.pretrainings, lambda run: without_seed(run.card), pretraining_name, lambda run: run.seed)


def pretraining_name(run: PretrainingFound) -> str:
    """Its recipe's name; the control with permuted targets says so."""
    permuted = (run.card.get("data") or {}).get("targets_permuted")
    return f"{run.card['recipe'].get('name', '?')}{', permuted targets' if permuted else ''}"


class Starts:
    """What fine-tuned models started from, by the pre-trainings that are there."""

    def __init__(self, found: Found):
        groups = pretraining_groups(found)
        self._names = {run.card.get("identity"): group.name for group in groups for run in group.runs}
        self._settings = {run.card.get("identity"): without_seed(run.card) for run in found.pretrainings}

    def of(self, test: TestFound) -> str:
        """What a tested model started from."""
        return self.name(test.content, _folder(test))

    def name(self, content: Mapping[str, Any], folder: str) -> str:
        """Scratch, or the pre-training; of a quickstart's runs, which do not say, what their folder says."""
        init = content.get("init")
        if init is None:
            start = next((known for known in INIT_NAMES if folder.startswith(known)), folder)
            return start
        if isinstance(init, str):
            return init
        return self._names.get(init.get("identity")) or str(init.get("recipe") or "a checkpoint")

    def settings(self, content: Mapping[str, Any], folder: str) -> Any:
        """The same as settings: a pre-training's own where it is there, else its recipe's name and its sizes."""
        init = content.get("init")
        if not isinstance(init, Mapping):
            return self.name(content, folder)
        known = self._settings.get(init.get("identity"))
        return known or {"recipe": init.get("recipe"), "config": init.get("config"), "group": init.get("settings")}


def test_groups(tests: Sequence[TestFound], starts: Starts) -> list[Group[TestFound]]:
    """Tests of one task, metric and split by recipe, start, labels and settings."""

    def settings(test: TestFound) -> dict[str, Any]:
        content, folder = test.content, _folder(test)
        start = starts.settings(content, folder)
        return {"start": start, **{name: content.get(name) for name in ("recipe", "labels", "settings")}}

    return grouped(
        tests, settings, lambda test: starts.name(test.content, _folder(test)), lambda test: int(test.content["seed"])
    )


def finetuning_groups(runs: Sequence[FinetuningFound], starts: Starts) -> list[Group[FinetuningFound]]:
    """Fine-tunings of one task by recipe, start, labels and settings."""

    def settings(run: FinetuningFound) -> dict[str, Any]:
        names = ("recipe", "labels", "settings", "config", "backbone")
        return {"start": starts.settings(run.card, stem(run.path)), **{name: run.card.get(name) for name in names}}

    return grouped(
        runs, settings, lambda run: starts.name(run.card, stem(run.path)), lambda run: int(run.card.get("seed", 0))
    )


def _folder(test: TestFound) -> str:
    return stem(test.path if test.own else test.path.parent)


def blocks(tests: Sequence[TestFound]) -> dict[tuple[Hashable, ...], list[TestFound]]:
    """Tests that can be compared: of one task, metric, split and store, on as many labels."""
    found: dict[tuple[Hashable, ...], list[TestFound]] = {}
    for test in tests:
        content = test.content
        labels = content.get("labels")
        if content.get("init") is None and test.own:  # a quickstart's: the folder says how many labels
            labels = stem(test.path).partition("-")[2]
        key = (
            content["task"],
            content["metric"],
            content["data"]["split"],
            content["data"].get("store"),
            labels,
            test.own,
        )
        found.setdefault(key, []).append(test)
    return found


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:30]

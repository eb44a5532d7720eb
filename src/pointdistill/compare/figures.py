"""The figures of comparable runs: means, spreads, differences with their tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pointdistill.compare.found import TestFound
from pointdistill.compare.groups import SCRATCH, Group, Starts, blocks, test_groups
from pointdistill.metrics.significance import Difference, holm, paired, welch

_BY = ("_by_class", "_by_category")


@dataclass(frozen=True)
class Against:
    """A group's main metric less the baseline's.

    Attributes:
        test: "paired t" over the seeds that both have, two or more; else "Welch".
        found: the difference in points, its p value and 95 % interval.
        p: corrected over all comparisons of the page (Holm); NaN where the test says nothing.
    """

    test: str
    found: Difference
    p: float


@dataclass(frozen=True)
class Block:
    """Tests that can be compared.

    Attributes:
        task, metric, split, labels: what of, on what; labels None: all.
        own: the tests at the end of training, not those by `evaluate`.
        groups: the runs.
        figures: by group's name: figure -> one value a seed, in %.
        classes: by group's name: figure by class -> class -> mean over seeds, in %.
        baseline: name of the group that others are compared with; None where there is but one.
        against: by group's name.
    """

    task: str
    metric: str
    split: str
    labels: Any
    own: bool
    groups: list[Group[TestFound]]
    figures: dict[str, dict[str, list[float]]]
    classes: dict[str, dict[str, dict[str, float]]]
    baseline: str | None
    against: dict[str, Against]


def compare(tests: Sequence[TestFound], starts: Starts) -> list[Block]:
    """All blocks, their p values corrected together."""
    made = []
    for (task, metric, split, _, labels, own), members in blocks(tests).items():
        groups = test_groups(members, starts)
        figures = {group.name: _figures(group.runs) for group in groups}
        classes = {group.name: _classes(group.runs) for group in groups}
        baseline = _baseline([group for group in groups if figures[group.name].get(str(metric))], starts)
        block = Block(str(task), str(metric), str(split), labels, bool(own), groups, figures, classes, baseline, {})
        made.append(replace(block, against=_against(block)))
    tests_made = [one for block in made for one in block.against.values()]
    corrected = iter(holm([one.found.p for one in tests_made]))
    return [
        replace(block, against={name: replace(one, p=next(corrected)) for name, one in block.against.items()})
        for block in made
    ]


def _against(block: Block) -> dict[str, Against]:
    base = next((group for group in block.groups if group.name == block.baseline), None)
    if base is None:
        return {}
    found = {}
    for group in block.groups:
        mine, theirs = by_seed(group.runs, block.metric), by_seed(base.runs, block.metric)
        if group is base or not mine or not theirs:
            continue
        shared = sorted(mine.keys() & theirs.keys())
        if len(shared) > 1:
            test = f"paired t, {len(shared)} seeds"
            difference = paired([mine[seed] for seed in shared], [theirs[seed] for seed in shared])
        else:
            test = "Welch"
            difference = welch(independent(group.runs, block.metric), independent(base.runs, block.metric))
        found[group.name] = Against(test, difference, math.nan)
    return found


def _baseline(groups: Sequence[Group[TestFound]], starts: Starts) -> str | None:
    """What others are compared with: scratch, by the recipe that most groups have; else the first."""
    if len(groups) < 2:
        return None
    recipes = [group.runs[0].content.get("recipe") for group in groups]
    usual = max(recipes, key=recipes.count)
    scratch = [group for group in groups if starts.of(group.runs[0]) == SCRATCH]
    return (sorted(scratch, key=lambda group: group.runs[0].content.get("recipe") != usual) or groups)[0].name


def origins(runs: Sequence[TestFound]) -> int:
    """How many different weights the runs started from; 0 where they do not say, or from scratch."""
    return len({one["identity"] for run in runs if isinstance(one := run.content.get("init"), Mapping)})


def independent(runs: Sequence[TestFound], metric: str) -> list[float]:
    """One figure a start: of several fine-tunings of the same weights the one of the lowest seed, in %."""
    found: dict[object, TestFound] = {}
    for run in sorted(runs, key=lambda run: int(run.content["seed"])):
        init = run.content.get("init")
        found.setdefault(init["identity"] if isinstance(init, Mapping) else run.content["seed"], run)
    return values([*found.values()], metric)


def by_seed(runs: Sequence[TestFound], metric: str) -> dict[int, float]:
    """A figure by its run's seed, in the order of seeds, in %."""
    return {
        int(run.content["seed"]): 100 * run.content["figures"][metric]
        for run in runs
        if _is_share(run.content["figures"].get(metric))
    }


def values(runs: Sequence[TestFound], metric: str) -> list[float]:
    """A figure of each run that has it, in %."""
    found = [run.content["figures"].get(metric) for run in runs]
    return [100 * value for value in found if _is_share(value)]


def _figures(runs: Sequence[TestFound]) -> dict[str, list[float]]:
    names = dict.fromkeys(name for run in runs for name, value in run.content["figures"].items() if _is_share(value))
    return {name: values(runs, name) for name in names}


def _classes(runs: Sequence[TestFound]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for name, by in run.content["figures"].items():
            if isinstance(by, Mapping) and name.endswith(_BY):
                for label, value in by.items():
                    if _is_share(value):
                        found.setdefault(name, {}).setdefault(label, []).append(100 * value)
    return {name: {label: sum(v) / len(v) for label, v in by.items()} for name, by in found.items()}


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

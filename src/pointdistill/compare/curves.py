"""Curves out of the runs' logs: each figure that a log holds, group beside group."""

from collections.abc import Sequence
from typing import Any

from pointdistill.compare.found import FinetuningFound, PretrainingFound
from pointdistill.compare.groups import Group
from pointdistill.report.charts import thinned
from pointdistill.report.figures import in_words
from pointdistill.report.html import Html, join, tag
from pointdistill.report.result_charts import Curves, curve_chart
from pointdistill.report.widgets import toggles

_NOT_DRAWN = ("step", "steps_per_second")
_FIRST = ("loss", "heldout_r2", "prefix_r2", "svm_accuracy", "validation")

Runs = Sequence[Group[PretrainingFound]] | Sequence[Group[FinetuningFound]]


def curves_section(said: str, groups: Runs, heading: str = "") -> Html | None:
    """A chart for each figure of the logs: seeds thin, means bold.

    Args:
        said: a sentence before them.
        groups: whose logs.
        heading: before the charts, where the section has several kinds.
    """
    keys = _keys([row for group in groups for run in group.runs for row in run.log])
    charts = [
        curve_chart(in_words(key), "step", in_words(key), drawn)
        for key in keys
        if (drawn := [one for number, group in enumerate(groups) if (one := _curves(number, group, key)).runs])
    ]
    if not charts:
        return None
    series = [(number, group.name, group.ink) for number, group in enumerate(groups)]
    return join(
        [
            tag("h3", heading) if heading else None,
            tag("p", said, class_="prose") if said else None,
            toggles(series),
            tag("div", charts, class_="charts"),
        ]
    )


def _keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The figures in the logs, those that matter most first."""
    found = dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value))
    kept = [key for key in found if key not in _NOT_DRAWN and not key.endswith("seconds")]
    return [*(key for key in _FIRST if key in kept), *(key for key in kept if key not in _FIRST)]


def _curves(number: int, group: Group[Any], key: str) -> Curves:
    runs = []
    for run in group.runs:
        points = [(float(row["step"]), float(row[key])) for row in run.log if _is_number(row.get(key))]
        x, y = thinned([step for step, _ in points], [value for _, value in points])
        if len(x) > 1:
            runs.append((f"{group.name}, {run.path.name}", x, y))
    return Curves(number, group.name, group.ink, runs)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

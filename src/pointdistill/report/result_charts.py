"""The charts of results.json: figures a seed, pre-trainings, validation curves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointdistill.report.charts import Dots, Line, dot_chart, line_chart
from pointdistill.report.comparison import FINE_TUNING, INIT_NAMES, mean_and_std, task_lines, title
from pointdistill.report.comparison import Line as ResultLine
from pointdistill.report.html import Html, tag
from pointdistill.report.schema import PretrainingRun, Results, TaskResult


@dataclass(frozen=True)
class Curves:
    """The curves of runs that share all but the seed.

    Attributes:
        number: of the group, the same in all charts of a section: its legend's button.
        name: of the group.
        ink: class of its colour.
        runs: name, x and y of each run.
    """

    number: int
    name: str
    ink: str
    runs: list[tuple[str, list[float], list[float]]]


def bars(name: str, task: TaskResult) -> Html:
    """A task's main metric under each protocol and label budget, its figures a seed beside their mean."""
    shown = [line for line in task_lines(name, task) if line.metric == task.metric]
    several = len({line.labels for line in shown}) > 1
    groups = [
        (
            line.labels if several and line.protocol == FINE_TUNING else line.protocol,
            [dots(INIT_NAMES[init], _ink(init), line.figures[init]) for init in line.figures],
        )
        for line in shown
    ]
    tuned = sum(line.protocol == FINE_TUNING for line in shown)
    floor = None if task.no_learning is None else (task.no_learning, tuned)
    return dot_chart(f"{title(name)}: {'; '.join(map(_told, shown))}", groups, floor)


def _told(line: ResultLine) -> str:
    means = (f"{INIT_NAMES[init]} {mean_and_std(figures)[0]:.1f}" for init, figures in line.figures.items())
    return f"{line.protocol}, {line.labels}: {', '.join(means)}"


def dots(name: str, ink: str, figures: Sequence[float]) -> Dots:
    """Figures a seed with mean and standard deviation."""
    mean, std = mean_and_std(figures)
    return Dots(name, ink, figures, mean, std)


def curve_chart(heading: str, x: str, y: str, curves: Sequence[Curves]) -> Html:
    """A card with curves: seeds thin, the mean of each group bold; to those who cannot see it, it tells the ends."""
    lines = [line for group in curves for line in grouped(group)]
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:g}" for line in lines if not line.thin and len(line.y))
    drawn = line_chart(f"{heading}: {ends}", x, y, lines)
    return tag("figure", tag("figcaption", heading), drawn, class_="card")


def grouped(group: Curves) -> list[Line]:
    """A group's lines: its runs, and their mean with a band of one standard deviation over the steps all have."""
    number, runs = group.number, [run for run in group.runs if run[1]]
    if len(runs) == 1:
        name, x, y = runs[0]
        return [Line(name, group.ink, x, y, number)]
    lines = [Line(name, group.ink, x, y, number, thin=True) for name, x, y in runs]
    shared = sorted(set.intersection(*({*x} for _, x, _ in runs))) if runs else []
    if len(shared) < 2:
        return [Line(line.name, line.ink, line.x, line.y, number) for line in lines]
    at = [dict(zip(x, y, strict=True)) for _, x, y in runs]
    values = np.array([[one[step] for step in shared] for one in at])
    mean, std = values.mean(0).tolist(), values.std(0, ddof=1).tolist()
    return [*lines, Line(f"{group.name}, mean of {len(runs)}", group.ink, shared, mean, number, spread=std)]


def pretraining_charts(runs: Sequence[PretrainingRun]) -> list[Html]:
    """Loss curves and the R^2 of the prefix on unseen rooms; reconstruction has another loss, so a chart of its own."""
    reconstructions = [run for run in runs if run.method == "point_mae"]
    distillations = [run for run in runs if run.method != "point_mae"]
    charts = [
        ("Distillation loss", "loss", distillations, "loss"),
        ("Held-out R² of the predicted prefix", "R²", runs, "r2"),
        ("Reconstruction loss (Point-MAE)", "loss", reconstructions, "loss"),
    ]
    return [
        curve_chart(heading, "step", axis, curves)
        for heading, axis, shown, what in charts
        if (curves := _pretrainings(shown, what))
    ]


def _pretrainings(runs: Sequence[PretrainingRun], what: str) -> list[Curves]:
    found = []
    for method in dict.fromkeys(run.method for run in runs):
        kept = []
        for run in runs:
            points = [point for point in run.curve if getattr(point, what) is not None]
            if run.method == method and len(points) > 1:
                name = f"{INIT_NAMES.get(method, method)}, seed {run.seed}"
                kept.append((name, [float(point.step) for point in points], [getattr(p, what) for p in points]))
        if kept:
            found.append(Curves(_number(method), INIT_NAMES.get(method, method), _ink(method), kept))
    return found


def series_of(inits: Sequence[str]) -> list[tuple[int, str, str]]:
    """What `widgets.toggles` is told of initialisations."""
    return [(_number(init), INIT_NAMES.get(init, init), _ink(init)) for init in inits]


def _number(init: str) -> int:
    return list(INIT_NAMES).index(init) if init in INIT_NAMES else len(INIT_NAMES)


def _ink(init: str) -> str:
    return init if init in INIT_NAMES else "hue0"


def validation_charts(results: Results) -> list[Html]:
    """Validation curves of fine-tuning at the main label budget, a chart a task that has any."""
    return [
        curve_chart(title(name), "step", f"{task.metric} ({task.unit})" if task.unit else task.metric, curves)
        for name, task in results.tasks.items()
        if (curves := _validations(task))
    ]


def _validations(task: TaskResult) -> list[Curves]:
    rows = [row for row in task.rows if row.protocol == FINE_TUNING and row.labels == task.labels and any(row.curves)]
    found = []
    for row in rows:
        curves = [curve for curve in row.curves if curve]
        runs = [
            (
                f"{INIT_NAMES[row.init]}, {index + 1} of {len(curves)}",
                [float(point.step) for point in curve],
                [point.value for point in curve],
            )
            for index, curve in enumerate(curves)
        ]
        found.append(Curves(_number(row.init), INIT_NAMES[row.init], _ink(row.init), runs))
    return found


def shown_inits(results: Results) -> list[str]:
    """The initialisations with validation curves, in their fixed order."""
    present = {
        row.init
        for task in results.tasks.values()
        for row in task.rows
        if row.labels == task.labels and any(row.curves)
    }
    return [init for init in INIT_NAMES if init in present]

"""What every table and figure of a report shows: for a task, protocol, label fraction and metric, the figures of each
initialisation side by side. Terminal, Markdown and page all draw from these lines, so that they cannot disagree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pointdistill.metrics.significance import mean_std
from pointdistill.report.schema import INITS, Comparison, Results, TaskResult

INIT_NAMES = {
    "scratch": "scratch",
    "distilled": "distilled",
    "permuted": "permuted targets",
    "point_mae": "Point-MAE",
}
FINE_TUNING, LINEAR_PROBE = "fine-tuning", "linear probe"


@dataclass(frozen=True)
class Line:
    """One line of the results table. `figures` maps an initialisation to one figure a seed.

    `main` marks the task's headline: main metric, fine-tuning, main label fraction. `no_learning` and `significance`
    are set only where the run measured them for this very comparison.
    """

    task: str
    metric: str
    unit: str
    protocol: str
    labels: str
    figures: dict[str, list[float]]
    main: bool = False
    no_learning: float | None = None
    significance: dict[str, Comparison] | None = None
    won: bool | None = None

    @property
    def difference(self) -> float | None:
        """Mean of distilled minus mean of scratch, None unless both are there."""
        if not self.figures.get("scratch") or not self.figures.get("distilled"):
            return None
        return mean_std(self.figures["distilled"]).mean - mean_std(self.figures["scratch"]).mean


def lines(results: Results) -> list[Line]:
    """All lines of the results table: task by task, fine-tuning before probes, the main label fraction first."""
    return [line for name, task in results.tasks.items() for line in task_lines(name, task)]


def task_lines(name: str, task: TaskResult) -> list[Line]:
    """The lines of one task, its headline first."""
    groups: dict[tuple[str, str, str], dict[str, list[float]]] = {
        (FINE_TUNING, task.labels, task.metric): {"scratch": task.scratch, "distilled": task.distilled}
    }
    for row in task.rows:
        for metric, figures in row.metrics.items():
            groups.setdefault((row.protocol, row.labels, metric), {})[row.init] = figures
    order = sorted(groups, key=lambda key: (key[0] != FINE_TUNING, key[1] != task.labels))
    return [_line(name, task, key, groups[key]) for key in order]


def _line(name: str, task: TaskResult, key: tuple[str, str, str], figures: dict[str, list[float]]) -> Line:
    protocol, labels, metric = key
    main = key == (FINE_TUNING, task.labels, task.metric)
    tuned = protocol == FINE_TUNING and metric == task.metric
    return Line(
        task=name,
        metric=metric,
        unit=task.unit,
        protocol=protocol,
        labels=labels,
        figures={init: figures[init] for init in INITS if figures.get(init)},
        main=main,
        no_learning=task.no_learning if tuned else None,
        significance=task.significance if main else None,
        won=task.won if main else None,
    )


def mean_and_std(figures: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1); None for the latter if there is only one figure."""
    mean, std = mean_std(figures)
    return mean, None if math.isnan(std) else std


def figure_text(figures: Sequence[float] | None) -> str:
    """Such as "71.2 ± 1.3"; "71.2 ± -" if there is but one figure, "" if there is none."""
    if not figures:
        return ""
    mean, std = mean_and_std(figures)
    return f"{mean:.1f} ± {'-' if std is None else f'{std:.1f}'}"


def difference_text(difference: float | None) -> str:
    """A signed difference in points, "" if unknown; what rounds to nothing has no sign."""
    if difference is None:
        return ""
    return f"{difference:+.1f}" if abs(difference) >= 0.05 else "0.0"


def p_text(p: float) -> str:
    """Such as "p = 0.013", or a bound where more digits would mean nothing; "p unknown" for NaN."""
    if math.isnan(p):
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def title(task: str) -> str:
    """A task's name as a heading: "semantic_segmentation" -> "Semantic segmentation"."""
    return task.replace("_", " ").capitalize()


def shown_inits(rows: Sequence[Line]) -> list[str]:
    """The initialisations that occur, scratch and distilled always among them, in their fixed order."""
    return [init for init in INITS if init in ("scratch", "distilled") or any(init in row.figures for row in rows)]


def notes(results: Results) -> list[str]:
    """What must stand under each table: how often things were repeated, and what the figures are worth."""
    counts = sorted({len(task.seeds) for task in results.tasks.values()})
    runs = sum(run.method == "distilled" for run in results.pretraining)
    tuned = " to ".join(str(count) for count in (counts if len(counts) < 2 else (counts[0], counts[-1])))
    said = [
        f"Mean ± standard deviation over {tuned or 'no'} fine-tuning {_plural('seed', counts[-1] if counts else 0)}; "
        f"{runs or 'no'} {_plural('pre-training', runs)} by distillation."
    ]
    if runs == 1:
        said.append("One pre-training: the spread shown does not contain that between pre-trainings.")
    if results.mode == "fast":
        said.insert(0, "Smoke run: the figures mean nothing.")
    return said


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"

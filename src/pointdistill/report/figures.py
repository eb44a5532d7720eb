"""The figures of one test as one table, for the terminal and for the page: means first, then class by class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NAMES = {
    "accuracy": "accuracy",
    "class_accuracy": "mean over classes",
    "max_of_n": "highest of the repeated votes",
    "miou": "mIoU",
    "mean_accuracy": "mAcc",
    "overall_accuracy": "overall accuracy",
    "instance_miou": "instance mIoU",
    "class_miou": "class mIoU",
    "ap25": "AP25",
    "ap50": "AP50",
    "ar25": "AR25",
    "ar50": "AR50",
    "iou": "IoU",
}
"""Figures as the field calls them."""
_BY = ("_by_class", "_by_category")


@dataclass(frozen=True)
class FigureTable:
    """A test's figures in %, as text.

    Attributes:
        means: name and value of each figure over everything, the main one first.
        columns: what there is of each class.
        classes: name of each class and its value in each column.
    """

    means: list[tuple[str, str]]
    columns: list[str]
    classes: list[tuple[str, list[str]]]


def figure_table(figures: Mapping[str, Any], metric: str) -> FigureTable:
    """The figures that a task's evaluation returned: shares in [0, 1], None where there was nothing to count.

    Args:
        figures: by name; those by class as mappings under NAME_by_class or NAME_by_category.
        metric: the main one.
    """
    shares = {name: value for name, value in figures.items() if value is None or isinstance(value, float)}
    order = [metric, *(name for name in shares if name != metric)]
    by = {name: value for name, value in figures.items() if isinstance(value, Mapping) and name.endswith(_BY)}
    classes = dict.fromkeys(label for column in by.values() for label in column)
    return FigureTable(
        [(in_words(name), _text(shares[name])) for name in order if name in shares],
        [in_words(name.removesuffix(_BY[0]).removesuffix(_BY[1])) for name in by],
        [(label, [_text(column.get(label)) for column in by.values()]) for label in classes],
    )


def in_words(name: str) -> str:
    """A figure's name as people write it."""
    votes = name.removeprefix("vote")
    if votes != name and votes.isdigit():
        return f"accuracy, mean of {votes} votes"
    return NAMES.get(name, name.replace("_", " "))


def print_figures(title: str, table: FigureTable, console: Console) -> None:
    """Print it as one table."""
    shown = Table(box=box.SIMPLE_HEAD, show_header=False)
    shown.add_column(overflow="fold")
    for _ in table.columns or [""]:
        shown.add_column(justify="right")
    for row, (name, value) in enumerate(table.means):
        last = row + 1 == len(table.means)
        shown.add_row(Text(name), value, style=None if row else "bold cyan", end_section=last)
    if table.classes:
        shown.add_row("by class", *table.columns, style="bold")
    for name, values in table.classes:
        shown.add_row(Text(name), *values)
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(shown)


def _text(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"

"""One measurement beside what it is compared with, as a line of a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Limit:
    """What a figure has to reach.

    Attributes:
        text: in words.
        held: whether it was.
    """

    text: str
    held: bool


@dataclass(frozen=True)
class Figure:
    """A figure of the package's, and the same of others from the same run.

    Attributes:
        what: what was measured, with its sizes.
        ours: the figure, in `unit`.
        unit: of ours and of the others.
        others: the same of peers, of the plain way, of the machine at its best, by name.
        limit: None where nothing was promised.
        note: what else belongs to it.
        parts: what it is made of, in `unit`.
        more: more is better; else less is.
    """

    what: str
    ours: float
    unit: str
    others: dict[str, float] = field(default_factory=dict)
    limit: Limit | None = None
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)
    more: bool = False

    def ratio(self, name: str) -> float:
        """How many times as quick (as small) ours is as another one."""
        other = self.others[name]
        if self.more:
            return self.ours / other if other else float("inf")
        return other / self.ours if self.ours else float("inf")

    def as_json(self) -> dict[str, Any]:
        """Everything, with the ratios and the words."""
        return {
            "what": self.what,
            "ours": self.ours,
            "unit": self.unit,
            "more_is_better": self.more,
            "others": {name: {"figure": value, "ratio": self.ratio(name)} for name, value in self.others.items()},
            "parts": self.parts,
            "limit": None if self.limit is None else {"text": self.limit.text, "held": self.limit.held},
            "note": self.note,
        }


def show(title: str, figures: Sequence[Figure], console: Console) -> None:
    """A table of figures: ours, the others and how many times as quick (or as small) ours is, the limit."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("measured", "ours", "beside it", "", "times", "limit"):
        table.add_column(heading, justify="left" if heading in ("measured", "beside it", "limit") else "right")
    for figure in figures:
        beside = [(name, number(value), f"{figure.ratio(name):.2f}") for name, value in figure.others.items()]
        beside += [(f"of it {name}", number(value), "") for name, value in figure.parts.items()]
        limit = "" if figure.limit is None else f"{figure.limit.text}: {'held' if figure.limit.held else 'MISSED'}"
        what = figure.what + (f"; {figure.note}" if figure.note else "")
        first, *others = beside or [("", "", "")]
        table.add_row(what, f"{number(figure.ours)} {figure.unit}".strip(), *first, limit)
        for cells in others:
            table.add_row("", "", *cells, "")
    console.print(table)


def number(value: float) -> str:
    """Three figures that matter, and whole numbers above."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"

"""A table's result as people read it: one grid of cells for the terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from pointdistill.console import in_markdown, say
from pointdistill.metrics.significance import mean_std
from pointdistill.report.comparison import difference_text, p_text
from pointdistill.report.figures import in_words
from pointdistill.reproduce.results import RowResult, Spread, TableResult

_LABELS = 44
"""Characters that a row's label has on a line of the terminal."""


@dataclass(frozen=True)
class Grid:
    """Headings, and rows of as many cells; the first column is text, the others are numbers."""

    title: str
    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Sheet:
    """What is shown of a target.

    Attributes:
        title: with the source.
        grids: the main one first.
        notes: what must stand under it.
    """

    title: str
    grids: list[Grid]
    notes: list[str]


def sheet(result: TableResult) -> Sheet:
    """The table beside the paper's, its claims, and what each row cost."""
    grids = [grid for grid in (_figures(result), _claims(result), _costs(result)) if grid.rows]
    return Sheet(f"{result.source}: {result.title}, scale {result.scale}", grids, notes(result))


def _figures(result: TableResult) -> Grid:
    printed = [column for column in result.columns if any(row.published.get(column) is not None for row in result.rows)]
    measured = [column for column in result.columns if any(column in row.figures for row in result.rows)]
    headings = ["row", "pre-trained on", *(f"paper, {in_words(column)}" for column in printed)]
    headings += [f"ours, {column_name(column, result)}" for column in measured]
    headings += ["linear probe", "std between pre-trainings", "std between fine-tunings"]
    rows = [
        [
            _label(row),
            row.data,
            *(number_text(row.published.get(column)) for column in printed),
            *(mean_text(row.figures.get(column)) for column in measured),
            mean_text(row.probe),
            *_spreads(row.spread),
        ]
        for row in result.rows
    ]
    return Grid(result.title, headings, rows)


def column_name(column: str, result: TableResult) -> str:
    """A column of ours in words."""
    if column == "best":
        where = "test" if result.scale == "paper" else "validation"
        return f"best of the {where} curve"
    return "last weights, accuracy" if column == "accuracy" else in_words(column)


def _label(row: RowResult) -> str:
    return f"{row.label} (ours)" if row.ours else row.label if row.trained else f"{row.label} (not trained here)"


def _spreads(spread: Spread) -> list[str]:
    return [number_text(spread.pretraining), number_text(spread.finetuning)]


def _claims(result: TableResult) -> Grid:
    headings = ["claim", "paper", "ours", "95 % interval", "p, Holm", "verdict"]
    rows = [
        [
            f"{claim.better} > {claim.worse}",
            "" if claim.published is None else f"{claim.published:+.2f}",
            difference_text(claim.difference),
            "" if claim.low is None else f"{claim.low:+.1f} to {claim.high:+.1f}",
            "" if claim.p is None else p_text(claim.p).removeprefix("p ").removeprefix("= "),
            claim.verdict,
        ]
        for claim in result.claims
    ]
    return Grid("What the paper's rows say of each other", headings, rows)


def _costs(result: TableResult) -> Grid:
    figures = list(dict.fromkeys(name for row in result.rows for name in row.heldout))
    headings = ["row", "backbone, parameters", "pre-training, parameters", "pre-training, s", "fine-tuning, s"]
    headings += [f"held-out {name.replace('_', ' ')}" for name in figures]
    rows = [
        [
            row.label,
            _count(row.backbone_parameters),
            _count(row.method_parameters),
            _seconds(row.pretraining_seconds),
            _seconds(row.finetuning_seconds),
            *(_precise(row.heldout.get(name)) for name in figures),
        ]
        for row in result.rows
        if row.trained
    ]
    return Grid("What each row cost, and how its pre-training ended", headings, rows)


def notes(result: TableResult) -> list[str]:
    """What must stand under the table."""
    again = max((len(figures) for row in result.rows for figures in row.second.values()), default=0)
    said = [
        f"Ours: scale {result.scale}, mean ± standard deviation over {result.seeds} "
        f"seed{'s' if result.seeds != 1 else ''}, in %; each seed is a new pre-training and a new fine-tuning. "
        "The paper's figures are single runs or the best of several: it does not say.",
        f"Spread: {again} pre-trainings of a row were fine-tuned twice; what their difference does not explain of the "
        "spread over seeds is called the pre-trainings'. From scratch there is only fine-tuning.",
        "Claims: differences of the main column, paired by seed; two-sided t-test, p corrected by Holm over this "
        f"table's {len(result.claims)} claims; within noise: p is 0.05 or more.",
    ]
    if "ap25" in result.columns:
        said.append(
            "Linear probe: not a detection metric. The true boxes are given; it tells the class of the object in each "
            "from the frozen tokens there."
        )
    if result.scale == "small":
        said.append("At the small scale the embedded world stands for all data sets, its objects for ShapeNet's.")
    if any("prefix_r2" in row.heldout for row in result.rows):
        said.append(
            "Prefix r2: how much of the teacher's prefix a ridge regression finds in frozen features, held-out frames; "
            "of a row with another teacher only where that row was asked for the same prefix."
        )
    if not result.voted and result.task == "classification":
        said.append("No votes in this table, as in the paper.")
    if result.voted:
        said.append("Printed: voted. Ours: votes, last weights and best point apart; claims are of the votes.")
    if any(not row.trained for row in result.rows):
        said.append(f"Rows not trained here: as {result.source} of the paper prints them.")
    said += [f"{row.label}: {row.note}." for row in result.rows if row.note]
    labels = "all labels" if result.labels is None else f"labels: {result.labels} (rooms, or objects a class)"
    host = ", ".join(f"{name} {value}" for name, value in result.host.items())
    said.append(f"{labels}; version {result.version}; {host}.")
    return said


def markdown(sheet: Sheet) -> str:
    """The whole sheet in Markdown."""
    parts = [f"# {in_markdown(sheet.title)}", ""]
    for number, grid in enumerate(sheet.grids):
        parts += [] if number == 0 else [f"## {in_markdown(grid.title)}", ""]
        parts += [*_markdown_grid(grid), ""]
        parts += [*(f"- {in_markdown(note)}" for note in sheet.notes), ""] if number == 0 else []
    return "\n".join(parts).rstrip() + "\n"


def _markdown_grid(grid: Grid) -> list[str]:
    rule = "|---|" + "---:|" * (len(grid.headings) - 1)
    lines = [grid.headings, *grid.rows]
    return [_line(lines[0]), rule, *map(_line, lines[1:])]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(in_markdown, cells)) + " |"


def print_sheet(sheet: Sheet, console: Console) -> None:
    """The whole sheet on the terminal; tables are whole even where it is too narrow for them."""
    for number, grid in enumerate(sheet.grids):
        console.print(Text(sheet.title if number == 0 else grid.title, style="bold"), soft_wrap=True)
        table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1), show_edge=False)
        for column, heading in enumerate(grid.headings):
            cells = [row[column] for row in grid.rows]
            width = max(map(len, [*cells, *heading.split()]))
            width = width if column else min(width, _LABELS)
            table.add_column(heading, justify="right" if column else "left", min_width=width, overflow="fold")
        for row in grid.rows:
            table.add_row(*map(Text, row))
        needed = Measurement.get(console, console.options.update(max_width=1000), table).minimum
        console.print(table, width=max(console.width, needed), crop=False, soft_wrap=needed > console.width)
        for note in sheet.notes if number == 0 else []:
            say(note)
        console.print()


def number_text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") if value > 10 else f"{value:.2f}"


def mean_text(figures: Sequence[float] | None) -> str:
    if not figures:
        return ""
    mean, std = mean_std(figures)
    return f"{mean:.2f}" if len(figures) < 2 else f"{mean:.2f} ± {std:.2f}"


def _precise(figures: Sequence[float] | None) -> str:
    return "" if not figures else f"{sum(figures) / len(figures):.3f}"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number / 1e6:.2f} M"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"

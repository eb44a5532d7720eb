"""The results of a run as one table: for the terminal (rich) and for documents (Markdown)."""

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pointdistill.console import in_markdown
from pointdistill.report.comparison import (
    INIT_NAMES,
    LINEAR_PROBE,
    Line,
    difference_text,
    figure_text,
    lines,
    notes,
    p_text,
    shown_inits,
    title,
)
from pointdistill.report.schema import Results


@dataclass(frozen=True)
class Column:
    """A heading, the cells under it, and whether they are numbers (set flush right)."""

    heading: str
    cells: list[str]
    number: bool = False


def columns(rows: list[Line]) -> list[Column]:
    """The table's columns; those about which the run says nothing are left out."""
    found = [
        Column("task", [title(row.task) for row in rows]),
        Column("protocol", [row.protocol for row in rows]),
        Column("labels", [row.labels for row in rows]),
        Column("metric", [row.metric if row.unit in ("", "%") else f"{row.metric} ({row.unit})" for row in rows]),
        Column("naive", ["" if row.no_learning is None else f"{row.no_learning:.1f}" for row in rows], True),
    ]
    for init in shown_inits(rows):
        found.append(Column(INIT_NAMES[init], [figure_text(row.figures.get(init)) for row in rows], True))
    found.append(Column("diff.", [difference_text(row.difference) for row in rows], True))
    found.append(Column("p, scratch", [_significance(row, "scratch") for row in rows], True))
    found.append(Column("p, permuted", [_significance(row, "permuted") for row in rows], True))
    found.append(Column("won", [{None: "", True: "yes", False: "no"}[row.won] for row in rows]))
    always = {"task", "protocol", "labels", "metric", "scratch", "distilled", "diff."}
    return [column for column in found if column.heading in always or any(column.cells)]


def captions(results: Results) -> list[str]:
    """The lines under the table."""
    said = notes(results)
    units = {row.unit for row in lines(results)}
    said.append(f"Diff.: distilled minus scratch{'; all figures in %' if units == {'%'} else ''}.")
    said += _tests(results)
    if any(row.protocol == LINEAR_PROBE for row in lines(results)):
        said.append("Linear probe: the backbone stays frozen; its scratch column is random weights.")
    if any(row.no_learning is not None for row in lines(results)):
        said.append("Naive: what an answer without learning scores (majority class, mean-size boxes).")
    said += [f"{title(name)}: {task.note}" for name, task in results.tasks.items() if task.note]
    return said


def results_table(results: Results) -> Table:
    """The table for the terminal: under each task's name a line per protocol, label fraction and metric."""
    rows = lines(results)
    shown = columns(rows)[1:]
    table = Table(
        caption=Text("\n".join(["", *captions(results)]), style=""),
        caption_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    for index, column in enumerate(shown):
        names = [] if index else [title(row.task) for row in rows]
        pieces = column.cells if column.number else [word for cell in [*column.cells, *names] for word in cell.split()]
        width = max(map(len, [*pieces, *column.heading.split()]))
        table.add_column(column.heading, justify="right" if column.number else "left", min_width=width, overflow="fold")
    for index, row in enumerate(rows):
        if index == 0 or rows[index - 1].task != row.task:
            table.add_row(Text(title(row.task), style="bold"))
        cells = [Text(column.cells[index]) for column in shown]
        table.add_row(
            *cells,
            style="bold cyan" if row.main else None,
            end_section=index + 1 < len(rows) and rows[index + 1].task != row.task,
        )
    return table


def print_results(results: Results, console: Console) -> None:
    """Print the table, whole even where the console is too narrow for it (a pipe counts as 80 columns)."""
    table = results_table(results)
    needed = Measurement.get(console, console.options.update(max_width=1000), table).minimum
    console.print(table, width=max(console.width, needed), crop=False, soft_wrap=needed > console.width)


def markdown_table(results: Results) -> str:
    """The same table in Markdown, its captions under it."""
    shown = columns(lines(results))
    head = "| " + " | ".join(column.heading for column in shown) + " |"
    rule = "|" + "|".join("---:" if column.number else "---" for column in shown) + "|"
    count = len(shown[0].cells)
    body = ["| " + " | ".join(in_markdown(column.cells[index]) for column in shown) + " |" for index in range(count)]
    return "\n".join([head, rule, *body, "", *(f"{in_markdown(line)}  " for line in captions(results))]).rstrip() + "\n"


def _tests(results: Results) -> list[str]:
    """A line about each column of p values: which test it was."""
    names: dict[str, set[str]] = {}
    for row in lines(results):
        for against, test in (row.significance or {}).items():
            names.setdefault(against, set()).add(test.test)
    return [
        f"p, {against}: distilled against {against}; {', '.join(sorted(tests))}." for against, tests in names.items()
    ]


def _significance(row: Line, against: str) -> str:
    test = (row.significance or {}).get(against)
    return "" if test is None else p_text(test.p).removeprefix("p ").removeprefix("= ").replace("< ", "<")

"""The results of a run as one table: for the terminal (rich) and for documents (Markdown)."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

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
        Column("metric", [f"{row.metric} ({row.unit})" if row.unit else row.metric for row in rows]),
        Column("no learning", ["" if row.no_learning is None else f"{row.no_learning:.1f}" for row in rows], True),
    ]
    for init in shown_inits(rows):
        found.append(Column(INIT_NAMES[init], [figure_text(row.figures.get(init)) for row in rows], True))
    found.append(Column("distilled - scratch", [difference_text(row.difference) for row in rows], True))
    found.append(Column("against scratch", [_significance(row, "scratch") for row in rows]))
    found.append(Column("against permuted", [_significance(row, "permuted") for row in rows]))
    found.append(Column("won", [{None: "", True: "yes", False: "no"}[row.won] for row in rows]))
    always = {"task", "protocol", "labels", "metric", "scratch", "distilled", "distilled - scratch"}
    return [column for column in found if column.heading in always or any(column.cells)]


def captions(results: Results) -> list[str]:
    """The lines under the table."""
    said = notes(results)
    if any(row.protocol == LINEAR_PROBE for row in lines(results)):
        said.append("Linear probe: the backbone stays frozen; its scratch column is random weights.")
    if any(row.no_learning is not None for row in lines(results)):
        said.append("No learning: what an answer without any training scores (majority class, mean-size boxes).")
    said += [f"{title(name)}: {task.note}" for name, task in results.tasks.items() if task.note]
    return said


def results_table(results: Results) -> Table:
    """The table for the terminal: a line per task, protocol, label fraction and metric; see `captions` for the rest."""
    rows = lines(results)
    table = Table(caption=Text("\n".join(captions(results))), caption_justify="left", header_style="bold", expand=False)
    shown = columns(rows)
    for column in shown:
        table.add_column(column.heading, justify="right" if column.number else "left")
    for index, row in enumerate(rows):
        last = index + 1 == len(rows) or rows[index + 1].task != row.task
        first = index == 0 or rows[index - 1].task != row.task
        cells = [column.cells[index] for column in shown]
        style = "bold" if row.main else None
        table.add_row(*map(Text, [cells[0] if first else "", *cells[1:]]), style=style, end_section=last)
    return table


def markdown_table(results: Results) -> str:
    """The same table in Markdown, its captions under it."""
    shown = columns(lines(results))
    head = "| " + " | ".join(column.heading for column in shown) + " |"
    rule = "|" + "|".join("---:" if column.number else "---" for column in shown) + "|"
    count = len(shown[0].cells)
    body = ["| " + " | ".join(_escape(column.cells[index]) for column in shown) + " |" for index in range(count)]
    return "\n".join([head, rule, *body, "", *(f"{line}  " for line in captions(results))]).rstrip() + "\n"


def _significance(row: Line, against: str) -> str:
    test = (row.significance or {}).get(against)
    return "" if test is None else f"{p_text(test.p)} ({test.test})"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")

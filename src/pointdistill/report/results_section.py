"""The page's first section: a card a task and the table of all figures."""

from pointdistill.report import words
from pointdistill.report.comparison import (
    INIT_NAMES,
    Line,
    difference_text,
    figure_text,
    lines,
    mean_and_std,
    p_text,
    shown_inits,
    title,
)
from pointdistill.report.html import Html, join, tag
from pointdistill.report.result_charts import bars
from pointdistill.report.schema import Comparison, Results, TaskResult
from pointdistill.report.tables import captions, columns
from pointdistill.report.widgets import legend, scrolling


def results_section(results: Results) -> Html:
    """Cards, the table, and what must be known to read them."""
    rows = lines(results)
    heads = [line for line in rows if line.main]
    naive = any(line.no_learning is not None for line in heads)
    return join(
        [
            tag("p", words.DOTS, class_="quiet"),
            legend(shown_inits(rows), naive),
            tag("div", [_card(line, results.tasks[line.task]) for line in heads], class_="cards"),
            scrolling(_table(results), "Results table"),
            tag("ul", [tag("li", line) for line in captions(results)], class_="captions quiet"),
        ]
    )


def summary(results: Results) -> str:
    """What the figures say, in a sentence, and the run's own verdicts where it gave any."""
    differences = [line.difference for line in lines(results) if line.main and line.difference is not None]
    higher = sum(difference > 0 for difference in differences)
    said = f"After fine-tuning, the distilled backbone has the higher mean on {higher} of {len(differences)} tasks."
    judged = [task.won for task in results.tasks.values() if task.won is not None]
    if judged:
        said += f" By the run's own criterion (see below) {sum(judged)} of {len(judged)} count as won."
    return said


def _card(line: Line, task: TaskResult) -> Html:
    test = (line.significance or {}).get("scratch")
    verdict = None if line.won is None else tag("span", "won" if line.won else "not won", class_="chip")
    shown = [init for init in ("scratch", "distilled") if init in line.figures]
    figures = [(INIT_NAMES[init], figure_text(line.figures[init])) for init in shown]
    return tag(
        "article",
        tag("h3", title(line.task), verdict),
        tag("p", f"{line.metric}, {line.labels}", class_="quiet"),
        tag(
            "p",
            _difference(line),
            tag("span", _test(test), class_="quiet") if test else None,
            class_="headline-figure",
        ),
        tag("dl", [join([tag("dt", name), tag("dd", text)]) for name, text in figures], class_="pair"),
        bars(line.task, task),
        class_="card",
    )


def _test(test: Comparison) -> str:
    said = f"{p_text(test.p)}, {test.test}"
    if test.low is None or test.high is None:
        return said
    return f"95 % interval {difference_text(test.low)} to {difference_text(test.high)}; {said}"


def _difference(line: Line) -> Html | None:
    """The difference, large; in colour only if it stands out."""
    if line.difference is None:
        return None
    direction = "" if not stands_out(line) else "up" if line.difference > 0 else "down"
    text = difference_text(line.difference).replace("-", "\N{MINUS SIGN}")
    unit = " points" if line.unit == "%" else f" {line.unit}"
    return join([tag("span", text, class_=f"difference {direction}".strip()), tag("span", unit)])


def stands_out(line: Line) -> bool:
    """Whether a difference may be emphasised: significant or, untested, more than both standard deviations together."""
    test = (line.significance or {}).get("scratch")
    if test is not None:
        return test.p < 0.05
    spreads = [mean_and_std(line.figures[init])[1] for init in ("scratch", "distilled") if init in line.figures]
    known = [spread for spread in spreads if spread is not None]
    return line.difference is not None and len(known) == 2 and abs(line.difference) > sum(known)


def _table(results: Results) -> Html:
    """The terminal's table, a body a task, its name once."""
    rows, shown = lines(results), columns(lines(results))
    head = [tag("th", column.heading, scope="col", class_="number" if column.number else None) for column in shown]
    bodies = []
    for task in results.tasks:
        indices = [index for index, row in enumerate(rows) if row.task == task]
        made = []
        for index in indices:
            cells = [tag("td", one.cells[index], class_="number" if one.number else None) for one in shown[1:]]
            name = tag("th", title(task), scope="rowgroup", rowspan=len(indices)) if index == indices[0] else None
            made.append(tag("tr", name, cells, class_="main" if rows[index].main else None))
        bodies.append(tag("tbody", made))
    return tag("table", tag("thead", tag("tr", head)), bodies, class_="results")

"""The comparison's tables and the charts beside them."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointdistill.compare import words
from pointdistill.compare.figures import Against, Block, origins, values
from pointdistill.compare.groups import Group
from pointdistill.console import in_markdown
from pointdistill.report.analyses.schema import LabelCurves
from pointdistill.report.charts import dot_chart, key
from pointdistill.report.comparison import difference_text, figure_text, p_text
from pointdistill.report.figures import in_words
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.result_charts import dots
from pointdistill.report.widgets import scrolling

LEVEL = 0.05


def blocks_section(blocks: Sequence[Block]) -> Html:
    """A card a block: the chart, the table of all figures, and one class by class."""
    if not blocks:
        return tag("p", words.NOTHING, class_="prose")
    tested = any(block.against for block in blocks)
    return join(
        [
            tag("p", words.FIGURES, class_="prose"),
            tag("p", words.TESTED, class_="prose") if tested else None,
            *(_block(block) for block in blocks),
        ]
    )


def title_of(block: Block) -> str:
    """A block's heading."""
    labels = "" if block.labels is None else f", {block.labels} labels"
    how = "at the end of training" if block.own else "by evaluate"
    return f"{block.task.replace('_', ' ').capitalize()}, {block.split} split{labels}, {how}"


def _block(block: Block) -> Html:
    shown = [group for group in block.groups if block.figures[group.name].get(block.metric)]
    said = "; ".join(f"{group.name} {figure_text(block.figures[group.name][block.metric])}" for group in shown)
    group_dots = [dots(group.name, group.ink, block.figures[group.name][block.metric]) for group in shown]
    chart = dot_chart(f"{in_words(block.metric)}: {said}", [(in_words(block.metric), group_dots)], narrow=False)
    return tag(
        "article",
        tag("h3", title_of(block)),
        tag("div", chart, class_="beside-table") if shown else None,
        scrolling(figures_table(block), title_of(block)),
        _classes(block),
        class_="card block",
    )


def head_and_rows(block: Block) -> tuple[list[str], list[list[str]]]:
    """The block's table as text, for the page and for Markdown."""
    names = dict.fromkeys(name for group in block.groups for name in block.figures[group.name])
    order = [block.metric, *(name for name in names if name != block.metric)]
    head = ["runs", "n", "starts", *(in_words(name) for name in order)]
    if block.baseline is not None:
        head += [f"diff. from {block.baseline}", "95 % interval", "p", "test"]
    rows = []
    for group in block.groups:
        figures = block.figures[group.name]
        row = [
            group.name,
            str(len(group.runs)),
            str(origins(group.runs) or ""),
            *(figure_text(figures.get(name)) for name in order),
        ]
        rows.append(row + (_against(block.against.get(group.name)) if block.baseline is not None else []))
    return head, rows


def _against(one: Against | None) -> list[str]:
    if one is None:
        return ["", "", "", ""]
    low, high = one.found.low, one.found.high
    interval = "" if math.isnan(low) else f"{difference_text(low)} to {difference_text(high)}"
    p = "" if math.isnan(one.p) else p_text(one.p).removeprefix("p ").removeprefix("= ").replace("< ", "<")
    return [difference_text(one.found.difference), interval, p, one.test]


def figures_table(block: Block) -> Html:
    """The table; a difference that is significant is bold."""
    head, rows = head_and_rows(block)
    numbers = [*range(1, len(head) - 1), *([] if block.baseline else [len(head) - 1])]
    body = []
    for group, row in zip(block.groups, rows, strict=True):
        one = block.against.get(group.name)
        strong = one is not None and one.p < LEVEL
        cells = [tag("th", _mark(group), group.name, scope="row")]
        for at, text in enumerate(row[1:], 1):
            style = "number" if at in numbers else None
            style = "number better" if strong and head[at].startswith("diff.") else style
            cells.append(tag("td", text, class_=style))
        body.append(tag("tr", cells))
    titles = [tag("th", text, scope="col", class_="number" if at in numbers else None) for at, text in enumerate(head)]
    return tag("table", tag("thead", tag("tr", titles)), tag("tbody", body))


def _mark(group: Group[Any]) -> Html:
    shape = (
        int(group.ink[3:])
        if group.ink.startswith("hue")
        else ("scratch", "distilled", "permuted", "point_mae").index(group.ink)
    )
    return key(shape, group.ink)


def _classes(block: Block) -> Html | None:
    """Class by class, folded: means over seeds, groups beside each other."""
    names = dict.fromkeys(name for group in block.groups for name in block.classes[group.name])
    tables = []
    for name in names:
        shown = [group for group in block.groups if name in block.classes[group.name]]
        labels = dict.fromkeys(label for group in shown for label in block.classes[group.name][name])
        rows = [[label, *(_value(block.classes[group.name][name].get(label)) for group in shown)] for label in labels]
        heading = in_words(name.removesuffix("_by_class").removesuffix("_by_category"))
        made = table([heading, *(group.name for group in shown)], rows, range(1, len(shown) + 1))
        tables.append(scrolling(made, f"{heading} by class"))
    return tag("details", tag("summary", "Class by class, means over seeds"), tables) if tables else None


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def label_curves(blocks: Sequence[Block]) -> list[LabelCurves]:
    """Main metrics by labels, where a group was trained on two numbers of them or more."""
    found: dict[tuple[str, str, str, bool], dict[str, dict[float, list[float]]]] = {}
    for block in blocks:
        labels = _number(block.labels)
        if labels is None:
            continue
        curves = found.setdefault((block.task, block.metric, block.split, block.own), {})
        for group in block.groups:
            figures = values(group.runs, block.metric)
            if figures:
                curves.setdefault(group.name, {})[labels] = figures
    axis = {"classification": "objects a class", "part_segmentation": "objects a class"}
    return [
        LabelCurves(
            f"{task.replace('_', ' ').capitalize()}, {split} split",
            in_words(metric),
            "%",
            curves,
            axis.get(task, "rooms"),
        )
        for (task, metric, split, _), curves in found.items()
        if any(len(figures) > 1 for figures in curves.values())
    ]


def _number(labels: Any) -> float | None:
    """A number of labels above zero; None for all of them."""
    text = str(labels)
    return float(text) if text.isdigit() and int(text) > 0 else None


def paper_section(found: Sequence[tuple[Path, Mapping[str, Any]]]) -> Html | None:
    """The tables that `reproduce` wrote: what the paper prints beside what was measured."""
    parts = []
    for path, content in sorted(found, key=_place):
        rows = content["rows"]
        columns = [
            (f"{in_words(str(name))}, {whose}", [figure(row, str(name)) for row in rows])
            for name in content["columns"]
            for whose, figure in (("paper", _printed), ("here", _measured))
        ]
        columns = [(head, cells) for head, cells in columns if any(cells)]
        head = ["row", "data", *(head for head, _ in columns)]
        body = [
            [str(row.get("label", "")), str(row.get("data", "")), *(cells[at] for _, cells in columns)]
            for at, row in enumerate(rows)
        ]
        name = re.sub(r"^table(?=\d)", "Table ", str(content["table"]))
        heading = f"{name}: {content.get('title', path.stem)} ({content.get('scale', '?')} scale)"
        parts.append(join([tag("h3", heading), scrolling(table(head, body, range(2, len(head))), heading)]))
    return join([tag("p", words.PAPER, class_="prose"), *parts]) if parts else None


def _place(found: tuple[Path, Mapping[str, Any]]) -> tuple[int, str]:
    """The paper's order; what it has not comes last."""
    name = str(found[1]["table"])
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 99, name


def _printed(row: Mapping[str, Any], name: str) -> str:
    value = (row.get("published") or {}).get(name)
    return "" if value is None else f"{value:.1f}"


def _measured(row: Mapping[str, Any], name: str) -> str:
    return figure_text((row.get("figures") or {}).get(name))


def markdown(blocks: Sequence[Block]) -> str:
    """All blocks as Markdown tables."""
    parts = []
    for block in blocks:
        head, rows = head_and_rows(block)
        lines = ["| " + " | ".join(map(in_markdown, line)) + " |" for line in (head, *rows)]
        rule = "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|"
        parts.append("\n".join([f"### {in_markdown(title_of(block))}", "", lines[0], rule, *lines[1:]]))
    return "\n\n".join(parts) + "\n"

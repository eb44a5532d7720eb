"""A target's sheet as one self-contained page: its tables, its notes, and fine-tuning beside the linear probe drawn."""

from collections.abc import Sequence

from pointdistill import __version__
from pointdistill.report.analyses import Analyses, ProtocolFigures
from pointdistill.report.analyses.sections import analyses_parts
from pointdistill.report.examples import Examples
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.page import document
from pointdistill.report.payload import examples_payload
from pointdistill.report.widgets import scrolling
from pointdistill.reproduce.text import Grid, Sheet

_MAIN = "Beside the paper"


def sheet_page(sheet: Sheet, protocols: Sequence[ProtocolFigures] = ()) -> str:
    """The page as text."""
    analyses = Analyses(sheet.title, __version__, protocols=list(protocols))
    content = examples_payload([("prediction", Examples())])
    tables = [(f"grid{index}", grid.title or _MAIN, _body(grid)) for index, grid in enumerate(sheet.grids)]
    notes = ("notes", "How to read this", tag("ul", [tag("li", note) for note in sheet.notes], class_="prose"))
    parts = [*tables, *analyses_parts(analyses, content), notes]
    return document(sheet.title, __version__, "reproduced", tag("h1", sheet.title), parts, content)


def _body(grid: Grid) -> Html:
    return join([scrolling(table(grid.headings, grid.rows, range(1, len(grid.headings))), grid.title or _MAIN)])

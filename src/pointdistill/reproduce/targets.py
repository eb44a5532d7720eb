"""What can be reproduced: each target knows its runs, what data they read, and how to write what came out."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pointdistill import __version__
from pointdistill.console import answering, console, say
from pointdistill.files import write_json, write_text
from pointdistill.host import host_facts
from pointdistill.recipes.downstream.recipe import Kind
from pointdistill.recipes.recipe import as_json
from pointdistill.report.analyses import ProtocolFigures
from pointdistill.reproduce.page import sheet_page
from pointdistill.reproduce.published import Table
from pointdistill.reproduce.results import SCHEMA, TableResult, claims, row_result
from pointdistill.reproduce.runs import Comparison, Place, Pretraining, Run, row_runs
from pointdistill.reproduce.scales import Scale
from pointdistill.reproduce.stores import FRAMES, LABELLED, SHAPES, Needs, facts
from pointdistill.reproduce.text import Sheet, markdown, print_sheet, sheet


@runtime_checkable
class Target(Protocol):
    """A table or a figure."""

    @property
    def name(self) -> str:
        """As the command line knows it."""
        ...

    def runs(self) -> list[Run]:
        """All runs it is made from, in any order."""
        ...

    def needs(self) -> Needs:
        """The data that they read."""
        ...

    def write(self, place: Place) -> Path:
        """Write and print what came out; the JSON file."""
        ...


def needs_of(runs: Iterable[Run], scale: Scale) -> Needs:
    """What runs read."""
    teachers: set[str] = set()
    labelled: set[Kind] = set()
    shapes = False
    for run in runs:
        if isinstance(run, Comparison):
            continue
        if isinstance(run, Pretraining):
            teacher = scale.teacher_of(run.start)
            shapes = shapes or teacher is None
            teachers |= set() if teacher is None else {teacher, scale.teacher}  # the latter is what probes ask for
            labelled.add("objects")  # the probe's
        else:
            labelled.add(run.recipe.store)
    return Needs(frozenset(teachers), shapes, frozenset(labelled))


@dataclass(frozen=True)
class DownstreamTable:
    """A table of downstream figures, `published.Table`.

    Attributes:
        table: its rows.
        scale: the sizes.
        seeds: how many.
    """

    table: Table
    scale: Scale
    seeds: int

    @classmethod
    def at(cls, table: Table, scale: Scale, seeds: int) -> "DownstreamTable":
        """Without the rows that there are none of at this scale."""
        rows = tuple(row for row in table.rows if row.start not in scale.lacking)
        labels = {row.label for row in rows}
        claims = tuple(claim for claim in table.claims if labels.issuperset(claim))
        return cls(replace(table, rows=rows, claims=claims), scale, seeds)

    @property
    def name(self) -> str:
        return self.table.name

    def runs(self) -> list[Run]:
        """Those of all rows."""
        rows = self.table.trained
        return [run for row in rows for run in row_runs(self.table, row, self.scale, self.seeds).all()]

    def needs(self) -> Needs:
        """What they read."""
        return needs_of(self.runs(), self.scale)

    def result(self, place: Place) -> TableResult:
        """What came out of the finished runs."""
        table, scale = self.table, self.scale
        rows = [row_result(table, row, place, self.seeds) for row in table.rows]
        stores = {FRAMES, SHAPES, *(LABELLED[kind] for kind in self.needs().labelled)}
        return TableResult(
            schema=SCHEMA,
            table=table.name,
            title=table.title,
            task=table.task,
            columns=list(table.columns),
            voted=table.voted,
            source=table.source,
            scale=scale.name,
            seeds=self.seeds,
            rows=rows,
            claims=claims(table, rows),
            labels=scale.labels[table.task],
            recipes={"base": as_json(scale.base), "downstream": as_json(scale.tasks[table.task])},
            data=facts(place.stores, sorted(stores)),
            host=host_facts(),
            version=__version__,
        )

    def write(self, place: Place) -> Path:
        """Both forms into out/tables, and the table on the terminal."""
        result = self.result(place)
        rows = [row for row in result.rows if row.trained]
        drawn = ProtocolFigures(
            self.table.title,
            self.table.metric,
            "%",
            {
                "fine-tuning": {row.label: row.figures[self.table.metric] for row in rows},
                "linear probe": {row.label: row.probe for row in rows if row.probe},
            },
        )
        return write_sheet(place, self.name, asdict(result), sheet(result), [drawn])


def write_sheet(
    place: Place, name: str, content: dict[str, Any], shown: Sheet, protocols: Sequence[ProtocolFigures] = ()
) -> Path:
    """Write out/tables/NAME-SCALE.json, .md and .html, and print the tables; the JSON file."""
    folder = place.out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{place.scale.name}.json"
    write_json(path, content)
    write_text(path.with_suffix(".md"), markdown(shown))
    write_text(path.with_suffix(".html"), sheet_page(shown, protocols))
    with answering():
        print_sheet(shown, console)
    say(f"{path}: the figures; beside it the tables (.md) and a page (.html)")
    return path

"""What came out of a table's runs: figures a seed, spreads apart, tests; as JSON it is all that text and page are made
from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pointdistill import __version__
from pointdistill.files import read_json
from pointdistill.host import host_facts
from pointdistill.metrics.significance import holm, mean_std, paired
from pointdistill.recipes.recipe import as_json
from pointdistill.reproduce.published import Row, Table
from pointdistill.reproduce.runs import Downstream, Place, Pretraining, row_runs
from pointdistill.reproduce.scales import Scale

SCHEMA = 1
LEVEL = 0.05


@dataclass(frozen=True)
class Spread:
    """Sample standard deviations of a figure, in points; None where there is too little to tell.

    Attributes:
        total: over seeds, each a new pre-training and a new fine-tuning.
        finetuning: between two fine-tunings of one pre-training, from as many pairs as there are.
        pretraining: what is left of the total: sqrt(total^2 - finetuning^2), 0 where that is negative.
    """

    total: float | None
    finetuning: float | None
    pretraining: float | None


@dataclass(frozen=True)
class RowResult:
    """A row with what was measured.

    Attributes:
        label, data, note, ours: the row's.
        published: printed figures by column, in %.
        trained: whether it is trained here; else nothing below is there.
        recipe: name of the pre-training; "scratch".
        figures: by column, one a seed, in %.
        second: figures of the second fine-tunings of the first seeds, by column.
        probe: linear model on the frozen backbone, main figure, one a seed.
        spread: of the main column.
        heldout: figures along the way at the end of each pre-training, by name.
        backbone_parameters: of the encoder that is fine-tuned.
        method_parameters: of everything that pre-training trained.
        pretraining_seconds: mean wall seconds of a pre-training.
        finetuning_seconds: mean wall seconds of a fine-tuning.
        by_class: mean over seeds of the main column for each class, where the task has it.
    """

    label: str
    data: str
    note: str
    ours: bool
    published: dict[str, float | None]
    trained: bool
    recipe: str
    figures: dict[str, list[float]]
    second: dict[str, list[float]]
    probe: list[float]
    spread: Spread
    heldout: dict[str, list[float]]
    backbone_parameters: int | None
    method_parameters: int | None
    pretraining_seconds: float | None
    finetuning_seconds: float | None
    by_class: dict[str, float]


@dataclass(frozen=True)
class Claim:
    """A statement "better is above worse" of the paper, tested on the main column.

    Attributes:
        better, worse: labels of rows.
        published: the printed difference in points; None where one of them is not printed.
        difference: ours, mean over seeds, paired by seed.
        low, high: its 95 % interval; None with fewer than two seeds.
        p: two-sided paired t-test, corrected by Holm over the table's claims; None where it says nothing.
        verdict: "holds", "reversed" or "within noise".
    """

    better: str
    worse: str
    published: float | None
    difference: float
    low: float | None
    high: float | None
    p: float | None
    verdict: str


@dataclass(frozen=True)
class TableResult:
    """A table of the paper beside ours.

    Attributes:
        schema: of this file.
        table, title, task, columns, voted, source: the table's.
        scale: paper or small.
        seeds: how many; the same in all rows.
        rows: all rows, printed and measured.
        claims: the paper's statements, tested.
        labels: labelled rooms, or objects a class; None: all.
        recipes: settings of the base and of the downstream task, as JSON.
        data: hash of each store's manifest.
        host: where it was computed.
        version: of the package.
    """

    schema: int
    table: str
    title: str
    task: str
    columns: list[str]
    voted: bool
    source: str
    scale: str
    seeds: int
    rows: list[RowResult]
    claims: list[Claim]
    labels: int | None
    recipes: dict[str, Any]
    data: dict[str, str]
    host: dict[str, Any]
    version: str


def run_facts(name: str, scale: Scale, seeds: int) -> dict[str, Any]:
    """What stands beside the figures of every target."""
    return {
        "schema": SCHEMA,
        "table": name,
        "scale": scale.name,
        "seeds": seeds,
        "recipe": as_json(scale.base),
        "host": host_facts(),
        "version": __version__,
    }


def row_result(table: Table, row: Row, place: Place, seeds: int) -> RowResult:
    """A row's figures out of its finished runs."""
    printed = [*row.published, *[None] * len(table.columns)]
    published = dict(zip(table.columns, printed, strict=False))
    if row.start is None:
        return RowResult(
            row.label, row.data, row.note, row.ours, published, False, "", {}, {}, [], Spread(None, None, None), {},
            None, None, None, None, {},
        )  # fmt: skip
    runs = row_runs(table, row, place.scale, seeds)
    figures = _figures(table, place, runs.finetunings, runs.votes)
    second = _figures(table, place, runs.second, ())
    tuned = [_finished(place, run) for run in runs.finetunings]
    trained = [_finished(place, run) for run in runs.pretrainings]
    return RowResult(
        label=row.label,
        data=row.data,
        note=row.note,
        ours=row.ours,
        published=published,
        trained=True,
        recipe=runs.pretrainings[0].recipe.name if runs.pretrainings else "scratch",
        figures=figures,
        second=second,
        probe=[100 * _probed(_finished(place, run)["test"], table.metric) for run in runs.probes],
        spread=spread(figures[table.metric], second.get(table.metric, []), bool(runs.pretrainings)),
        heldout=_heldout(trained, [read_json(place.folder(run) / "run.json") for run in runs.pretrainings], place),
        backbone_parameters=tuned[0]["parameters"]["backbone"],
        method_parameters=trained[0]["parameters"]["method"] if trained else None,
        pretraining_seconds=_mean([one["seconds"] + one.get("first", {}).get("seconds", 0) for one in trained]),
        finetuning_seconds=_mean([one["seconds"] for one in tuned]),
        by_class=_by_class(tuned, f"{table.metric}_by_class"),
    )


def _probed(figures: dict[str, Any], metric: str) -> float:
    """The main figure of a probe: the task's own, or what is asked in its place (`tasks.detection.Detection.probe`)."""
    return figures[metric] if metric in figures else next(iter(figures.values()))


def _finished(place: Place, run: Pretraining | Downstream) -> dict[str, Any]:
    found = place.result(run)
    assert found is not None, f"{place.folder(run)} is not finished"
    return found


def _figures(
    table: Table, place: Place, finetunings: Sequence[Downstream], votes: Sequence[Downstream]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for column in table.columns:
        shares = []
        for number, run in enumerate(finetunings):
            result = _finished(place, run)
            tested = result["test"] | (_finished(place, votes[number])["test"] if votes else {})
            best = result["best"]["value"] if result.get("best") else None
            shares.append(best if column == "best" else tested.get(column))
        if shares and all(share is not None for share in shares):
            found[column] = [round(100 * share, 3) for share in shares]
    return found


def _heldout(
    results: Sequence[dict[str, Any]], cards: Sequence[dict[str, Any]], place: Place
) -> dict[str, list[float]]:
    """The last figures along the way; how much features tell of a prefix only where it is the base's teacher's."""
    last = [result["heldout"] | result["probed"] for result in results]
    asked = {card["probes"].get("teacher", card["teacher"]["identity"]) for card in cards if "probes" in card}
    comparable = asked == {place.stores.identity(place.scale.teacher)}
    names = [name for name in (last[0] if last else ()) if name != "prefix_r2" or comparable]
    return {name: [figures[name] for figures in last] for name in names}


def _by_class(results: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    found = [result["test"].get(key, {}) for result in results]
    named = {name for figures in found for name, value in figures.items() if value is not None}
    means = {name: _mean([100 * figures[name] for figures in found if figures.get(name) is not None]) for name in named}
    return {name: round(mean, 2) for name, mean in sorted(means.items()) if mean is not None}


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None


def spread(first: Sequence[float], second: Sequence[float], pretrained: bool) -> Spread:
    """The spread of figures over seeds, split into its parts; see `Spread`.

    Args:
        first: one a seed.
        second: of the first seeds, another fine-tuning each.
        pretrained: False from scratch, where fine-tuning is all there is.
    """
    total = _known(mean_std(first).std) if first else None
    if not pretrained:
        return Spread(total, total, None)
    pairs = [a - b for a, b in zip(first, second, strict=False)]
    if total is None or not pairs:
        return Spread(total, None, None)
    finetuning = math.sqrt(sum(gap**2 for gap in pairs) / (2 * len(pairs)))
    return Spread(total, finetuning, math.sqrt(max(0.0, total**2 - finetuning**2)))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def claims(table: Table, rows: Sequence[RowResult]) -> list[Claim]:
    """Each of the table's claims, tested on its main column; the p values corrected over all of them."""
    by_label = {row.label: row for row in rows}
    column = table.columns[0]
    tests = [
        paired(by_label[better].figures[column], by_label[worse].figures[column]) for better, worse in table.claims
    ]
    found = []
    for (better, worse), test, p in zip(table.claims, tests, holm([test.p for test in tests]), strict=True):
        printed = by_label[better].published[column], by_label[worse].published[column]
        gap = None if None in printed else round(printed[0] - printed[1], 2)  # type: ignore[operator]
        low, high, known = _known(test.low), _known(test.high), _known(p)
        found.append(Claim(better, worse, gap, test.difference, low, high, known, _verdict(test.difference, known)))
    return found


def _verdict(difference: float, p: float | None) -> str:
    if p is None or p >= LEVEL:
        return "within noise"
    return "holds" if difference > 0 else "reversed"

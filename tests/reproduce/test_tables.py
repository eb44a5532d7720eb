"""What stands in the tables, what runs they need, and how figures become spreads and verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from pointdistill.errors import DataError, RecipeError
from pointdistill.recipes.recipe import first_stage
from pointdistill.reproduce import run_reproduce
from pointdistill.reproduce.estimate import estimate
from pointdistill.reproduce.named import names, target_of
from pointdistill.reproduce.published import SCRATCH, TABLE_5, TABLE_9, TABLE_9_CLASSES, TABLES
from pointdistill.reproduce.results import RowResult, Spread, claims, spread
from pointdistill.reproduce.runs import Downstream, Place, Pretraining, in_order, pretraining, row_runs
from pointdistill.reproduce.scales import paper_scale, small_scale
from pointdistill.reproduce.stores import Stores
from pointdistill.reproduce.targets import DownstreamTable
from tiny_scale import tiny_scale

SCALES = {"small": small_scale(), "paper": paper_scale()}


def test_tables_are_whole():
    """Labels are unique, claims and references name rows that are trained, figures fit their columns."""
    for table in TABLES.values():
        labels = [row.label for row in table.rows]
        assert len(set(labels)) == len(labels)
        trained = {row.label for row in table.trained}
        assert table.reference in trained and trained.issuperset({label for claim in table.claims for label in claim})
        assert all(len(row.published) <= len(table.columns) for row in table.rows)
        assert all(row.ours or any(figure is not None for figure in row.published) for row in table.rows)
    assert all(len(text.split()) == len(TABLE_9_CLASSES) == 18 for text in TABLE_9.values())


def test_printed_gaps_are_the_papers():
    """Section 4.3.1: without captions 0.53 less, without concepts 0.29 less; Table 1: 2.3 over 3DETR."""
    figure = {row.label: row.published[0] for table in (TABLES["table5"], TABLES["table1"]) for row in table.rows}
    assert round(TABLE_5.row("Distillation").published[0] - figure["w/o caption model"], 2) == 0.53
    assert round(TABLE_5.row("Distillation").published[0] - figure["w/o concept extraction"], 2) == 0.29
    assert round(TABLES["table1"].row("Distillation").published[0] - figure["3DETR"], 2) == 2.3


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("scale", SCALES)
def test_every_run_of_every_target_has_a_recipe(name, scale):
    target = target_of(name, SCALES[scale], 2)
    runs = target.runs()
    for run in runs:
        if isinstance(run, Pretraining):
            assert run.recipe.engine.seed == run.seed
            before = first_stage(run.recipe)
            assert before is None or before.engine.seed == run.seed
    keys = [(type(run).__name__, getattr(run, "protocol", ""), run.key) for run in dict.fromkeys(runs)]
    assert len(set(keys)) == len(keys)  # no two runs share a folder


def test_tables_share_runs():
    """Table 6's distillation, Table 10's second row and scratch are Table 5's, down to the fine-tuning."""
    five, six, ten = (set(target_of(f"table{number}", SCALES["small"], 3).runs()) for number in (5, 6, 10))
    kept = [run for run in five if getattr(run, "start", "") == "distill"]
    assert len(kept) == 3 and six.issuperset(kept) and ten.issuperset(kept)
    scratch = [run for run in five if isinstance(run, Downstream) and run.pretraining is None]
    assert len(scratch) == 6 and six.issuperset(scratch)  # fine-tuned and probed


def test_a_row_has_a_pretraining_and_a_finetuning_a_seed():
    scale = SCALES["small"]
    found = row_runs(TABLE_5, TABLE_5.row("Distillation"), scale, 5)
    assert [run.recipe.engine.seed for run in found.pretrainings] == [0, 1, 2, 3, 4]
    assert [(run.pretraining, run.seed) for run in found.finetunings] == list(
        zip(found.pretrainings, range(5), strict=True)
    )
    assert [run.pretraining for run in found.second] == list(found.pretrainings[: scale.second["classification"]])
    assert not {run.seed for run in found.second} & {run.seed for run in found.finetunings}
    assert not row_runs(TABLE_5, TABLE_5.row("From scratch"), scale, 5).second
    other = row_runs(TABLE_5, TABLE_5.row("Distillation"), replace(scale, labels={"classification": 3}), 5)
    assert {run.key for run in other.finetunings}.isdisjoint({run.key for run in found.finetunings})


def test_what_others_need_comes_first_and_whole_seeds_before_the_next():
    runs = in_order(target_of("table3", SCALES["small"], 2).runs())
    place = {run: number for number, run in enumerate(runs)}
    for run in runs:
        if isinstance(run, Downstream) and run.pretraining is not None:
            assert place[run.pretraining] < place[run]
    last_of_0 = max(place[run] for run in runs if isinstance(run, Pretraining) and run.seed == 0)
    first_of_1 = min(place[run] for run in runs if isinstance(run, Pretraining) and run.seed == 1)
    assert last_of_0 < first_of_1


def test_rows_that_a_scale_lacks_are_left_out_with_their_claims():
    table = DownstreamTable.at(TABLE_5, SCALES["paper"], 3).table
    assert all("random teacher" not in row.label for row in table.rows)
    assert len(table.claims) == len(TABLE_5.claims) - 1


def test_spread_is_split_into_its_parts():
    """Known variances: 2 between pre-trainings, 1 between fine-tunings, over very many seeds."""
    generator = np.random.default_rng(0)
    base = generator.normal(0, 2, 20_000)
    first, second = (base + generator.normal(0, 1, 20_000) for _ in range(2))
    found = spread(first.tolist(), second.tolist(), pretrained=True)
    assert found.total == pytest.approx(5**0.5, rel=0.03)
    assert found.finetuning == pytest.approx(1, rel=0.03) and found.pretraining == pytest.approx(2, rel=0.03)
    assert spread([1.0, 2.0], [], pretrained=False) == Spread(0.5**0.5, 0.5**0.5, None)
    assert spread([1.0], [], pretrained=True) == Spread(None, None, None)
    assert spread([5.0, 5.0], [1.0, 9.0], pretrained=True).pretraining == 0.0


def _row(label, figures):
    published = {"accuracy": TABLE_5.row(label).published[0]}
    return RowResult(
        label, "", "", False, published, True, "", {"accuracy": figures}, {}, [], Spread(None, None, None), {},
        None, None, None, None, {},
    )  # fmt: skip


def test_claims_are_paired_by_seed_and_corrected():
    """Rows that differ by 3 points in every seed, though seeds differ by 20: the pairs show it; Holm doubles p."""
    seeds = np.array([50.0, 60.0, 70.0, 55.0, 65.0])
    wobble = np.array([0.1, -0.1, 0.2, -0.2, 0.0])
    table = replace(
        TABLE_5, claims=(("Distillation", "From scratch"), ("w/o caption model", "Distillation"), TABLE_5.claims[0])
    )
    rows = [
        _row("Distillation", (seeds + 3 + wobble).tolist()),
        _row("From scratch", seeds.tolist()),
        _row("w/o caption model", (seeds + wobble[::-1]).tolist()),
        _row("w/o concept extraction", (seeds + 3 + wobble[::-1]).tolist()),
    ]
    held, turned, unclear = claims(table, rows)
    assert held.verdict == "holds" and held.difference == pytest.approx(3) and held.published == 0.33
    assert held.low < 3 < held.high and 0 < held.p < 0.05
    assert turned.verdict == "reversed" and turned.published == -0.53
    assert unclear.verdict == "within noise" and unclear.published == 0.29


def test_single_seeds_prove_nothing():
    rows = [_row(label, [figure]) for label, figure in (("Distillation", 9.0), ("From scratch", 1.0))]
    (claim,) = claims(replace(TABLE_5, claims=(("Distillation", "From scratch"),)), rows)
    assert (claim.difference, claim.p, claim.low, claim.verdict) == (8.0, None, None, "within noise")


@pytest.mark.parametrize("start", ["point-contrast", "point-bert", "local", "shapes/occo"])
def test_every_kind_of_pretraining_can_be_timed(start, tmp_path):
    """Pairs, two stages, cells, shapes: seconds for a run whose data are not there yet."""
    scale = tiny_scale()
    place = Place(tmp_path, Stores(tmp_path / "data", scale), scale)
    found = estimate(place, [pretraining(scale, start, 0)])
    assert (found.runs, found.missing, found.unknown) == (1, 1, ()) and found.seconds > 0 and found.gigabytes > 0


def test_what_lacks_is_said(tmp_path):
    with pytest.raises(RecipeError, match=r"there is no 'table11' to reproduce\. Did you mean table1\?"):
        run_reproduce("table11", tmp_path)
    with pytest.raises(RecipeError, match=r"there is no 'ablation' to reproduce\. Choose one of table1, table2, "):
        run_reproduce("ablation", tmp_path)
    with pytest.raises(RecipeError, match="--scale paper needs --data"):
        run_reproduce("table1", tmp_path, scale="paper")
    with pytest.raises(DataError, match=r"frames: no prepared store here.*prepare SCANNET .*frames --split train"):
        run_reproduce("table1", tmp_path / "out", tmp_path, "paper")
    assert SCRATCH == "scratch" and not list((tmp_path / "out").glob("runs/*"))

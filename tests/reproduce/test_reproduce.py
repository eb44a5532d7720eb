"""A whole table at a tiny scale: run, written, printed, gone on with; nothing is done twice."""

import json
from dataclasses import replace

import pytest

from pointdistill.cli import main
from pointdistill.engine.pretrain import CHECKPOINT
from pointdistill.files import read_json
from pointdistill.reproduce import reproduce
from pointdistill.reproduce.efficiency import LabelEfficiency
from pointdistill.reproduce.figures import DetectionFigure, SamplingFigure
from pointdistill.reproduce.others import PerClass, ReconstructionTable
from pointdistill.reproduce.published import TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_6
from pointdistill.reproduce.results import TableResult
from pointdistill.reproduce.runs import Place
from pointdistill.reproduce.stores import Stores
from pointdistill.reproduce.targets import DownstreamTable
from pointdistill.typed_json import read_typed
from tiny_scale import tiny_scale

ROWS = ("Only reconstruction", "Only distillation")
TABLE = replace(
    TABLE_6,
    rows=(*(row for row in TABLE_6.rows if row.label in ROWS), replace(TABLE_6.rows[0], label="printed", start=None)),
    claims=(("Only distillation", "Only reconstruction"),),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduce")
    scale = tiny_scale()
    target = DownstreamTable(TABLE, scale, 2)
    return out, scale, target, reproduce(target, scale, out)


def test_every_figure_is_there(made):
    path = made[-1]
    result = read_typed(TableResult, json.loads(path.read_text()))
    assert (result.table, result.scale, result.seeds) == ("table6", "small", 2)
    for row in result.rows[:2]:
        assert len(row.figures["accuracy"]) == len(row.probe) == 2 and len(row.second["accuracy"]) == 1
        assert all(0 <= figure <= 100 for figure in row.figures["accuracy"])
        assert row.backbone_parameters and row.method_parameters and row.method_parameters > row.backbone_parameters
        assert len(row.heldout["prefix_r2"]) == len(row.heldout["svm_accuracy"]) == 2
    assert result.rows[2].trained is False and result.rows[2].published["accuracy"] == 92.42
    assert len(result.claims) == 1 and result.claims[0].published == 0.29
    text = path.with_suffix(".md").read_text()
    assert "| Only distillation | ScanNetV2 | 92.71 |" in text and "printed (not trained here)" in text
    assert "## What the paper's rows say of each other" in text and "over 2 seeds" in text


def test_figures_are_those_of_the_runs(made):
    out, scale, target, path = made
    place = Place(out, Stores(out / "data", scale), scale)
    result = read_typed(TableResult, json.loads(path.read_text()))
    runs = [run for run in target.runs() if getattr(run, "protocol", "") == "finetune" and run.seed == 1]
    figures = sorted(round(100 * read_json(place.folder(run) / "result.json")["test"]["accuracy"], 3) for run in runs)
    assert figures == sorted(row.figures["accuracy"][1] for row in result.rows[:2])


def test_finished_runs_are_not_done_again_and_new_seeds_are(made, capsys):
    out, scale, target, path = made
    place = Place(out, Stores(out / "data", scale), scale)
    times = {run: (place.folder(run) / "result.json").stat().st_mtime_ns for run in target.runs()}
    capsys.readouterr()
    assert reproduce(target, scale, out) == path
    assert "all 14 runs of table6 are there" in capsys.readouterr().out
    assert times == {run: (place.folder(run) / "result.json").stat().st_mtime_ns for run in target.runs()}
    assert not list(out.glob(f"runs/pretrain/*/{CHECKPOINT}"))  # weights stay, checkpoints of finished runs go
    fewer = DownstreamTable(TABLE, scale, 1)
    reproduce(fewer, scale, out, estimate=True)
    assert "8 runs, 2 of them pre-trainings; 8 are done" in capsys.readouterr().out


@pytest.mark.parametrize("table", [TABLE_1, TABLE_2, TABLE_3, TABLE_4], ids=lambda table: table.name)
def test_a_table_of_every_task_is_written(made, table):
    out, scale, *_ = made
    rows = tuple(row for row in table.rows if row.label == "Distillation")
    path = reproduce(DownstreamTable(replace(table, rows=rows, claims=()), scale, 1), scale, out)
    (row,) = read_typed(TableResult, json.loads(path.read_text())).rows
    assert len(row.probe) == 1 and 0 <= row.probe[0] <= 100 and table.metric in row.figures
    assert ("The true boxes are given" in path.with_suffix(".md").read_text()) == (table is TABLE_1)


def test_boxes_by_class_and_as_a_page(made):
    """Table 9 and Figure 3 from the same detector, whose pre-training Table 6 has run."""
    out, scale, _, _ = made
    content = read_json(reproduce(PerClass(scale, 1), scale, out))
    assert content["published"]["Distillation"]["bookshelf"] == 50.6
    assert all(len(figures) == 1 for found in content["figures"].values() for figures in found.values())
    text = (out / "tables" / "table9-small.md").read_text()
    assert "| bookshelf | 43.8 | 50.6 |" in text
    page = reproduce(DetectionFigure(scale, 1), scale, out).with_name("analyses.html")
    assert "Detected boxes (Figure 3)" in page.read_text() and len(list(page.parent.glob("examples/detection-*"))) == 2


def test_draws_of_points_as_a_page(made):
    out, scale, _, _ = made
    page = reproduce(SamplingFigure(scale, 1), scale, out).with_name("analyses.html")
    assert "A cloud and draws of it (Figure 4)" in page.read_text()


def test_label_efficiency_is_drawn_and_tabulated(made):
    out, scale, _, _ = made
    path = reproduce(LabelEfficiency(scale, 1, starts=("scratch",)), scale, out)
    figures = read_json(path)["figures"]
    assert set(figures) == {"finetune", "probe"} and set(figures["finetune"]["scratch"]) == {"50 %", "100 %"}
    assert "Fewer labels" in (out / "figures" / "label-efficiency-small" / "analyses.html").read_text()


def test_reconstruction_losses_of_each_seed(made):
    out, scale, _, _ = made
    content = read_json(reproduce(ReconstructionTable(scale, 2), scale, out))
    for column in ("chamfer", "new_decoder"):
        rows = content["columns"][column]
        assert all(len(values) == 2 and min(values) > 0 for values in rows.values())
    assert content["published"]["reconstruction"] == 3.95e-4
    assert "Seed 1: with its decoder never trained" in (out / "tables" / "table7-small.md").read_text()


def test_table_8_needs_no_run(tmp_path, capsys):
    main(["reproduce", "table8", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert "engine.epochs" in out and "clipcap-conceptual" in out
    content = read_json(tmp_path / "tables" / "table8-small.json")
    assert content["paper"]["engine.epochs"] == 250 and content["ours"]["engine.epochs"] == 4

"""Runs side by side: what counts as one group, which figures stand in the tables, what the page shows."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

import report_synthetic

from browser import charts, chromium, drawn, opened, root
from pointdistill.compare import blocks_of, comparison_page, find_runs, is_quickstart, write_comparison
from pointdistill.compare.figures import independent
from pointdistill.compare.tables import label_curves, markdown, paper_section
from pointdistill.errors import DataError
from pointdistill.report.analyses import Analyses
from pointdistill.report.analyses.schema import Caption, write_analyses
from pointdistill.report.examples import save_examples
from pointdistill.report.schema import write_results

SCRATCH, DISTILLED = [0.20, 0.22, 0.27], [0.31, 0.30, 0.40]


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_log(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def pretraining(folder, seed, lr=1e-3, name="tiny", finished=True):
    recipe = {"name": name, "engine": {"seed": seed, "lr": lr}, "first": None}
    card = {"identity": f"{name}{lr}{seed}", "recipe": recipe, "data": {"store": "s", "targets_permuted": False}}
    write_json(folder / "run.json", card)
    write_log(folder / "log.jsonl", [{"step": step, "loss": 1 / (step + seed + 1)} for step in (10, 20, 30)])
    if finished:
        write_json(folder / "result.json", {"steps": 30, "seconds": 4.0})
    return card["identity"]


def finetuning(folder, seed, value, init="scratch", labels=None, task="detection"):
    card = {"task": task, "recipe": f"{task}-small", "init": init, "labels": labels, "seed": seed, "settings": {}}
    card |= {"identity": str(folder), "splits": ["train", "val", "test"], "store": "store"}
    write_json(folder / "model.json", card)
    figures = {"ap25": value, "ap50": value / 2, "ap25_by_class": {"chair": value, "bed": None}}
    write_json(folder / "result.json", {"metric": "ap25", "test": figures, "steps": 5, "seconds": 1.0})
    write_log(folder / "log.jsonl", [{"step": 5, "loss": 1.0, "validation": 0.1}, {"step": 9, "validation": value}])


def evaluation(folder, seed, init, example):
    content = {
        "task": "semantic_segmentation",
        "metric": "miou",
        "figures": {"miou": 0.5, "iou_by_class": {"bed": 0.25}},
    }
    content |= {"recipe": "semantic-segmentation-small", "init": init, "labels": None, "seed": seed, "settings": {}}
    content |= {"data": {"split": "val", "store": "x"}, "identity": f"{init}{seed}"}
    write_json(folder / "results.json", content)
    save_examples(folder, [example])


@pytest.fixture
def runs(tmp_path):
    for seed in range(3):
        identity = pretraining(tmp_path / f"pre-seed{seed}", seed)
        init = {"identity": identity, "recipe": "tiny", "config": {}}
        finetuning(tmp_path / f"scratch-seed{seed}", seed, SCRATCH[seed])
        finetuning(tmp_path / f"distilled-seed{seed}", seed, DISTILLED[seed], init)
    return tmp_path


def test_seeds_are_one_group_and_their_figures_are_those_of_scipy(runs):
    (block,) = blocks_of(find_runs([runs]))
    assert [(group.name, len(group.runs)) for group in block.groups] == [("tiny", 3), ("scratch", 3)]
    assert block.baseline == "scratch" and block.figures["tiny"]["ap25"] == pytest.approx([31, 30, 40])
    one = block.against["tiny"]
    oracle = stats.ttest_rel(DISTILLED, SCRATCH)
    assert one.test == "paired t, 3 seeds" and one.p == pytest.approx(oracle.pvalue)
    interval = oracle.confidence_interval(0.95)
    assert (one.found.low, one.found.high) == pytest.approx((100 * interval.low, 100 * interval.high))
    assert block.classes["tiny"]["ap25_by_class"] == {"chair": pytest.approx(100 * np.mean(DISTILLED))}
    text = markdown([block])
    spread = np.std(np.multiply(DISTILLED, 100), ddof=1)
    assert f"| tiny | 3 | 3 | 33.7 ± {spread:.1f} |" in text


def test_other_settings_are_another_group_named_after_what_differs(runs):
    identity = pretraining(runs / "longer", 0, lr=5e-4)
    finetuning(runs / "of-longer", 0, 0.9, {"identity": identity, "recipe": "tiny", "config": {}})
    (block,) = blocks_of(find_runs([runs]))
    names = {group.name: len(group.runs) for group in block.groups}
    assert names == {"tiny (lr 0.001)": 3, "tiny (lr 0.0005)": 1, "scratch": 3}
    assert block.against["tiny (lr 0.0005)"].test == "Welch" and np.isnan(block.against["tiny (lr 0.0005)"].p)
    page = comparison_page(find_runs([runs]))
    assert "recipe.engine.lr" in page and "seed1" in page


def test_fine_tunings_of_the_same_weights_count_as_one_start(runs):
    init = {"identity": "tiny0.0010", "recipe": "tiny", "config": {}}
    finetuning(runs / "again-seed1000", 1000, 0.99, init)
    (block,) = blocks_of(find_runs([runs]))
    group = next(group for group in block.groups if group.name == "tiny")
    assert len(group.runs) == 4 and independent(group.runs, "ap25") == pytest.approx([31, 30, 40])
    assert block.against["tiny"].found.difference == pytest.approx(100 * np.subtract(DISTILLED, SCRATCH).mean())


def test_p_values_are_corrected_over_the_whole_page(runs):
    for seed in range(3):
        finetuning(runs / f"few-scratch-seed{seed}", seed, SCRATCH[seed], labels=4)
        finetuning(
            runs / f"few-seed{seed}", seed, DISTILLED[seed] + 0.01 * seed, {"identity": "?", "recipe": "tiny"}, 4
        )
    blocks = blocks_of(find_runs([runs]))
    plain = sorted(one.found.p for block in blocks for one in block.against.values())
    assert sorted(one.p for block in blocks for one in block.against.values()) == pytest.approx(
        [2 * plain[0], max(2 * plain[0], plain[1])]
    )
    assert label_curves(blocks) == []  # one number of labels is no curve


def test_label_efficiency_needs_two_numbers_of_labels(tmp_path):
    for labels in (2, 8):
        for seed in range(2):
            finetuning(tmp_path / f"scratch-{labels}-seed{seed}", seed, 0.1 * labels + 0.01 * seed, labels=labels)
    (curve,) = label_curves(blocks_of(find_runs([tmp_path])))
    assert curve.figures == {"scratch": {2.0: pytest.approx([20, 21]), 8.0: pytest.approx([80, 81])}}
    assert 'id="labels"' in comparison_page(find_runs([tmp_path]))


def test_what_is_lacking_is_said_with_its_command(runs):
    pretraining(runs / "begun", 7, finished=False)
    page = comparison_page(find_runs([runs]))
    assert "not finished" in page and "it goes on" in page
    assert f"pointdistill analyse {runs}/pre-seed0 --data STORE" in page
    assert f"pointdistill evaluate {runs}/distilled-seed0 --data STORE" in page
    write_analyses(runs / "pre-seed0" / "analyses", Analyses("Made", "0", captions=[Caption("a", "<b>", "c")]))
    page = comparison_page(find_runs([runs]))
    assert f"pointdistill analyse {runs}/pre-seed1" in page and "&lt;b&gt;" in page and 'id="captions"' in page


def test_folders_without_runs_and_damaged_files_are_named(tmp_path, runs):
    with pytest.raises(DataError, match="no such folder"):
        find_runs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no run in it"):
        find_runs([tmp_path / "empty"])
    assert len(find_runs([runs, runs / "pre-seed0"])) == len(find_runs([runs])) == 9
    (runs / "pre-seed1" / "result.json").write_text("{")
    with pytest.raises(DataError, match=r"pre-seed1/result\.json"):
        find_runs([runs])


def test_names_are_text(tmp_path):
    nasty = "</script><img src=x>"
    pretraining(tmp_path / "run", 0, name=nasty)
    finetuning(tmp_path / "tuned", 0, 0.5, {"identity": "?", "recipe": nasty}, task=nasty)
    page = comparison_page(find_runs([tmp_path]))
    assert "<img src=x" not in page and page.count("</script>") == 2 and "&lt;img src=x" in page


def test_a_quickstart_has_a_page_of_its_own(tmp_path):
    write_results(tmp_path / "results.json", report_synthetic.results())
    assert is_quickstart(tmp_path)
    assert "Results of" in comparison_page(find_runs([tmp_path]))


def test_predictions_of_several_runs_in_a_browser(runs):
    example = report_synthetic.segmentation_example(0, 4000)
    for seed in range(2):
        evaluation(runs / f"scratch-seed{seed}" / "evaluation-val", seed, "scratch", example)
    evaluation(runs / "other" / "evaluation-val", 0, {"identity": "?", "recipe": "other"}, example)
    page_path = write_comparison(find_runs([runs]), runs / "report.html")
    with chromium() as browser, opened(browser, page_path, dark=True) as page:
        assert (root(page)["drawn"], root(page)["failed"], root(page)["contexts"]) == ("1", "0", "1")
        assert all(charts(page)) and page.locator("#figures svg.chart").count() == 2
        options = page.locator("#scenes-run option").all_inner_texts()
        assert options == ["other", "scratch, seed 0", "all, side by side"]
        page.select_option("#scenes-run", "-1")
        halves = np.array_split(drawn(page, "scenes")[..., 3] > 0, 2, axis=1)
        assert all(half.mean() > 0.01 for half in halves)
        assert "IoU, other" in page.inner_text("#classes thead")


def test_the_papers_tables_stand_in_its_order_without_empty_columns():
    row = {
        "label": "Ours",
        "data": "",
        "published": {"accuracy": 92.0, "best": None},
        "figures": {"accuracy": [84.0, 86.0]},
    }
    ten, two = (
        {"table": name, "title": "Points", "columns": ["accuracy", "best"], "scale": "small", "rows": [row]}
        for name in ("table10", "table2")
    )
    made = paper_section([(Path("table10.json"), ten), (Path("table2.json"), two)])
    assert made.index("Table 2: Points (small scale)") < made.index("Table 10: Points (small scale)")
    assert "85.0 ± 1.4" in made and "best" not in made

"""The way of --thorough, with every control and test, on tiny data."""

import json
from dataclasses import replace

import pytest

from pointdistill.quickstart import run_recipe
from pointdistill.recipes.quickstart import quickstart, smoke

pytestmark = pytest.mark.long


def test_thorough_runs_every_control_and_tests_what_it_claims(tmp_path):
    recipe = replace(smoke(quickstart("thorough")), seeds=(0, 1), pretrain_seeds=(0, 1), control_seeds=(0,))
    page = run_recipe(tmp_path / "thorough", recipe)
    results = json.loads((page.parent / "results.json").read_text())
    runs = {(run["method"], run["seed"]) for run in results["pretraining"]}
    assert runs == {("distilled", 0), ("distilled", 1), ("permuted", 0), ("point_mae", 0)}
    for task in results["tasks"].values():
        assert set(task["significance"]) == {"scratch", "permuted"}
        assert task["won"] in (True, False)
        assert {row["init"] for row in task["rows"]} == {"scratch", "distilled", "permuted", "point_mae"}
        assert all(len(figures) == 2 for row in task["rows"] for figures in row["metrics"].values())
    labels = {row["labels"] for row in results["tasks"]["classification"]["rows"]}
    assert len(labels) == 1  # two labelled objects a class are all that the tiny world has
    assert len({row["labels"] for row in results["tasks"]["semantic_segmentation"]["rows"]}) == 2

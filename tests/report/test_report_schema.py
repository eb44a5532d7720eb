import dataclasses
import json
import math

import numpy as np
import pytest
import report_synthetic

from pointdistill.errors import DataError
from pointdistill.report.schema import Comparison, Results, read_results, write_results


@pytest.mark.parametrize(("mode", "seeds", "controls"), [("full", 3, False), ("thorough", 5, True), ("fast", 1, False)])
def test_round_trip(tmp_path, mode, seeds, controls):
    results = report_synthetic.results(mode, seeds, controls)
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results
    assert Results.from_json(results.to_json()).to_json() == results.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_what_others_rely_on():
    content = json.loads(report_synthetic.results().to_json())
    assert next(iter(content)) == "schema" and content["schema"] == 1
    assert set(content["tasks"]) == {"classification", "semantic_segmentation", "detection", "part_segmentation"}
    for task in content["tasks"].values():
        assert isinstance(task["metric"], str) and len(task["scratch"]) == len(task["distilled"]) == 3


def test_numpy_values_and_unknown_p():
    results = report_synthetic.results()
    task = dataclasses.replace(
        results.tasks["detection"],
        scratch=[np.float64(1.5)],
        significance={"scratch": Comparison("paired t", 0.0, math.nan)},
    )
    results = dataclasses.replace(results, tasks={"detection": task}, host={"cpus": np.int64(2)})
    assert json.loads(results.to_json())["tasks"]["detection"]["significance"]["scratch"]["p"] is None
    again = Results.from_json(results.to_json())
    assert again.tasks["detection"].significance is not None
    assert math.isnan(again.tasks["detection"].significance["scratch"].p)


def test_figures_must_be_numbers():
    results = report_synthetic.results()
    task = dataclasses.replace(results.tasks["detection"], scratch=[math.nan])
    with pytest.raises(ValueError):
        dataclasses.replace(results, tasks={"detection": task}).to_json()


def test_unknown_fields_are_ignored():
    content = json.loads(report_synthetic.results().to_json())
    content["tasks"]["detection"]["added later"] = 1
    assert Results.from_json(json.dumps(content)) == report_synthetic.results()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(schema=2), "results of schema 2"),
        (lambda c: c.pop("teacher"), "teacher: the field is missing"),
        (lambda c: c.update(mode="quick"), "'full' or 'fast' or 'thorough' expected"),
        (lambda c: c["tasks"]["detection"].update(scratch=["1"]), r"tasks\.detection\.scratch\[0\]: float expected"),
        (lambda c: c["tasks"].update(detection=3), "tasks.detection: an object expected"),
    ],
)
def test_bad_results_say_where(change, said):
    content = json.loads(report_synthetic.results().to_json())
    change(content)
    with pytest.raises(DataError, match=said):
        Results.from_json(json.dumps(content), "some/results.json")


def test_missing_or_damaged_file(tmp_path):
    with pytest.raises(DataError, match="no results here"):
        read_results(tmp_path / "results.json")
    (tmp_path / "results.json").write_text('{"schema": 1,\n')
    with pytest.raises(DataError, match="line 2: not JSON"):
        read_results(tmp_path / "results.json")

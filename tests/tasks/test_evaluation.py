"""A test's files: the same bits from one process, two, and two workers; what they say; the page in a browser."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import evaluation_runs
import numpy as np
import pytest
from evaluation_runs import NAMES, evaluate_all, write
from plyfile import PlyData

from browser import chromium, drawn, opened, root
from pointdistill import evaluation
from pointdistill.evaluation import Evaluation, run_evaluation
from pointdistill.files import read_arrays, read_json, write_arrays
from pointdistill.labelled import open_labelled
from pointdistill.tasks.saved import load_task_model
from test_cli import error_of, run

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models and stores, and what one process finds: folder / "one"."""
    made = tmp_path_factory.mktemp("evaluation")
    write(made)
    evaluate_all(made, made / "one", workers=1)
    return made


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_two_processes_write_the_same_bits(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join(map(str, [TESTS.parent / "src", TESTS, TESTS / "tasks"]))
    shared = {
        **os.environ,
        "PYTHONPATH": paths,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
    }
    started = [
        subprocess.Popen(
            [sys.executable, evaluation_runs.__file__, str(folder), str(folder / "two")],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    one, two = files_of(folder / "one"), files_of(folder / "two")
    assert len(one) > 20 and one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_shares_of_workers_write_the_same_bits(folder, tmp_path, monkeypatch):
    """In this process: that a pool runs them is parallel_map's to show."""
    dealt = []

    def one_by_one(function, items, *more):
        dealt.extend(items)
        return [function(item) for item in items]

    monkeypatch.setattr(evaluation, "parallel_map", one_by_one)
    name = "semantic-segmentation-small"
    run_evaluation(Evaluation(folder / name, folder / "scenes", "test", tmp_path / "out"), workers=2)
    assert [list(share) for share in dealt] == [[0], [1], [2]]
    assert files_of(tmp_path / "out") == files_of(folder / "one" / name)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_those_of_the_test_at_the_end_of_training(folder, name):
    found, trained = read_json(folder / "one" / name / "results.json"), read_json(folder / name / "result.json")
    assert found["figures"] == trained["test"] and found["value"] == trained["value"]
    assert found["identity"] == trained["identity"] and found["recipe"] == name and found["data"]["split"] == "test"


def test_labelled_scenes(folder):
    name = "semantic-segmentation-small"
    saved, scenes = load_task_model(folder / name), open_labelled(folder / "scenes", "test")
    for scene in scenes:
        vertices = PlyData.read(folder / "one" / name / "predictions" / f"{scene.name}.ply")["vertex"].data
        assert vertices.dtype.names == ("x", "y", "z", "red", "green", "blue", "label", "predicted", "quality")
        np.testing.assert_array_equal(np.stack([vertices[axis] for axis in "xyz"], 1), scene.points)
        np.testing.assert_array_equal(vertices["label"], scene.semantic)
        predicted = saved.task.label_scene(saved.model, scene, 0)
        np.testing.assert_array_equal(vertices["predicted"], np.array(saved.task.classes)[predicted])
        np.testing.assert_array_equal(vertices["quality"], (vertices["label"] == vertices["predicted"]).astype("f4"))
        for label in np.unique(vertices["predicted"]):
            colours = {tuple(v) for v in vertices[vertices["predicted"] == label][["red", "green", "blue"]].tolist()}
            assert len(colours) == 1
    head = (folder / "one" / name / "predictions" / f"{scenes[0].name}.ply").read_bytes()[:60]
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\n")


def test_boxes(folder):
    out, scenes = folder / "one/detection-small/predictions", open_labelled(folder / "scenes", "test")
    saved = load_task_model(folder / "detection-small")
    for scene in scenes:
        content = json.loads((out / f"{scene.name}.boxes.json").read_text())
        found = saved.task.detect(saved.model, scene, 0)
        assert [box["class"] for box in content["true"]] == [{4: "bed", 8: "door"}[int(c)] for c in scene.box_classes]
        true = [[*box["centre"], *box["size"], box["heading"]] for box in content["true"]]
        np.testing.assert_array_equal(np.array(true, np.float32), scene.boxes)
        assert len(content["predicted"]) == len(found.boxes)
        scores = [box["score"] for box in content["predicted"]]
        assert scores == sorted(scores, reverse=True)
        mesh = PlyData.read(out / f"{scene.name}.boxes.ply")
        boxes = len(content["predicted"]) + len(content["true"])
        assert (len(mesh["vertex"]), len(mesh["face"])) == (96 * boxes, 144 * boxes)
        places = np.stack([mesh["vertex"][axis] for axis in "xyz"], 1).reshape(boxes, 96, 3)
        # The last boxes are the true ones: their beams reach just around them.
        for corners, box in zip(places[len(found.boxes) :], scene.boxes, strict=True):
            np.testing.assert_allclose(corners.min(0), box[:3] - box[3:6] / 2 - 0.01, atol=1e-5)
            np.testing.assert_allclose(corners.max(0), box[:3] + box[3:6] / 2 + 0.01, atol=1e-5)
        assert len(PlyData.read(out / f"{scene.name}.ply")["vertex"]) == len(scene.points)


def test_parts_and_objects(folder):
    shapes, parts = open_labelled(folder / "parts", "test"), folder / "one/part-segmentation-small/predictions"
    assert len(list(parts.iterdir())) == len(shapes.names)
    for row, name in enumerate(shapes.names):
        category = int(shapes.categories[row])
        path = parts / f"{shapes.category_names[category]}_{name}.ply"
        vertices = PlyData.read(path)["vertex"].data
        assert set(vertices["predicted"].tolist()) | set(vertices["label"].tolist()) <= set(shapes.part_ids[category])
    objects = open_labelled(folder / "objects", "test")
    with (folder / "one/classification-small/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(objects.names)
    assert [row["true"] for row in rows] == [objects.classes[label] for label in objects.labels]
    for row in rows:
        shares = {name: float(row[f"p({name})"]) for name in objects.classes}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5) and max(shares, key=shares.get) == row["predicted"]
    figures = read_json(folder / "one/classification-small/results.json")["figures"]
    assert figures["accuracy"] == np.mean([row["true"] == row["predicted"] for row in rows]) and "vote2" in figures


def test_the_command_prints_one_table_and_refuses(folder, tmp_path, capsys):
    command = ("evaluate", folder / "classification-small", "--data", folder / "objects", "--workers", "1")
    assert run(*command, "--split", "val", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert (
        said.count("classification, val split") == 1
        and "mean of 2 votes" in said
        and "plate" in said
        and "index.html" in said
    )
    assert "was prepared with data=" in error_of(capsys, *command, "--out", tmp_path / "out")
    assert "holds no split 'dev'" in error_of(capsys, *command, "--split", "dev")
    assert "is a store of parts, the model" in error_of(capsys, *command[:3], folder / "parts")
    assert "as published, not prepared" in error_of(capsys, *command[:3], folder / "raw-objects")
    assert "holds no finished fine-tuning" in error_of(capsys, "evaluate", tmp_path, *command[2:])
    broken = shutil.copytree(folder / "objects", tmp_path / "broken")
    arrays = read_arrays(broken / "test.npz", "")
    arrays["points"][1, 5, 0] = np.nan
    write_arrays(broken / "test.npz", arrays)
    line = error_of(capsys, *command[:3], broken, "--out", tmp_path / "new")
    assert "broken, test split, object ball_0005, point 5: coordinates that are not" in line
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    assert "thesis.txt" in error_of(capsys, *command, "--out", tmp_path / "mine")


def test_the_page_in_a_browser(folder):
    with chromium() as browser:
        for name in ("detection-small", "semantic-segmentation-small"):
            with opened(browser, folder / "one" / name / "index.html") as page:
                assert (root(page)["failed"], root(page)["drawn"]) == ("0", "1")
                assert (drawn(page, "scenes")[..., 3] > 0).mean() > 0.02
                heading = page.locator("#classes thead").inner_text()
                assert ("AP25" if name.startswith("detection") else "IoU") in heading.replace("IoU here", "")

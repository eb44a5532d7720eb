"""Probes along a pre-training: from stores to log, result and model card."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import build_labelled
import build_scannet
from fake_teacher import MeanColourTeacher, factory
from pointdistill import manifest
from pointdistill.datasets.objects import ObjectSet
from pointdistill.engine.log import read_log
from pointdistill.errors import RecipeError
from pointdistill.labelled import open_labelled
from pointdistill.loader import FrameLoader
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.online_probe import ProbeSettings, open_probes, prefix_r2, probe_frames
from pointdistill.prepare import open_objects, prepare_frames
from pointdistill.pretraining import run_pretrain, summary
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import distillation, point_mae
from pointdistill.recipes.quickstart_tasks import classification_small
from pointdistill.store import FrameStore
from pointdistill.tasks.base import Splits
from pointdistill.tasks.frozen import linear_svm
from pointdistill.tensors import load_tensors
from test_cli import error_of, run
from test_recipes import _store, _two_steps


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    return _store(folder / "train", (8, 64)), _store(folder / "heldout", (8, 64), first_scan=2)


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    assert run("prepare", build_labelled.write_modelnet(folder / "raw"), folder / "objects", "--labels") == 0
    return folder / "objects"


@pytest.fixture(scope="module")
def backbone() -> PointTransformer:
    torch.manual_seed(0)
    return PointTransformer(distillation().backbone)


def by_hand(backbone, store, frames):
    """Features and targets of all frames of a store, drawn as epoch 0 of seed 0 draws them."""
    loader = FrameLoader(store, 1, frames.points, seed=0, frame=frames.frame)
    with torch.no_grad():
        tokens = backbone.eval()(loader.batch(np.arange(len(store)), 0).points).tokens
    features = torch.stack([torch.cat([one.mean(0), one.max(0).values]) for one in tokens])
    return features.double().numpy(), store.targets.astype(np.float64)


def test_prefix_r2_by_hand(stores, backbone):
    train, heldout = map(FrameStore.open, stores)
    frames = distillation().frames
    found = prefix_r2(backbone.train(), *(probe_frames(frames, store, 100) for store in (train, heldout)))
    assert backbone.training
    (x, y), (other_x, other_y) = (by_hand(backbone, store, frames) for store in (train, heldout))
    z, other_z = ((part - x.mean(0)) / x.std(0) for part in (x, other_x))
    y, other_y = y.reshape(len(y), -1), other_y.reshape(len(other_y), -1)
    # The dual form: as many unknowns as frames.
    dual = np.linalg.solve(z @ z.T + len(z) * found.penalty * np.eye(len(z)), y - y.mean(0))
    error = ((other_z @ z.T @ dual + y.mean(0) - other_y) ** 2).sum()
    assert found.r2 == pytest.approx(1 - error / ((other_y - other_y.mean(0)) ** 2).sum(), rel=1e-3, abs=1e-3)
    assert found.by_token.shape == (8,) and found.by_component.shape == (5,)
    recipe = replace(distillation(), engine=replace(distillation().engine, validate_every=10))
    probes = open_probes(ProbeSettings(), recipe, train, heldout, 230)
    assert probes is not None and probes.every == 50  # five a run at most, at validations
    assert probes.figures(backbone) == {"prefix_r2": pytest.approx(found.r2, abs=1e-9)}


class Brightness(MeanColourTeacher):
    """Half of what the other one says."""

    identity = "brightness-1"
    target_shape = (2, 1)

    def targets(self, images):
        return super().targets(images)[..., :1]


def test_probes_may_be_of_another_teacher_than_the_run(tmp_path, backbone):
    root = build_scannet.write_data_set(tmp_path / "scannet", ["scene0000_00", "scene0001_00"], frames=6)
    for teacher in (factory(), Brightness):
        prepare_frames(root, tmp_path / "store", teacher, every=1, points=200, workers=1)
    store = FrameStore.open(tmp_path / "store", "mean-colour-1")
    own, others = (
        open_probes(ProbeSettings(1, teacher=name), distillation(), store, store, 2) for name in (None, "brightness-1")
    )
    assert own is not None and others is not None
    assert (own.about["teacher"], others.about["teacher"]) == ("mean-colour-1", "brightness-1")
    assert own.figures(backbone) != others.figures(backbone)


def test_frames_are_spread_over_the_store_and_no_more_than_asked_for(stores):
    assert probe_frames(paper().frames, FrameStore.open(stores[0]), 3).indices.tolist() == [0, 2, 5]


@pytest.mark.parametrize("recipe", [distillation(), point_mae(distillation())], ids=["distillation", "point_mae"])
def test_every_method_is_probed_and_learns_the_same(recipe, stores, objects, tmp_path):
    settings = ProbeSettings(1, objects)
    assert pickle.loads(pickle.dumps(settings)) == settings
    train, heldout = stores
    run_pretrain(_two_steps(recipe), train, heldout, tmp_path / "plain")
    result = run_pretrain(_two_steps(recipe), train, heldout, tmp_path / "probed", probes=settings)
    ours, theirs = (load_tensors(tmp_path / name / "method.safetensors")[0] for name in ("plain", "probed"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert set(result["probed"]) == {"prefix_r2", "svm_accuracy"} and 0 <= result["probed"]["svm_accuracy"] <= 1
    rows = read_log(tmp_path / "probed" / "log.jsonl")
    assert rows == result["curve"] and all({"prefix_r2", "svm_accuracy", "probe_seconds"} <= set(row) for row in rows)
    about = json.loads((tmp_path / "probed" / "run.json").read_text())["probes"]
    store = manifest.file_sha256(objects / "manifest.json")
    counts = {"every": 1, "train_frames": 6, "heldout_frames": 6, "labels": None}
    assert about == {**counts, "objects": store, "teacher": "mean colour"}
    card = (tmp_path / "probed" / "model_card.md").read_text()
    assert f"| r2 of the prefix from frozen features | {rows[-1]['prefix_r2']:.4f} |" in card
    assert f"accuracy of an SVM on frozen features {rows[-1]['svm_accuracy']:.3f}" in summary(result)


def test_the_svm_learns_on_training_and_is_asked_on_validation_objects(objects, stores, backbone, monkeypatch):
    opened = []

    def opening(store, split):
        opened.append(split)
        return open_labelled(store, split)

    monkeypatch.setattr("pointdistill.online_probe.open_labelled", opening)
    train = FrameStore.open(stores[0])
    probes = open_probes(ProbeSettings(7, objects), distillation(), train, None, 100)
    assert probes is not None and probes.every == 7 and opened == ["train", "val"]
    splits = (open_objects(objects, split) for split in ("train", "val", "val"))
    task = replace(classification_small()[0], test_sampling="random")
    assert probes.figures(backbone) == {"svm_accuracy": linear_svm(backbone, Splits(*splits), 0, task)["accuracy"]}


def test_a_store_without_validation_holds_out_training_objects(tmp_path, stores, backbone):
    raw = build_labelled.write_modelnet(tmp_path / "raw", per_class=6)
    (raw / "modelnet40_val.txt").unlink()
    assert run("prepare", raw, tmp_path / "objects", "--labels") == 0
    probes = open_probes(ProbeSettings(1, tmp_path / "objects"), distillation(), FrameStore.open(stores[0]), None, 100)
    assert probes is not None and isinstance(splits := probes._objects, Splits)
    every = open_labelled(tmp_path / "objects", "train")
    assert isinstance(every, ObjectSet)
    assert {*splits.train.names} | {*splits.validation.names} == {*every.names}
    assert not {*splits.train.names} & {*splits.validation.names}
    assert np.bincount(splits.validation.labels).tolist() == [1, 1] and splits.test is splits.validation
    assert probes.figures(backbone)["svm_accuracy"] in (0.0, 0.5, 1.0)


def test_nothing_to_ask(stores):
    train = FrameStore.open(stores[0])
    assert open_probes(ProbeSettings(), distillation(), train, None, 100) is None
    shapes = replace(train, manifest={**train.manifest, "kind": "shapes"})
    recipe = pretraining_recipes()["point-mae-shapenet55"]
    assert open_probes(ProbeSettings(), recipe, shapes, shapes, 100) is None


def test_the_command_probes_unless_told_not_to(stores, objects, tmp_path, capsys):
    train, heldout = stores
    command = ["pretrain", "quickstart-point-mae", "--data", train, "--heldout", heldout, "--epochs", 1]
    command += ["--batch-size", 3]
    assert run(*command, "--out", tmp_path / "on", "--objects", objects) == 0
    assert "r2 of the prefix from frozen features" in capsys.readouterr().out
    assert set(json.loads((tmp_path / "on" / "result.json").read_text())["probed"]) == {"prefix_r2", "svm_accuracy"}
    assert run(*command, "--out", tmp_path / "off", "--probe-every", 0) == 0
    assert json.loads((tmp_path / "off" / "result.json").read_text())["probed"] == {}
    assert "probes" not in json.loads((tmp_path / "off" / "run.json").read_text())
    refused = tmp_path / "refused"
    assert "store of frames" in error_of(capsys, *command, "--out", refused, "--objects", train)
    assert "Leave one out" in error_of(capsys, *command, "--out", refused, "--objects", objects, "--probe-every", 0)
    assert "must be 0 or more" in error_of(capsys, *command, "--out", refused, "--probe-every", -1)
    assert not (refused / "run.json").exists()


def test_objects_of_one_class_are_refused(stores, objects, monkeypatch):
    one = open_labelled(objects, "train")
    assert isinstance(one, ObjectSet)
    one = one.select(np.flatnonzero(one.labels == 0))
    monkeypatch.setattr("pointdistill.online_probe.open_labelled", lambda store, split: one)
    with pytest.raises(RecipeError, match="two classes or more"):
        open_probes(ProbeSettings(1, objects), distillation(), FrameStore.open(stores[0]), None, 100)

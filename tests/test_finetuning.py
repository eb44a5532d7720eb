"""`pointdistill finetune` from files as published to a tested model."""

import json
from dataclasses import replace

import pytest
import torch

import build_labelled
from pointdistill import create_backbone
from pointdistill.errors import RecipeError
from pointdistill.finetuning import Episodes, run_few_shot, run_finetuning, starting_backbone
from pointdistill.models.backbone import Config
from pointdistill.models.checkpoints import save_backbone
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.saved import load_task_model
from test_cli import error_of, run

TINY = {"width": 24, "depth": 2, "heads": 2}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Prepared objects and part-labelled shapes."""
    folder = tmp_path_factory.mktemp("labelled")
    for kind, write in {"objects": build_labelled.write_modelnet, "parts": build_labelled.write_shapenetpart}.items():
        assert run("prepare", write(folder / f"raw-{kind}"), folder / kind, "--labels") == 0
    return folder


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A backbone as a pre-training leaves it."""
    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(5)
    save_backbone(create_backbone("vit_nano", **TINY), folder, {"identity": "abc", "recipe": {"name": "quickstart"}})
    return folder


def test_the_command_trains_tests_and_goes_on(stores, pretrained, tmp_path, capsys):
    command = ("finetune", "classification-small", "--data", stores / "objects", "--init", pretrained)
    command += ("--out", tmp_path / "run", "--epochs", 2, "--batch-size", 3, "--seed", 4, "--labels", 1)
    assert run(*command) == 0
    said = capsys.readouterr().out
    assert "width 24 (not 96)" in said and "accuracy" in said and "plate" in said and "best accuracy" in said
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["steps"] == round(2 * 2 / 3) and result["seed"] == 4  # two labelled objects, batches of three
    card = json.loads((tmp_path / "run/model.json").read_text())
    assert (card["recipe"], card["labels"]) == ("classification-small", 1)
    assert card["init"]["identity"] == "abc" and card["init"]["recipe"] == "quickstart"
    assert load_task_model(tmp_path / "run").model.backbone.width == 24
    stamp = (tmp_path / "run/model.safetensors").stat().st_mtime_ns
    assert run(*command) == 0
    assert (tmp_path / "run/model.safetensors").stat().st_mtime_ns == stamp
    assert "other settings" in error_of(capsys, *command, "--seed", "5")


def test_from_scratch_on_training_and_validation_data(stores, tmp_path):
    recipe = RECIPES["shapenetpart"]()
    task = replace(recipe.task, points=64, group_count=8, group_size=8, propagation=(16, 16), hidden=(16, 16))
    recipe = replace(recipe, task=task, backbone=BackboneConfig(**TINY))
    result = run_finetuning(recipe, stores / "parts", tmp_path, epochs=1, batch_size=4)
    assert result["steps"] == 2 and len(result["curve"]) == 1  # 4 + 4 shapes; an epoch a point
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["init"] == "scratch" and card["splits"] == ["train+val", "test", "test"]


def test_what_does_not_fit_is_one_line(stores, pretrained, tmp_path, capsys):
    start = ("finetune", "classification-small", "--out", tmp_path / "run", "--data")
    assert "no recipe 'chess' (FILE.py:NAME is one of your own). Choose one of " in error_of(
        capsys, "finetune", "chess", "--data", stores / "objects"
    )
    assert "is a store of parts, the recipe classification-small" in error_of(capsys, *start, stores / "parts")
    line = error_of(capsys, *start, stores / "raw-objects")
    assert f"Prepare it first: pointdistill prepare {stores / 'raw-objects'} STORE --labels" in line
    assert "no such checkpoint" in error_of(capsys, *start, stores / "objects", "--init", tmp_path / "nothing")
    assert "--labels 0" in error_of(capsys, *start, stores / "objects", "--labels", "0")
    assert "abacus" in error_of(capsys, *start, stores / "objects", "--device", "abacus")
    assert not (tmp_path / "run" / "result.json").exists()
    with pytest.raises(RecipeError, match="start it from scratch"):
        starting_backbone(Config(), pretrained, 0)


def test_weights_start_as_they_are_and_random_ones_by_the_seed(pretrained):
    said = []
    loaded = starting_backbone(BackboneConfig(), pretrained, 0, said.append)
    assert loaded.width == 24 and len(said) == 1 and "heads 2 (not 6)" in said[0]
    same, again, other = (starting_backbone(BackboneConfig(**TINY), None, seed) for seed in (1, 1, 2))
    assert torch.equal(same.norm.bias, again.norm.bias)
    weight = "blocks.0.ffn.expand.weight"
    first, second, third = (one.state_dict()[weight] for one in (same, again, other))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_few_shot_episodes(stores, pretrained, tmp_path, capsys):
    command = ("finetune", "modelnet40-few-shot", "--data", stores / "objects", "--init", pretrained)
    line = error_of(capsys, *command, "--out", tmp_path / "run")
    assert "needs --way and --shot" in line
    assert "belong together" in error_of(capsys, *command, "--way", 2)
    other = ("finetune", "classification-small", *command[2:], "--way", 2, "--shot", 1)
    assert "is not few-shot" in error_of(capsys, *other)


def test_few_shot_from_python(stores, pretrained, tmp_path):
    recipe = RECIPES["modelnet40-few-shot"]()
    recipe = replace(recipe, task=replace(recipe.task, points=48, farthest=0, group_count=8, group_size=8))
    found = run_few_shot(recipe, stores / "objects", tmp_path, Episodes(2, 1, 2), pretrained, epochs=1, queries=2)
    assert len(found["episodes"]) == 2 and found["mean"] == pytest.approx(sum(found["episodes"]) / 2)
    assert (found["way"], found["shot"], found["config"]["steps"]) == (2, 1, 1)

"""A task, a backbone and data in one call."""

from dataclasses import replace

import pytest
import torch

from pointdistill import create_backbone, finetune
from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.errors import CheckpointError, RecipeError
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.classification import Classification
from task_samples import object_splits, tiny_backbone

QUICK = {"epochs": 1, "batch_size": 2}


def test_a_run_its_file_and_the_backbone_itself_are_the_same_start(named, tmp_path):
    said = []
    by_name = finetune("classification-small", named / "run", named / "objects", **QUICK)
    backbone = load_backbone(named / "run")
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    kept = finetune("classification-small", backbone, named / "objects", tmp_path / "out", say=said.append, **QUICK)
    assert by_name.result["identity"] == kept.result["identity"] and by_name.figures == kept.figures
    for name, value in by_name.model.state_dict().items():
        assert torch.equal(value, kept.model.state_dict()[name])
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert not kept.model.training and kept.saved.facts.classes == ("ball", "plate")
    assert kept.figures["accuracy"] == kept.result["value"] and said == []
    stamp = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    again = finetune("classification-small", backbone, named / "objects", tmp_path / "out", **QUICK)
    assert again.figures == kept.figures
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == stamp


def test_a_task_of_ones_own_on_splits():
    task = Classification(group_count=8, group_size=8, hidden=16, dropout=0.0, farthest=0, points=64)
    config, steps = FinetuneConfig(steps=3, batch_size=4, warmup=0), []
    report = lambda done, total, note: steps.append((done, total))  # noqa: E731
    tuned = finetune(task, tiny_backbone(), object_splits(), config=config, report=report)
    assert steps[-1] == (3, 3) and tuned.model.backbone.width == 24
    assert tuned.saved.facts.classes == ("sphere", "plate", "pole")
    assert finetune(task, tiny_backbone(), object_splits(), config=config, labels=1).figures != {}


def test_from_scratch(named):
    recipe = replace(RECIPES["classification-small"](), backbone=tiny_backbone().config)
    first, second, other = (
        finetune(recipe, start, named / "objects", seed=seed, **QUICK)
        for start, seed in ((None, 1), ("scratch", 1), (None, 2))
    )
    assert first.result["identity"] == second.result["identity"] != other.result["identity"]


def test_what_does_not_fit_is_one_line(named):
    with pytest.raises(RecipeError, match=r"no recipe 'chess' \(FILE\.py:NAME is one of your own\)\. Choose one of"):
        finetune("chess", None, named / "objects")
    with pytest.raises(RecipeError, match="is a store of objects"):
        finetune("detection-small", None, named / "objects")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        finetune("classification-small", named / "nothing", named / "objects")
    with pytest.raises(RecipeError, match=r"a DGCNN: is no point transformer"):
        finetune("classification-small", DGCNNConfig(width=8, embedding=16).build(), named / "objects")
    dgcnn = replace(RECIPES["classification-small"](), backbone=DGCNNConfig())
    with pytest.raises(RecipeError, match=r"a PointTransformer: holds a point transformer"):
        finetune(dgcnn, create_backbone("vit_nano"), named / "objects")

"""The classification recipes are Appendix A.2 and Point-MAE's configurations, and train."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.scanobjectnn import Variant
from pointdistill.engine.finetune import finetune
from pointdistill.models.point_transformer import BACKBONES
from pointdistill.recipes.downstream.classification import modelnet40, modelnet40_few_shot, scanobjectnn
from pointdistill.tasks.base import Splits
from pointdistill.tasks.classification import Classification

ALL = [modelnet40(), modelnet40_few_shot(), *(scanobjectnn(variant) for variant in get_args(Variant))]


def test_published_settings():
    for recipe in ALL:
        chosen = recipe.optimisation
        assert (chosen.lr, chosen.weight_decay, chosen.batch_size, chosen.clip) == (5e-4, 0.05, 32, 10)
        assert recipe.warmup_epochs == 10 and recipe.splits == ("train", "test", "test")
        assert recipe.backbone == BACKBONES["vit_s"]
    sizes = {}
    for recipe in ALL:
        task = recipe.task
        assert isinstance(task, Classification) and task.group_size == 32
        sizes[recipe.name] = recipe.epochs, task.points, task.group_count, task.farthest, task.votes
    assert len(sizes) == len(ALL)
    assert sizes["modelnet40"] == (300, 1024, 64, 1200, 10)
    assert sizes["modelnet40-few-shot"] == (150, 1024, 64, 1200, 1)
    assert sizes["scanobjectnn-obj-only"] == sizes["scanobjectnn-obj-bg"] == (300, 2048, 128, 2400, 1)
    assert sizes["scanobjectnn-pb-t50-rs"] == (200, 2048, 128, 2400, 1)
    schedule = modelnet40().schedule(9843)
    assert (schedule.steps, schedule.warmup, schedule.eval_every) == (92278, 3076, 308)


@pytest.mark.parametrize("recipe", [modelnet40(), scanobjectnn("obj_only")], ids=lambda recipe: recipe.name)
def test_two_steps(recipe, tmp_path):
    """At its own clouds and patches, on a narrow backbone."""
    task = replace(recipe.task, votes=min(recipe.task.votes, 2), vote_repeats=min(recipe.task.vote_repeats, 2))
    backbone = replace(recipe.backbone, width=24, depth=1, heads=2).build()
    clouds = np.random.default_rng(0).normal(size=(2, 2500, 3)).astype(np.float32)
    data = ObjectSet(clouds, np.arange(2), ("a", "b"), ("chair", "table"))
    config = replace(recipe.schedule(9843), steps=2, batch_size=2, eval_every=1)
    result = finetune(task, backbone, Splits(data, data, data), config, 0, tmp_path)
    assert {"accuracy", "class_accuracy", "accuracy_by_class"} <= set(result["test"])
    if recipe.name == "modelnet40":
        assert result["test"]["vote2"] <= result["test"]["max_of_n"] and 0 <= result["best"]["value"] <= 1

"""Downstream recipes: epochs become steps, and each recipe that the command line knows builds and takes two steps."""

from dataclasses import replace

import numpy as np
import pytest

from pointdistill.engine.finetune import finetune, learning_rate_factor
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.quickstart import tasks
from shrunk import shrunk
from task_samples import object_splits, room_splits, shape_splits

DATA = {"scenes": room_splits, "objects": object_splits, "parts": shape_splits}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_two_steps(name, tmp_path):
    assert RECIPES[name]().name == name
    recipe = shrunk(RECIPES[name]())
    data = DATA[recipe.store]()
    config = recipe.schedule(recipe.task.size(data.train))
    result = finetune(recipe.task, recipe.backbone.build(), data, config, 0, tmp_path)
    assert result["steps"] == 2 and [step for step, _ in result["curve"]] == [1, 2]
    assert np.isfinite(result["value"])


def test_parts_of_the_paper():
    """Appendix A.2; 12,137 + 1,870 shapes are trained on."""
    recipe = RECIPES["shapenetpart"]()
    config = recipe.schedule(12_137 + 1_870)
    assert config.steps == round(300 * 14_007 / 16) and config.eval_every == round(14_007 / 16)
    rates = [config.lr * learning_rate_factor(config, step) for step in (0, config.warmup, config.steps)]
    np.testing.assert_allclose(rates, [1e-6, 2e-4, 1e-6], rtol=1e-9)
    assert (config.warmup, config.weight_decay, config.clip) == (round(10 * 14_007 / 16), 0.05, 10.0)


def test_detection_of_the_paper():
    """Appendix A.2 and 3DETR's main.py: its learning rate at every iteration, for 1,201 scenes in batches of 8."""
    recipe = RECIPES["scannet-detection"]()
    config = recipe.schedule(1201)
    assert config.steps == round(720 * 1201 / 8) and config.warmup == round(9 * 1201 / 8)
    for step in (0, 5, config.warmup - 1, config.warmup + 1, 40_000, config.steps):
        done = step / config.steps
        rate = 1e-6 + 0.5 * (5e-4 - 1e-6) * (1 + np.cos(np.pi * done))
        if step <= config.warmup:
            rate = 1e-6 + done * 720 * (5e-4 - 1e-6) / 9
        assert config.lr * learning_rate_factor(config, step) == pytest.approx(rate, rel=1e-3)
    assert (config.weight_decay, config.decay_all, config.clip) == (0.1, True, 0.1)
    decoder = recipe.task.decoder
    assert (decoder.width, decoder.depth, decoder.queries, decoder.content, decoder.coding) == (
        *(256, 8, 256),
        *("zero", "bounded"),
    )
    assert recipe.task.cuboid.minimum_points == 30_000 and recipe.task.flip and recipe.task.rotation == 5


@pytest.mark.parametrize("task", tasks())
def test_small_recipes_are_the_quickstarts(task):
    recipe, same = RECIPES[f"{task.replace('_', '-')}-small"](), tasks()[task]
    for size in (1, 7, 400):
        assert recipe.schedule(size) == same.finetune and recipe.task == same.task


def test_other_epochs_keep_the_shares():
    recipe = RECIPES["shapenetpart"]()
    assert recipe.schedule(1600, epochs=300) == recipe.schedule(1600) == replace(recipe.schedule(1600), steps=30_000)
    shorter = recipe.schedule(1600, epochs=3)
    assert (shorter.steps, shorter.warmup, shorter.eval_every, shorter.checkpoint_every) == (300, 10, 100, 100)
    small = RECIPES["classification-small"]()
    assert small.schedule(32, epochs=50).steps == 100 and small.schedule(32, epochs=50).eval_every == 20

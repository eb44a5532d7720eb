"""Fine-tuned models load without data and say the same."""

import json

import pytest
import torch
from test_downstream_recipes import DATA

from pointdistill.engine.finetune import finetune
from pointdistill.errors import CheckpointError, DataError
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.base import Sample, Splits
from pointdistill.tasks.saved import load_task_model
from shrunk import shrunk


@pytest.mark.parametrize("name", RECIPES)
def test_a_saved_model_says_the_same(name, tmp_path):
    recipe = shrunk(RECIPES[name]())
    data = DATA[recipe.store]()
    result = finetune(recipe.task, recipe.backbone.build(), data, recipe.schedule(1), 0, tmp_path)
    saved = load_task_model(tmp_path)
    assert saved.task == recipe.task and saved.model.backbone.config == recipe.backbone
    assert saved.facts == recipe.task.facts(data) and not saved.model.training
    assert saved.task.evaluate(saved.model, data.test, 0) == result["test"]
    batch = recipe.task.batch(data.train, [Sample(0, 0), Sample(0, 1)], 0)
    torch.manual_seed(0)
    assert torch.isfinite(saved.task.loss(saved.model, batch).total)  # what only the loss needs is there too


def test_data_of_other_classes_are_refused(tmp_path):
    for name, split in {"classification-small": "classes", "shapenetpart": "category_names"}.items():
        recipe = shrunk(RECIPES[name]())
        data = DATA[recipe.store]()
        facts = recipe.task.facts(data)
        facts.check(data.test)
        other = type(data.test)(**{**vars(data.test), split: ("a", "b", "c")})
        with pytest.raises(DataError, match="other c"):
            facts.check(other)


def test_what_is_no_saved_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no finished fine-tuning"):
        load_task_model(tmp_path)
    recipe = shrunk(RECIPES["classification-small"]())
    data = DATA["objects"]()
    finetune(recipe.task, recipe.backbone.build(), data, recipe.schedule(1), 0, tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    for change, words in [
        ({"task": "poetry"}, "poetry"),
        ({"settings": {**card["settings"], "metre": 5}}, "Classification has no field 'metre'"),
        ({"facts": {"classes": ["one"]}}, "does not fit model.json"),
    ]:
        (tmp_path / "model.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(CheckpointError, match=words):
            load_task_model(tmp_path)


def test_pieces_are_counted_in_any_order_and_any_share():
    for name in ("classification-small", "part-segmentation-small", "semantic-segmentation-small", "detection-small"):
        recipe = shrunk(RECIPES[name]())
        task, data = recipe.task, DATA[recipe.store]()
        model = task.model(recipe.backbone.build(), data)
        test: Splits = data.test
        assert task.pieces(test) > 1
        parts = [task.tally(test), task.tally(test)]
        for piece in reversed(range(task.pieces(test))):
            task.count(parts[piece % 2], test, piece, task.predict(model, test, piece, 0))
        parts[0].merge(parts[1])
        assert task.figures(parts[0], test) == task.evaluate(model, test, 0)

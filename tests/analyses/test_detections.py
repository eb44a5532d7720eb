"""Figure 3's rooms: of the model's test split, with what the model says there."""

import numpy as np
import pytest

import build_labelled
from pointdistill.analyses.detections import detection_examples
from pointdistill.errors import DataError
from pointdistill.finetuning import run_finetuning
from pointdistill.labelled import open_labelled
from pointdistill.prepared_labels import prepare_labels
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.saved import load_task_model
from shrunk import shrunk
from task_samples import room


def test_rooms_of_the_test_split(tmp_path, finished):
    rooms = {"train": [room(0)], "val": [room(1)], "test": [room(2), room(3), room(4)]}
    prepare_labels(build_labelled.write_scannet(tmp_path / "raw", rooms), tmp_path / "scenes", workers=1)
    run_finetuning(shrunk(RECIPES["detection-small"]()), tmp_path / "scenes", tmp_path / "model")
    found = detection_examples(tmp_path / "model", tmp_path / "scenes", shown=2)
    split, saved = open_labelled(tmp_path / "scenes", "test"), load_task_model(tmp_path / "model")
    assert [one.title for one in found] == [split[0].name, split[2].name]
    said = saved.task.detect(saved.model, split[2], saved.card["seed"])
    np.testing.assert_array_equal(found[1].true_boxes, split[2].boxes)
    np.testing.assert_array_equal(np.sort(found[1].scores), np.sort(said.scores))
    with pytest.raises(DataError, match="not of scenes"):
        detection_examples(tmp_path / "model", finished.root / "objects")

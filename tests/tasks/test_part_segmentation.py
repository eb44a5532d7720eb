import numpy as np
import pytest
import torch

from pointdistill.errors import DataError
from pointdistill.models.heads import pyramid_layers
from pointdistill.tasks.base import Splits
from pointdistill.tasks.part_segmentation import PartSegmentation, allowed_parts, limited_argmax
from task_samples import shape_splits, shapes, tiny_backbone

TASK = PartSegmentation(
    points=64, group_count=8, group_size=8, propagation=(16, 16), hidden=(16, 16), embedding=4, dropout=0.0
)


def test_predictions_stay_within_the_category() -> None:
    data = shape_splits()
    for shape, category in zip(
        TASK.label_shapes(TASK.model(tiny_backbone(), data), data.test, 0), data.test.categories, strict=True
    ):
        assert set(np.unique(shape.predicted)) <= set(data.test.part_ids[category])
        assert set(np.unique(shape.true)) <= set(data.test.part_ids[category])


def test_limited_argmax() -> None:
    logits = torch.tensor([[[5.0, 1, 2, 3]], [[5.0, 1, 2, 3]]])
    assert limited_argmax(logits, allowed_parts(shapes(0))).tolist() == [[0], [3]]


def test_baseline_is_the_majority_part_of_each_category() -> None:
    data = shape_splits()
    score = []
    for parts, category in zip(data.test.parts, data.test.categories, strict=True):
        first, second = data.test.part_ids[category]
        train = data.train.parts[data.train.categories == category]
        common = first if (train == first).mean() >= 0.5 else second
        score.append((parts == common).mean() / 2)
    whole = PartSegmentation(points=data.test.points.shape[1])
    assert whole.baseline(data)["instance_miou"] == pytest.approx(np.mean(score))


def test_layers_of_the_pyramid() -> None:
    assert pyramid_layers(12) == (4, 8, 12)
    assert pyramid_layers(4) == (1, 3, 4)
    assert pyramid_layers(2) == (1, 1, 2)


def test_foreign_part_is_named() -> None:
    data, broken = shape_splits(), shapes(1)
    broken.parts[6, 3] = 0
    with pytest.raises(
        DataError, match=r"test split, shape 6 \(shape_6\), point 3: part label 0 is unknown to category table"
    ):
        TASK.check(Splits(data.train, data.validation, broken))

import numpy as np
import pytest
import torch

from pointdistill.errors import DataError
from pointdistill.tasks.base import Sample, Splits
from pointdistill.tasks.classification import Classification
from task_samples import object_splits, objects, tiny_backbone

TASK = Classification(points=64, group_count=8, group_size=8, hidden=16, dropout=0.0)


def test_baseline_is_the_share_of_the_majority_class() -> None:
    train = objects(0).select(np.array([0, 4, 5, 8]))
    test = objects(2).select(np.array([0, 1, 4, 8, 9]))
    figures = TASK.baseline(Splits(train, test, test))
    assert figures["accuracy"] == pytest.approx(1 / 5)
    assert figures["class_accuracy"] == pytest.approx(1 / 3)


def test_augmented_clouds_stay_near_the_unit_sphere_and_upright() -> None:
    task = Classification(points=64, yaw=True, scale=(1.0, 1.0), shift=0.0)
    data = objects(0)
    batch = task.batch(data, [Sample(0, 8)], 0)
    assert 0.9 < batch.points.norm(dim=-1).max() <= 1 + 1e-5
    assert batch.points[..., 2].abs().max() > 0.8, "the pole still stands"


def test_head_reads_the_class_token_and_the_maximum() -> None:
    model = TASK.model(tiny_backbone(), object_splits()).eval()
    tokens = torch.randn(2, 9, 24)
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:][:, torch.randperm(8)]], 1)
    assert torch.equal(model.head(tokens), model.head(shuffled))
    assert not torch.equal(model.head(tokens), model.head(tokens.flip(1)))


@pytest.mark.parametrize("sampling", ["random", "fps"])
def test_test_clouds_keep_distinct_points(sampling: str) -> None:
    task = Classification(points=64, test_sampling=sampling)
    clouds = task._test_clouds(objects(0, per_class=2), 0, 0)
    assert clouds.shape == (6, 64, 3)
    assert all(len(torch.unique(cloud, dim=0)) == 64 for cloud in clouds)


def test_bad_data_is_named() -> None:
    data = object_splits()
    broken = objects(1)
    broken.points[3, 5, 0] = np.nan
    with pytest.raises(DataError, match=r"validation split, object shape_3, point 5: .*not finite"):
        TASK.check(Splits(data.train, broken, data.test))
    broken = objects(1)
    broken.labels[2] = 7
    with pytest.raises(DataError, match=r"test split, object shape_2: label 7"):
        TASK.check(Splits(data.train, data.validation, broken))

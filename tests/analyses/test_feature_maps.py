import numpy as np
import pytest

from pointdistill.analyses.feature_maps import feature_map, frozen_task, silhouette, standardised, two_components
from pointdistill.labelled import open_splits
from pointdistill.tasks.frozen import nearest_neighbours


def test_both_backbones_in_the_plane(finished):
    data = open_splits(finished.root / "objects", ("train", "train", "test"))
    found = feature_map(finished.subject, data)
    task = frozen_task(finished.subject.recipe.backbone)
    assert (task.group_count, task.group_size, task.points) == (8, 8, 1024)
    assert [one.init for one in found.features] == ["distilled", "scratch"]
    for one, backbone in zip(found.features, finished.subject.backbones.values(), strict=True):
        assert one.neighbours == pytest.approx(nearest_neighbours(backbone, data, 0, task)["accuracy"])
        assert np.shape(one.tsne) == np.shape(one.pca) == (len(found.labels), 2)
        assert np.isfinite([one.tsne, one.pca]).all()
    assert found.features[0].pca != found.features[1].pca
    assert feature_map(finished.subject, data) == found, "the same seed, the same picture"


def test_two_components():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 5)) * [5, 3, 1, 1, 1] + 7
    plane, shares = two_components(features)
    values, directions = np.linalg.eigh(np.cov(features.T, bias=True))
    oracle = (features - features.mean(0)) @ directions[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(plane), np.abs(oracle), atol=1e-9)
    np.testing.assert_allclose(shares, values[[-1, -2]] / values.sum())


def test_silhouette_and_scale():
    labels = np.array([0, 0, 1, 1])
    assert silhouette(np.array([[0.0], [0.1], [9.0], [9.1]]), labels) > 0.9
    assert silhouette(np.array([[0.0], [9.0], [0.1], [9.1]]), labels) < 0
    train = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(standardised(train, np.array([[4.0, 8.0]])), [[2.0, 0.0]])

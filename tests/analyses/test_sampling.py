import numpy as np
import pytest

from pointdistill.analyses.sampling import mean_distance, sampling_examples
from pointdistill.loader import FrameLoader, in_camera


def test_draws_are_the_loaders(finished):
    store = finished.heldout
    found = sampling_examples(store, (64, 16), shown=3)
    for one, row in zip(found, (0, 5, 11), strict=True):
        np.testing.assert_array_equal(one.points, store.cloud(row))
        first, second = np.split(one.rows, [64])
        assert one.counts.tolist() == [64, 16] and len(second) == 16
        for rows in (first, second):
            batch = FrameLoader(store, 1, len(rows), seed=0).batch(np.array([row]), 0)
            np.testing.assert_allclose(one.points[rows], in_camera(batch.points[0], store, row, "camera"), atol=1e-4)
        assert 0 < one.distances[0] < one.distances[1]


def test_mean_distance():
    generator = np.random.default_rng(0)
    points = generator.normal(size=(50, 3)).astype(np.float32)
    gaps = np.linalg.norm(points[:, None] - points[None, :7], axis=-1).min(1)
    assert mean_distance(points, points[:7]) == pytest.approx(gaps.mean(), rel=1e-6)
    assert mean_distance(points, points) == 0

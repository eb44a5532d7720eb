import numpy as np
import pytest

from pointdistill.analyses.predictability import own_prediction, predictability, reading
from pointdistill.metrics.ridge import principal_components
from pointdistill.pretraining import validation_loader


def test_in_all_it_is_the_figure_of_the_log(finished):
    found = predictability(finished.subject, finished.train, finished.heldout)
    loader = validation_loader(finished.subject.recipe, finished.heldout)
    own, ours, scratch = found.readings
    assert [(one.init, one.how) for one in found.readings] == [
        ("distilled", "prediction"), ("distilled", "ridge"), ("scratch", "ridge")
    ]  # fmt: skip
    assert own.total == pytest.approx(finished.subject.method.validate(loader.epoch(0))["r2"], abs=1e-5)
    assert ours.total != scratch.total
    assert (found.train_frames, found.heldout_frames, found.heldout_scans) == (12, 12, 2)
    assert len(own.tokens) == 2 and len(own.components) == len(found.shares) == 6
    assert sum(found.shares) == pytest.approx(1) and found.shares == sorted(found.shares, reverse=True)


def test_tokens_and_components_add_up_to_the_whole():
    """In a whole basis, R^2 is the mean of R^2 by part, weighted with each part's variance."""
    generator = np.random.default_rng(0)
    true = generator.normal(size=(30, 2, 3)) * [1, 2, 3]
    predicted = true + generator.normal(size=true.shape)
    directions, _ = principal_components(generator.normal(size=(40, 6)), 6)
    found = reading("distilled", "prediction", predicted, true, directions)
    flat = true.reshape(30, 6)
    turned = np.square((flat - flat.mean(0)) @ directions.T).sum(0)
    tokens = np.square(true - true.mean(0)).sum((0, 2))
    errors = np.square(predicted - true)
    assert found.total == pytest.approx(1 - errors.sum() / tokens.sum())
    np.testing.assert_allclose(found.tokens, 1 - errors.sum((0, 2)) / tokens)
    assert np.average(found.components, weights=turned) == pytest.approx(found.total)
    assert np.average(found.tokens, weights=tokens) == pytest.approx(found.total)


def test_what_does_not_vary_has_no_r2():
    true = np.stack([np.zeros((5, 2)), np.arange(10.0).reshape(5, 2)], 1)
    found = reading("distilled", "ridge", true, true, np.eye(4))
    assert found.tokens == [None, 1.0] and found.components == [None, None, 1.0, 1.0] and found.total == 1.0


def test_predictions_are_in_the_order_of_the_frames(finished):
    subject = finished.subject
    rows = np.array([7])
    alone = subject.loader(finished.heldout, 12).batch(rows, 0)
    together = own_prediction(subject.method, subject.loader(finished.heldout, 12))
    np.testing.assert_allclose(together[7], subject.method.predict(alone.points)[0].detach().numpy(), atol=1e-5)

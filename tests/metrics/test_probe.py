import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from pointdistill.metrics import dense_probe, linear_probe


def blobs(seed, rows=150, classes=3, features=6, spread=1.0):
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, features)) * 3
    labels = generator.integers(0, classes, rows)
    return (centres[labels] + generator.normal(size=(rows, features)) * spread).astype(np.float32), labels


def solved(x, y, test_x, penalty):
    """scipy's minimum of the documented objective, in float64; predicted classes."""
    mean, deviation = x.mean(0), x.std(0)
    x, test_x = (x - mean) / deviation, (test_x - mean) / deviation
    classes, features = y.max() + 1, x.shape[1]

    def loss(flat):
        weight, bias = flat[:-classes].reshape(classes, features), flat[-classes:]
        chosen = log_softmax(x @ weight.T + bias, axis=1)[np.arange(len(y)), y]
        return -chosen.mean() + penalty / 2 * (weight**2).sum()

    flat = minimize(loss, np.zeros(classes * (features + 1)), method="L-BFGS-B").x
    return (test_x @ flat[:-classes].reshape(classes, features).T + flat[-classes:]).argmax(1)


@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
def test_equals_an_independent_solver(penalty):
    (train_x, train_y), (test_x, test_y) = blobs(0, spread=4.0), blobs(1, spread=4.0)
    result = linear_probe(train_x, train_y, test_x, test_y, test_x, test_y, penalties=[penalty])
    expected = solved(train_x.astype(float), train_y, test_x.astype(float), penalty)
    assert (result.predictions == expected).mean() > 0.98
    assert result.score == pytest.approx((result.predictions == test_y).mean()) and result.penalty == penalty


def test_scale_shift_and_dead_features_do_not_matter_and_nothing_is_random():
    train, val, test = blobs(0, spread=3.0), blobs(1, spread=3.0), blobs(2, spread=3.0)
    first = linear_probe(*train, *val, *test)
    again = linear_probe(*(torch.from_numpy(part) for pair in (train, val, test) for part in pair))
    assert first.penalty == again.penalty and np.array_equal(first.predictions, again.predictions)
    moved = [
        (np.concatenate([x * 1000 + 5, np.full((len(x), 1), 7.7)], 1).astype(np.float32), y)
        for x, y in (train, val, test)
    ]
    result = linear_probe(*moved[0], *moved[1], *moved[2])
    assert (result.predictions == first.predictions).mean() > 0.99


def test_the_penalty_is_chosen_on_validation():
    train, val, test = blobs(0, 12, features=60, spread=6.0), blobs(1, features=60), blobs(2, features=60)
    grid = (1.0, 1e-2, 1e-4)
    chosen = linear_probe(*train, *val, *test, penalties=grid)
    each = {penalty: linear_probe(*train, *val, *test, penalties=[penalty]).val_score for penalty in grid}
    assert chosen.val_score == pytest.approx(max(each.values()), abs=0.02)
    with pytest.raises(ValueError, match="at least one penalty"):
        linear_probe(*train, *val, *test, penalties=[])


def test_dense_probe_scores_mean_iou_and_leaves_ignored_rows_out():
    (train_x, train_y), val, (test_x, test_y) = blobs(0), blobs(1), blobs(2)
    train_y, test_y = train_y.copy(), test_y.copy()
    train_x[::5], train_y[::5], test_y[::4] = 1e6, -1, -1  # ignored rows would wreck the fit
    result = dense_probe(train_x, train_y, *val, test_x, test_y, classes=4, ignore=-1)
    assert result.score > 0.9 and result.predictions.shape == test_y.shape
    counted = test_y >= 0
    ious = [
        ((result.predictions == c) & (test_y == c))[counted].sum()
        / ((result.predictions == c) | (test_y == c))[counted].sum()
        for c in range(3)
    ]
    assert result.score == pytest.approx(np.mean(ious))


def test_features_that_cannot_be_probed_are_refused():
    x, y = blobs(0)
    for bad_x, bad_y in ((x[:0], y[:0]), (x * np.nan, y)):
        with pytest.raises(ValueError, match="finite"):
            linear_probe(bad_x, bad_y, x, y, x, y)

import numpy as np
import pytest

from pointdistill.metrics.ridge import PENALTIES, prefix_prediction, principal_components, r_squared, ridge


def problem(seed, rows, features=12, tokens=3, width=5, noise=0.5):
    """Features of unequal size and place, and targets that depend on them linearly."""
    shared = np.random.default_rng(7)
    mixing = shared.normal(size=(features, tokens * width)) * np.geomspace(3, 0.1, tokens * width)
    sizes, places = np.geomspace(0.01, 100, features), shared.normal(size=features) * 50
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(rows, features))
    targets = hidden @ mixing + 4 + noise * generator.normal(size=(rows, tokens * width))
    return (hidden * sizes + places).astype(np.float32), targets.reshape(rows, tokens, width).astype(np.float32)


def solved(x, y, penalty):
    """Least squares of the documented objective, written as more rows: sqrt(rows * penalty) on the diagonal."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean, deviation = x.mean(0), x.std(0)
    above = np.concatenate([(x - mean) / deviation, np.sqrt(len(x) * penalty) * np.eye(x.shape[1])])
    beside = np.concatenate([y - y.mean(0), np.zeros((x.shape[1], y.shape[1]))])
    weight = np.linalg.lstsq(above, beside, rcond=None)[0]
    return lambda rows: (rows - mean) / deviation @ weight + y.mean(0)


@pytest.mark.parametrize(("rows", "penalty"), [(200, 1e-1), (200, 1e-4), (8, 1e-2)])
def test_equals_augmented_least_squares(rows, penalty):
    x, targets = problem(0, rows)
    y, others = targets.reshape(rows, -1), problem(1, 50)[0]
    assert ridge(x, y, [penalty]).predict(others) == pytest.approx(solved(x, y, penalty)(others), abs=1e-6)


def test_the_penalty_is_chosen_on_the_last_fifth_of_the_training_rows():
    x, targets = problem(0, 50, features=30, noise=20.0)
    y = targets.reshape(50, -1)
    errors = {penalty: ((solved(x[:40], y[:40], penalty)(x[40:]) - y[40:]) ** 2).sum() for penalty in PENALTIES}
    best = min(errors, key=lambda penalty: errors[penalty])
    assert PENALTIES[0] > best > PENALTIES[-1]  # a choice that could have been another
    fit = ridge(x, y)
    assert fit.penalty == best and fit.predict(x) == pytest.approx(solved(x, y, best)(x), abs=1e-6)


def test_scale_shift_and_dead_features_do_not_matter():
    (x, targets), (others, _) = problem(0, 60), problem(1, 20)
    y = targets.reshape(60, -1)
    moved = [
        np.concatenate([part.astype(np.float64) * 1000 - 3, np.full((len(part), 2), 7.7)], 1) for part in (x, others)
    ]
    assert ridge(moved[0], y).predict(moved[1]) == pytest.approx(ridge(x, y).predict(others), abs=1e-5)
    constant = np.ones((60, 2))
    assert ridge(constant, y).predict(constant[:1]) == pytest.approx(y.mean(0, keepdims=True, dtype=np.float64))


def test_r_squared_by_hand():
    true, predicted = np.array([[0.0, 2.0], [2.0, 6.0]]), np.array([[0.0, 3.0], [2.0, 6.0]])
    assert r_squared(predicted, true) == pytest.approx(1 - 1 / (2 + 8))  # about each column's mean, 1 and 4
    assert r_squared(np.tile(true.mean(0), (2, 1)), true) == 0 and r_squared(true, true) == 1
    assert np.isnan(r_squared(true[:1], true[:1]))


def test_principal_components_are_those_of_the_covariance():
    y = problem(0, 80)[1].reshape(80, -1).astype(np.float64)
    directions, shares = principal_components(y, 4)
    values, vectors = np.linalg.eigh(np.cov(y.T))
    assert np.abs(directions @ vectors[:, ::-1][:, :4]) == pytest.approx(np.eye(4), abs=1e-9)
    assert shares == pytest.approx(values[::-1][:4] / values.sum())
    assert principal_components(y[:3], 16)[0].shape == (2, 15)
    assert principal_components(np.ones((4, 3)), 2)[1].tolist() == [0, 0]


def test_a_prefix_is_predicted_in_all_by_token_and_by_component():
    (x, targets), (other_x, other_targets) = problem(0, 300), problem(1, 100)
    targets[:, 2] = np.random.default_rng(3).normal(size=targets[:, 2].shape)  # a token that geometry does not say
    other_targets[:, 2] = np.random.default_rng(4).normal(size=other_targets[:, 2].shape)
    found = prefix_prediction(x, targets, other_x, other_targets, components=15)
    predicted = solved(x, targets.reshape(300, -1), found.penalty)(other_x).reshape(100, 3, 5)
    centred = other_targets - other_targets.mean(0)
    for token in range(3):
        error, variance = ((predicted - other_targets)[:, token] ** 2).sum(), (centred[:, token] ** 2).sum()
        assert found.by_token[token] == pytest.approx(1 - error / variance, abs=1e-5)
    assert found.by_token[0] > 0.9 and abs(found.by_token[2]) < 0.2
    # The components are all: what is missed along them, weighed by held-out variance, is what is missed in all.
    directions = principal_components(targets.reshape(300, -1), 15)[0]
    variances = (centred.reshape(100, -1) @ directions.T).astype(np.float64).var(0)
    assert found.r2 == pytest.approx(np.average(found.by_component, weights=variances), abs=1e-5)
    assert found.r2 == pytest.approx(1 - ((predicted - other_targets) ** 2).sum() / (centred**2).sum(), abs=1e-5)
    assert np.all(np.diff(found.variance_share) <= 0) and found.variance_share.sum() == pytest.approx(1)


def test_what_cannot_be_fitted_is_refused():
    x, y = np.zeros((4, 2)), np.zeros((4, 3))
    with pytest.raises(ValueError, match="two rows"):
        ridge(x[:1], y[:1])
    with pytest.raises(ValueError, match="finite"):
        ridge(x * np.nan, y)
    for penalties in ([], [0.0, 1.0]):
        with pytest.raises(ValueError, match="positive"):
            ridge(x, y, penalties)

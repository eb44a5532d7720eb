"""Ridge regression in closed form, and how much of a teacher's targets frozen features predict by it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pointdistill.metrics.arrays import ArrayLike, to_numpy

PENALTIES = (1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Weights of the L2 term that are tried, a row; with standardised features 1 weighs as much as a feature's variance."""
_CHOICE = 5
"""One of so many training rows serves to choose the penalty."""
_DEAD = 1e-6
"""A feature that varies less than this share of its size says nothing."""


class Ridge(NamedTuple):
    """A linear map with an offset, features -> outputs, in the units of both."""

    weight: Float[np.ndarray, "features outputs"]
    offset: Float[np.ndarray, " outputs"]
    penalty: float
    """The weight of the L2 term that was chosen."""

    def predict(self, x: ArrayLike) -> Float[np.ndarray, "rows outputs"]:
        """Outputs of rows of features, (rows, features)."""
        return _double(x) @ self.weight + self.offset


class PrefixPrediction(NamedTuple):
    """How much of the held-out targets is predicted: R^2, 1 - squared error / variance, each about the held-out mean.

    1 is all, 0 no more than a constant, below 0 worse than one. NaN where held-out targets do not vary.
    """

    r2: float
    """Over all numbers of the targets, as `methods.distill` has it."""
    by_token: Float[np.ndarray, " tokens"]
    """Of each token of the prefix alone."""
    by_component: Float[np.ndarray, " components"]
    """Along each principal component of the training targets, the largest variance first."""
    variance_share: Float[np.ndarray, " components"]
    """Each component's share of the training targets' variance."""
    penalty: float
    """The chosen penalty."""


def ridge(
    x: Float[np.ndarray, "rows features"],
    y: Float[np.ndarray, "rows outputs"],
    penalties: Sequence[float] = PENALTIES,
) -> Ridge:
    """The linear map that minimises mean squared error + penalty times the squared weights, in double precision.

    Features are standardised with the mean and deviation of the rows that are fitted; the offset is free. The penalty
    is the one with the least squared error on the last fifth of the rows, when the others are fitted; then all rows are
    fitted with it. Rows in the order of their scans keep neighbours on the same side. Nothing is random.

    Args:
        x: features.
        y: what they should predict.
        penalties: to choose from; the larger of equals wins.

    Raises:
        ValueError: fewer than two rows, no penalties, one that is not positive, or numbers that are not finite.
    """
    x, y = _double(x), _double(y)
    if len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("ridge regression needs two rows or more, and finite numbers in them")
    if not penalties or min(penalties) <= 0:
        raise ValueError("ridge regression needs a penalty, and positive ones")
    tried = sorted(penalties, reverse=True)
    if len(tried) == 1:
        return _fits(x, y, tried)[0]
    fitted = len(x) - max(len(x) // _CHOICE, 1)
    others_x, others_y = x[fitted:], y[fitted:]
    errors = [np.square(fit.predict(others_x) - others_y).sum() for fit in _fits(x[:fitted], y[:fitted], tried)]
    return _fits(x, y, [tried[int(np.argmin(errors))]])[0]


def _fits(x: np.ndarray, y: np.ndarray, penalties: Sequence[float]) -> list[Ridge]:
    """The solution for each penalty, out of one decomposition."""
    mean, centre, deviation = x.mean(0), y.mean(0), x.std(0)
    alive = deviation > _DEAD * np.abs(x).max(0)
    scale = np.where(alive, 1 / np.where(alive, deviation, 1), 0)
    x = (x - mean) * scale
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    turned = vectors.T @ (x.T @ (y - centre) / len(x))
    fits = []
    for penalty in penalties:
        weight = scale[:, None] * (vectors @ (turned / (values.clip(0) + penalty)[:, None]))
        fits.append(Ridge(weight, centre - mean @ weight, penalty))
    return fits


def r_squared(predicted: Float[np.ndarray, "rows *shape"], true: Float[np.ndarray, "rows *shape"]) -> float:
    """1 - squared error / variance over all numbers of all rows; NaN where the true rows do not vary."""
    return float(_r_squared(_double(predicted).reshape(len(predicted), -1), _double(true).reshape(len(true), -1)))


def _r_squared(predicted: np.ndarray, true: np.ndarray, axes: int | tuple[int, ...] = (0, 1)) -> np.ndarray:
    """The same over the named axes, the rows among them."""
    variance = np.square(true - true.mean(0)).sum(axes)
    error = np.square(predicted - true).sum(axes)
    return np.where(variance > 0, 1 - error / np.where(variance > 0, variance, 1), np.nan)


def principal_components(
    y: Float[np.ndarray, "rows outputs"], count: int
) -> tuple[Float[np.ndarray, "components outputs"], Float[np.ndarray, " components"]]:
    """Directions of most variance, of unit length and the largest first, and each one's share of the variance.

    There are `count` of them, or as many as rows less one, or as outputs. A direction's sign is such that its largest
    number is positive.
    """
    centred = _double(y) - _double(y).mean(0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    kept = min(count, len(centred) - 1, centred.shape[1])
    largest = np.abs(directions).argmax(1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    total = np.square(values).sum()
    return directions[:kept], np.square(values[:kept]) / (total if total > 0 else 1)


def prefix_prediction(
    train_x: Float[np.ndarray, "train features"],
    train_targets: Float[np.ndarray, "train tokens width"],
    heldout_x: Float[np.ndarray, "heldout features"],
    heldout_targets: Float[np.ndarray, "heldout tokens width"],
    components: int = 16,
    penalties: Sequence[float] = PENALTIES,
) -> PrefixPrediction:
    """How much of held-out targets a `ridge` regression on training rows predicts: in all, by token, by component.

    Args:
        train_x, heldout_x: features.
        train_targets, heldout_targets: the teacher's targets.
        components: so many principal components of the training targets.
        penalties: to choose from, on the training rows alone.

    Raises:
        ValueError: as `ridge`.
    """
    tokens = train_targets.shape[1]
    train_y, true = (_double(part).reshape(len(part), -1) for part in (train_targets, heldout_targets))
    fit = ridge(train_x, train_y, penalties)
    predicted = fit.predict(heldout_x)
    by_token = (part.reshape(len(part), tokens, -1) for part in (predicted, true))
    directions, shares = principal_components(train_y, components)
    return PrefixPrediction(
        r_squared(predicted, true),
        _r_squared(*by_token, axes=(0, 2)),
        _r_squared(predicted @ directions.T, true @ directions.T, axes=0),
        shares,
        fit.penalty,
    )


def _double(values: ArrayLike) -> np.ndarray:
    return to_numpy(values).astype(np.float64)

"""Linear probes: what frozen features hold, read by multinomial logistic regression."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pointdistill.metrics.arrays import ArrayLike, to_labels, to_numpy
from pointdistill.metrics.iou import ConfusionMatrix

PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class ProbeResult:
    """A probe's figures on the test set."""

    score: float
    """Accuracy (linear_probe) or mean IoU (dense_probe) on the test rows."""
    predictions: np.ndarray
    """(test rows,) int64 predicted classes, for rows of ignored truth too."""
    penalty: float
    """The weight of the L2 term that did best on the validation set."""
    val_score: float
    """Its score there."""


def linear_probe(
    train_x: ArrayLike,
    train_y: ArrayLike,
    val_x: ArrayLike,
    val_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    penalties: Sequence[float] = PENALTIES,
) -> ProbeResult:
    """Accuracy of a linear classifier on frozen features.

    Features are standardised with the training rows' mean and deviation; the loss is the mean cross-entropy plus
    penalty / 2 times the squared weights (not the biases), minimised by L-BFGS from zero weights. Nothing is random.

    Args:
        train_x, val_x, test_x: (rows, features), float.
        train_y, val_y, test_y: (rows,) classes from 0.
        penalties: tried from the largest to the smallest, each starting from the last solution; the best accuracy on
            the validation rows wins, the larger penalty of equals.

    Raises:
        ValueError: no training rows, or features that are not finite.
    """
    return _probe((train_x, train_y), (val_x, val_y), (test_x, test_y), penalties, _accuracy)


def dense_probe(
    train_x: ArrayLike,
    train_y: ArrayLike,
    val_x: ArrayLike,
    val_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    classes: int,
    ignore: int | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> ProbeResult:
    """The same for dense labels: rows are points (or patches), the score is mean IoU over `classes` classes.

    Rows whose truth is `ignore` are neither learnt from nor scored; predictions are returned for all test rows.
    """

    def mean_iou(predicted: np.ndarray, true: np.ndarray) -> float:
        confusion = ConfusionMatrix(classes, ignore)
        confusion.update(predicted, true)
        return confusion.compute().mean_iou

    counted = torch.from_numpy(to_numpy(train_y) != ignore)
    train = (torch.as_tensor(train_x)[counted], torch.as_tensor(train_y)[counted])
    return _probe(train, (val_x, val_y), (test_x, test_y), penalties, mean_iou)


def _accuracy(predicted: np.ndarray, true: np.ndarray) -> float:
    return float((predicted == true).mean())


def _probe(
    train: tuple[ArrayLike, ArrayLike],
    val: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    penalties: Sequence[float],
    score: Score,
) -> ProbeResult:
    x = torch.as_tensor(train[0]).detach().float()
    if not len(x) or not bool(torch.isfinite(x).all()):
        raise ValueError("a probe needs training rows, and finite features in them")
    classes = int(max(to_numpy(train[1]).max(), 0)) + 1
    y = torch.from_numpy(to_labels(train[1], classes, "training class")).to(x.device)
    mean, deviation = x.mean(0), x.std(0, correction=0)
    # A feature that never varies says nothing: it becomes zero instead of noise divided by almost nothing.
    scale = torch.where(deviation > 1e-6 * x.abs().amax(0), 1 / deviation.clamp_min(1e-30), torch.zeros_like(deviation))
    train_x, val_x, test_x = (
        (torch.as_tensor(part).detach().to(x) - mean).mul_(scale) for part in (train[0], val[0], test[0])
    )
    val_y, test_y = to_numpy(val[1]), to_numpy(test[1])
    weight, bias = x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)
    best: ProbeResult | None = None
    for penalty in sorted(penalties, reverse=True):
        weight, bias = _fit(train_x, y, weight, bias, penalty)
        val_score = score(_predict(val_x, weight, bias), val_y)
        if best is None or val_score > best.val_score:
            predictions = _predict(test_x, weight, bias)
            best = ProbeResult(score(predictions, test_y), predictions, penalty, val_score)
    if best is None:
        raise ValueError("a probe needs at least one penalty")
    return best


def _predict(x: Tensor, weight: Tensor, bias: Tensor) -> np.ndarray:
    return functional.linear(x, weight, bias).argmax(1).cpu().numpy()


def _fit(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """The minimum from this start. Returns new tensors."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=300,
        history_size=20,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(functional.linear(x, weight, bias), y) + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[arg-type]  # torch's stub wants a float, its code a loss
    return weight.detach(), bias.detach()

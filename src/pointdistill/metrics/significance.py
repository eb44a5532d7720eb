"""Is a difference more than chance? Few seeds, unequal spread: Welch, paired t, Holm. Thin on scipy.stats.

Where a test cannot say anything (fewer than two values a side, or no spread at all) p is NaN, which is below no level.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

Values = Sequence[float] | np.ndarray


class MeanStd(NamedTuple):
    """Mean and sample standard deviation (n - 1); the latter is NaN for a single value."""

    mean: float
    std: float


class Difference(NamedTuple):
    """A difference of means, its two-sided p value, and its 95 % confidence interval."""

    difference: float
    p: float
    low: float = math.nan
    high: float = math.nan


def mean_std(values: Values) -> MeanStd:
    """Mean and SAMPLE standard deviation.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("mean of no values")
    array = np.asarray(values, float)
    return MeanStd(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan"))


def welch(a: Values, b: Values) -> Difference:
    """mean(a) - mean(b), and Welch's t-test for independent samples (different seeds) with unequal variances."""
    difference = mean_std(a).mean - mean_std(b).mean
    if min(len(a), len(b)) < 2 or (_constant(a, a) and _constant(b, b)):
        return Difference(difference, float("nan"))
    with warnings.catch_warnings():  # scipy warns when one side is constant; the other side's spread still tells
        warnings.simplefilter("ignore", RuntimeWarning)
        return _tested(difference, stats.ttest_ind(a, b, equal_var=False))


def paired(a: Values, b: Values) -> Difference:
    """mean(a - b), and the paired t-test: a[i] and b[i] share whatever else varies (seed, split, scene).

    Raises:
        ValueError: different lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"paired test of {len(a)} against {len(b)} values")
    differences = np.subtract(a, b)
    if len(a) < 2 or _constant(differences, [*a, *b]):
        return Difference(mean_std(differences).mean, float("nan"))
    return _tested(mean_std(differences).mean, stats.ttest_1samp(differences, 0.0))


def _tested(difference: float, test: Any) -> Difference:
    interval = test.confidence_interval(0.95)
    return Difference(difference, float(test.pvalue), float(interval.low), float(interval.high))


def _constant(values: Values, source: Values) -> bool:
    """No spread but that of rounding in the figures the values were computed from: a test would find p = 0 in it."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(source).max())


def holm(ps: Values) -> list[float]:
    """Holm's adjusted p values, in the order given: reject where they lie below the level, and the chance of any false
    rejection among all tests stays below it. NaN stays NaN and counts among the tests."""
    order = sorted(range(len(ps)), key=lambda index: math.inf if math.isnan(ps[index]) else ps[index])
    adjusted, highest = [float("nan")] * len(ps), 0.0
    for rank, index in enumerate(order):
        if not math.isnan(ps[index]):
            highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
            adjusted[index] = highest
    return adjusted

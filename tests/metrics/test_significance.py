import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc

from pointdistill.metrics import holm, mean_std, paired, welch


def two_sided(t, freedom):
    """Student's p from the incomplete beta function."""
    return betainc(freedom / 2, 0.5, freedom / (freedom + t * t))


def test_mean_and_sample_deviation():
    assert mean_std([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, math.sqrt(7 / 3)))
    assert mean_std(np.array([5.0])).mean == 5 and math.isnan(mean_std([5.0]).std)
    with pytest.raises(ValueError, match="no values"):
        mean_std([])


def test_welch_is_the_textbook_formula():
    a, b = [80.1, 82.3, 81.7], [77.0, 79.9, 74.2, 76.5]
    va, vb = np.var(a, ddof=1) / 3, np.var(b, ddof=1) / 4
    t = (np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
    freedom = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 3)
    assert welch(a, b)[:2] == pytest.approx((np.mean(a) - np.mean(b), two_sided(t, freedom)))


def test_paired_is_the_test_of_the_differences():
    a, b = [80.1, 82.3, 81.7], [79.0, 80.5, 80.9]
    difference = np.subtract(a, b)
    t = difference.mean() / (difference.std(ddof=1) / math.sqrt(3))
    assert paired(a, b)[:2] == pytest.approx((difference.mean(), two_sided(t, 2)))
    with pytest.raises(ValueError, match="3 against 2"):
        paired(a, b[:2])


@pytest.mark.parametrize("test", [welch, paired])
def test_the_interval_holds_what_the_test_does_not_reject(test):
    a, b = np.array([80.1, 82.3, 81.7, 80.0]), np.array([79.0, 80.5, 80.9, 77.1])
    found = test(a, b)
    assert found.low < found.difference < found.high
    for bound in (found.low, found.high):
        assert test(a - bound, b).p == pytest.approx(0.05)
    assert math.isnan(test(a[:1], b[:1]).low)


def test_no_spread_is_no_evidence():
    assert welch([1.0, 1.0], [2.0, 2.0]).difference == -1 and math.isnan(welch([1.0, 1.0], [2.0, 2.0]).p)
    assert math.isnan(welch([1.0], [2.0, 3.0]).p) and math.isnan(paired([1.0], [2.0]).p)
    assert math.isnan(paired([0.1, 0.7, 0.4], [0.2, 0.8, 0.5]).p)  # constant but for rounding
    assert 0 < welch([1.0, 1.0], [2.0, 2.5]).p < 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    with_nan = holm([0.01, float("nan")])
    assert with_nan[0] == pytest.approx(0.02) and math.isnan(with_nan[1])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni(ps):
    adjusted = holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q <= min(1, len(ps) * p) + 1e-12 or q == max(adjusted)
    order = np.argsort(ps, kind="stable")
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))

"""The soak's arithmetic and one of its turns; `make torture` runs it for 45 minutes."""

import time

import numpy as np
import pytest

import soak


def test_growth_is_told_from_noise():
    hours, noise = np.linspace(0, 1, 200), np.random.default_rng(0).normal(size=200)
    flat, growing = soak.slope(hours, 500 + noise), soak.slope(hours, 500 + noise + 4 * hours)
    assert flat.is_flat and flat.mean == pytest.approx(500, abs=1)
    assert growing.low > 0 and growing.low < 4 < growing.high
    constant = soak.slope(hours, np.full(200, 12))
    assert constant.is_flat and constant.an_hour == 0


def test_the_warm_up_is_left_out():
    samples = [soak.Sample(hour, 100 + max(0.0, 10 - 50 * hour), 5, 2, 0) for hour in np.linspace(0.01, 1, 100)]
    assert all(each.is_flat for each in soak.slopes(samples).values())


@pytest.mark.long
def test_turns_are_alike(tmp_path):
    began, found = time.monotonic(), []
    for _, _ in zip(soak.turns(tmp_path), range(4), strict=False):
        found.append(soak.sample(began))
    assert found[-1].handles == found[1].handles and found[-1].threads == found[1].threads
    assert found[-1].children == found[1].children

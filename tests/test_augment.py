import numpy as np
import pytest

from pointdistill.augment import Augmentation, flip, rotate_yaw, scale_and_shift

POINTS = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)


def _generator(seed=0):
    return np.random.default_rng(seed)


def test_scale_and_shift_stay_in_their_ranges():
    maps = []
    for seed in range(200):
        out = scale_and_shift(POINTS, _generator(seed))
        scale = (out[0] - out[1]) / (POINTS[0] - POINTS[1])
        maps.append((scale, out[0] - scale * POINTS[0]))
        np.testing.assert_allclose(out, POINTS * scale + maps[-1][1], atol=1e-5)
    scales, shifts = map(np.array, zip(*maps, strict=True))
    assert scales.min() > 2 / 3 - 1e-4 and scales.max() < 3 / 2 + 1e-4 and np.ptp(scales, axis=0).min() > 0.7
    assert np.abs(shifts).max() < 0.2 + 1e-4 and np.ptp(shifts, axis=0).min() > 0.35


def test_yaw_turns_about_z_only():
    out = rotate_yaw(POINTS, _generator())
    np.testing.assert_allclose(out[:, 2], POINTS[:, 2])
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), np.linalg.norm(POINTS, axis=1), rtol=1e-5)
    matrix = np.linalg.lstsq(POINTS, out, rcond=None)[0]
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-4)  # no mirror image
    assert not np.allclose(out, rotate_yaw(POINTS, _generator(1)))


def test_flip_mirrors_x_and_y():
    signs = {tuple(np.sign(flip(POINTS, _generator(seed))[0] / POINTS[0])) for seed in range(40)}
    assert signs == {(a, b, 1.0) for a in (-1.0, 1.0) for b in (-1.0, 1.0)}


def test_the_same_generator_gives_the_same_cloud():
    augment = Augmentation(yaw=True, flip=True)
    np.testing.assert_array_equal(augment(POINTS, _generator(3)), augment(POINTS, _generator(3)))
    assert augment(POINTS, _generator()).dtype == np.float32


def test_nothing_asked_nothing_done():
    np.testing.assert_array_equal(Augmentation(scale=(1.0, 1.0), shift=0.0)(POINTS, _generator()), POINTS)

"""Which coordinates can be worked with."""

import numpy as np
from jaxtyping import Bool, Num

LARGEST = 1e18
"""Beyond it, in whatever unit, squared distances leave float32: such numbers mark what was not measured."""


def usable(points: Num[np.ndarray, "*rows axes"]) -> Bool[np.ndarray, "*rows"]:
    """Whether all coordinates of a point are finite, and none is beyond `LARGEST`."""
    return np.asarray((np.abs(points) <= LARGEST).all(-1))

"""Which axis points up."""

import numpy as np
from jaxtyping import Float32


def y_up_to_z_up(points: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """(x, y, z) -> (x, -z, y): a quarter turn about x, so that shapes published with y up stand like scenes do."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1)

"""Points on the surface of a mesh."""

import numpy as np
from jaxtyping import Float64, Int64


def sample_surface(
    vertices: Float64[np.ndarray, "vertices 3"],
    triangles: Int64[np.ndarray, "triangles 3"],
    count: int,
    generator: np.random.Generator,
) -> Float64[np.ndarray, "count 3"] | None:
    """Points spread evenly over the triangles: each gets its share by area, and is uniform within.

    Returns:
        In the vertices' units and axes; None where no triangle has an area.

    Source: Osada et al. 2002, "Shape distributions", section 3.2 (the square root keeps a triangle's density even).
    """
    first, second, third = (vertices[triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1)
    cumulative = np.cumsum(areas)
    if not len(areas) or not 0 < cumulative[-1] < np.inf:
        return None
    # side="right" never chooses a triangle without area, whatever is drawn.
    chosen = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
    chosen = np.minimum(chosen, np.flatnonzero(areas)[-1])
    root, along = np.sqrt(generator.random((count, 1))), generator.random((count, 1))
    return (1 - root) * first[chosen] + root * (1 - along) * second[chosen] + root * along * third[chosen]

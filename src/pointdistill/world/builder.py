"""Putting a piece of furniture together out of solids, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pointdistill.world.classes import NYU40, PARTS
from pointdistill.world.solids import BOX, CYLINDER, ELLIPSOID, Solids

ON_FLOOR, ON_WALL, ON_TOP, HANGING = "floor", "wall", "top", "hanging"
"""Where a thing belongs: on the floor, with its back on a wall, in or on a counter's top, under the ceiling."""


@dataclass(frozen=True)
class Furniture:
    """One thing in its own frame: origin at the centre of its footprint, bottom at z = 0, front towards -y, metres."""

    class_name: str
    solids: Solids
    colour_name: str
    size: Float[np.ndarray, "3"]
    """Width (x), depth (y), height (z) of its axis-aligned box."""
    mount: str
    """ON_FLOOR, ON_WALL, ON_TOP or HANGING."""


def turn_x(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about x by an angle in radians (y towards z)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about y by an angle in radians (z towards x)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def turn_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about z by an angle in radians (x towards y)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


ALONG_X = turn_y(np.pi / 2)
ALONG_Y = turn_x(np.pi / 2)
"""Rotations that lay a cylinder's axis along x or y."""


class Builder:
    """Collects the solids of one piece of furniture. Sizes are full extents in metres, not halves."""

    def __init__(self, class_name: str):
        self.class_name = class_name
        self._rows: list[tuple] = []

    def __len__(self) -> int:
        return len(self._rows)

    def shift(self, start: int, offset: Sequence[float]) -> None:
        """Moves all solids that were added since the builder held `start` of them."""
        moved = [(k, p, np.add(centre, offset), *rest) for k, p, centre, *rest in self._rows[start:]]
        self._rows[start:] = moved

    def _add(self, kind: int, part: str, centre, size, colour, rotation) -> None:
        half = np.maximum(np.asarray(size, dtype=np.float64) / 2, 1e-3)
        index = PARTS[self.class_name].index(part)
        self._rows.append((kind, index, centre, half, colour, np.eye(3) if rotation is None else rotation))

    def box(
        self, part: str, centre: Sequence[float] | np.ndarray, size: Sequence[float], colour, rotation=None
    ) -> None:
        """A box of this size."""
        self._add(BOX, part, centre, size, colour, rotation)

    def cylinder(
        self, part: str, centre: Sequence[float] | np.ndarray, size: Sequence[float], colour, rotation=None
    ) -> None:
        """A cylinder along its local z; size is (diameter x, diameter y, length)."""
        self._add(CYLINDER, part, centre, size, colour, rotation)

    def ellipsoid(
        self, part: str, centre: Sequence[float] | np.ndarray, size: Sequence[float], colour, rotation=None
    ) -> None:
        """An ellipsoid of these diameters."""
        self._add(ELLIPSOID, part, centre, size, colour, rotation)

    def ring(self, part: str, centre, size, wall: float, colour, flare: float = 0.0, pieces: int = 10) -> None:
        """An upright hollow oval of boxes: size is (diameter x, diameter y, height), `wall` its thickness.

        `flare` leans the wall outwards towards the top, in radians.
        """
        angles = (np.arange(pieces) + 0.5) * 2 * np.pi / pieces
        a, b = size[0] / 2 - wall / 2, size[1] / 2 - wall / 2
        for angle in angles:
            ends = angle + np.array([-1, 1]) * np.pi / pieces
            xs, ys = a * np.cos(ends), b * np.sin(ends)
            along = np.arctan2(ys[1] - ys[0], xs[1] - xs[0])
            # Longer than the chord, so that neighbours still meet at the top of a flaring wall.
            length = np.hypot(xs[1] - xs[0], ys[1] - ys[0]) * (1 + np.tan(flare) * size[2] / min(a, b) / 2) + 0.8 * wall
            middle = (centre[0] + xs.mean(), centre[1] + ys.mean(), centre[2])
            self.box(part, middle, (length, wall, size[2]), colour, turn_z(along) @ turn_x(flare))

    def finish(self, colour_name: str, mount: str) -> Furniture:
        """The finished thing, its footprint centred and its lowest point at z = 0."""
        kind, part, centre, half, colour, rotation = zip(*self._rows, strict=True)
        count = len(kind)
        solids = Solids(
            kind=np.array(kind, dtype=np.int8),
            centre=np.array(centre, dtype=np.float64),
            rotation=np.array(rotation, dtype=np.float64),
            half=np.array(half),
            colour=np.array(colour, dtype=np.float64),
            nyu40=np.full(count, NYU40[self.class_name], dtype=np.int16),
            instance=np.ones(count, dtype=np.int32),
            part=np.array(part, dtype=np.int16),
        )
        low, high = solids.bounds()
        shift = np.eye(4)
        shift[:3, 3] = -(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]
        return Furniture(self.class_name, solids.transformed(shift), colour_name, high - low, mount)


def between(generator: np.random.Generator, low: float, high: float) -> float:
    """A uniform number between two bounds."""
    return float(generator.uniform(low, high))


def chance(generator: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(generator.uniform() < probability)

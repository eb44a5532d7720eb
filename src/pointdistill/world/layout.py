"""Where things stand in a room: places that touch the walls, face each other or hang, and never overlap.

Room frame: origin at the centre of the floor, z up, walls at x = +-width / 2 and y = +-depth / 2, metres.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from pointdistill.world.builder import ON_FLOOR, Furniture, between

GAP = 0.02
"""Metres left between a thing and the wall or its neighbour."""


@dataclass(frozen=True)
class Place:
    """An upright box turned about z: centre of its footprint, yaw in radians, unturned width and depth, metres."""

    x: float
    y: float
    yaw: float
    width: float
    depth: float
    low: float
    high: float

    def axes(self) -> Float[np.ndarray, "2 2"]:
        """Unit vectors of the width and of the depth (towards the back)."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, s], [-s, c]])

    def corners(self) -> Float[np.ndarray, "4 2"]:
        """The footprint."""
        w, d = self.axes() * np.array([[self.width / 2], [self.depth / 2]])
        return np.array([self.x, self.y]) + np.array([w + d, w - d, -w - d, d - w])

    def moved(self, right: float, back: float) -> "Place":
        """This place shifted along its own width and towards its own back."""
        dx, dy = np.array([right, back]) @ self.axes()
        return Place(self.x + dx, self.y + dy, self.yaw, self.width, self.depth, self.low, self.high)

    def matrix(self) -> Float[np.ndarray, "4 4"]:
        """Takes the furniture's own frame to the room's."""
        matrix = np.eye(4)
        matrix[:2, :2] = self.axes().T
        matrix[:3, 3] = self.x, self.y, self.low
        return matrix


def overlap(a: Place, b: Place, slack: float = 1e-6) -> bool:
    """Whether two places share space: heights and, by the separating axis theorem, footprints."""
    if a.low >= b.high - slack or b.low >= a.high - slack:
        return False
    if np.hypot(a.x - b.x, a.y - b.y) > (np.hypot(a.width, a.depth) + np.hypot(b.width, b.depth)) / 2:
        return False
    first, second = a.corners(), b.corners()
    for axis in (*a.axes(), *b.axes()):
        p, q = first @ axis, second @ axis
        if p.min() >= q.max() - slack or q.min() >= p.max() - slack:
            return False
    return True


@dataclass
class Layout:
    """A room being furnished."""

    size: tuple[float, float, float]
    items: list[tuple[Furniture, Place]] = field(default_factory=list)
    zones: list[Place] = field(default_factory=list)
    """Space kept free in front of doors, toilets, ..."""

    def fits(self, place: Place, in_zones: bool = False) -> bool:
        """Whether the place lies within the room and overlaps nothing."""
        width, depth, height = self.size
        corners = place.corners()
        inside = np.abs(corners[:, 0]).max() <= width / 2 and np.abs(corners[:, 1]).max() <= depth / 2
        if not inside or place.high > height:
            return False
        if any(overlap(place, other) for _, other in self.items):
            return False
        return in_zones or not any(overlap(place, zone) for zone in self.zones)

    def put(self, thing: Furniture, place: Place | None, front: float = 0.0, in_zones: bool = False) -> Place | None:
        """Puts the thing there if it fits, with `front` metres before it kept free; returns the place or None."""
        if place is None or not self.fits(place, in_zones):
            return None
        zone = None
        if front:
            width = place.width
            ahead = place.moved(0.0, -(place.depth + front) / 2)
            zone = Place(ahead.x, ahead.y, place.yaw, width, front, 0.0, min(place.high, 2.0))
            if any(overlap(zone, other) for _, other in self.items):
                return None
            self.zones.append(zone)
        self.items.append((thing, place))
        return place

    def wall(self, thing: Furniture, side: int, along: float, low: float = 0.0) -> Place:
        """The place with its back on wall `side` (0 north, 1 west, 2 south, 3 east), `along` it from -1 to 1."""
        width, depth, height = (float(v) for v in thing.size)
        yaw = side * np.pi / 2
        out = np.array([-np.sin(yaw), np.cos(yaw)]).round()
        length, reach = (self.size[0], self.size[1]) if side % 2 == 0 else (self.size[1], self.size[0])
        tangent = np.array([np.cos(yaw), np.sin(yaw)]).round()
        gap = GAP if thing.mount == ON_FLOOR else 0.004
        x, y = out * (reach / 2 - depth / 2 - gap) + tangent * along * max(length / 2 - width / 2 - GAP, 0.0)
        return Place(float(x), float(y), float(yaw), width, depth, low, low + height)

    def try_wall(
        self,
        thing: Furniture,
        generator: np.random.Generator,
        low: float = 0.0,
        front: float = 0.0,
        corner: bool = False,
        sides: tuple[int, ...] = (0, 1, 2, 3),
        tries: int = 24,
    ) -> Place | None:
        """A random free place along the walls; in a corner if wanted."""
        for _ in range(tries):
            side = sides[int(generator.integers(len(sides)))]
            along = float(generator.choice((-1.0, 1.0))) if corner else between(generator, -1, 1)
            place = self.put(thing, self.wall(thing, side, along, low), front)
            if place is not None:
                return place
        return None

    def try_beside(
        self, thing: Furniture, other: Place, generator: np.random.Generator, gap: float = 0.04, front: float = 0.0
    ) -> Place | None:
        """A place left or right of another one, backs aligned."""
        width, depth, height = (float(v) for v in thing.size)
        order = (-1, 1) if generator.uniform() < 0.5 else (1, -1)
        for side in order:
            spot = other.moved(side * (other.width / 2 + width / 2 + gap), (other.depth - depth) / 2)
            place = self.put(thing, Place(spot.x, spot.y, spot.yaw, width, depth, 0.0, height), front)
            if place is not None:
                return place
        return None

    def try_facing(
        self,
        thing: Furniture,
        other: Place,
        generator: np.random.Generator,
        side: int = 0,
        gap: float = 0.05,
        along: float = 0.0,
        turn: float = 0.0,
        in_zones: bool = False,
    ) -> Place | None:
        """A place whose front looks at a side of another one (0 its front, then counterclockwise seen from above).

        `along` shifts it along that side in metres, `turn` turns it by so many radians more.
        """
        width, depth, height = (float(v) for v in thing.size)
        yaw = other.yaw + np.pi + side * np.pi / 2
        reach = (other.depth if side % 2 == 0 else other.width) / 2 + gap + depth / 2
        reach += abs(np.sin(turn)) * width / 2
        front = np.array([np.sin(yaw), -np.cos(yaw)])
        tangent = np.array([np.cos(yaw), np.sin(yaw)])
        x, y = np.array([other.x, other.y]) - front * reach + tangent * along
        return self.put(thing, Place(float(x), float(y), float(yaw + turn), width, depth, 0.0, height), 0.0, in_zones)

    def try_free(
        self, thing: Furniture, generator: np.random.Generator, margin: float = 0.6, tries: int = 24
    ) -> Place | None:
        """A place away from the walls."""
        width, depth, height = (float(v) for v in thing.size)
        for _ in range(tries):
            yaw = int(generator.integers(4)) * np.pi / 2
            wide, deep = (width, depth) if yaw % np.pi < 0.1 else (depth, width)
            x_room, y_room = self.size[0] / 2 - margin - wide / 2, self.size[1] / 2 - margin - deep / 2
            if x_room < 0 or y_room < 0:
                continue
            x, y = between(generator, -x_room, x_room), between(generator, -y_room, y_room)
            place = self.put(thing, Place(x, y, yaw, width, depth, 0.0, height))
            if place is not None:
                return place
        return None

"""The look of a room (its colours, floor and lamp) and the steps with which rooms of all kinds are furnished."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pointdistill.world.builder import Furniture, between, chance
from pointdistill.world.furniture import make_furniture
from pointdistill.world.furniture_bath import DROP_IN_DEPTH
from pointdistill.world.furniture_storage import hole_of
from pointdistill.world.layout import GAP, Layout, Place
from pointdistill.world.palette import CERAMIC, FABRIC, WOOD, pick, shade

MOST = 16
"""The most instances a room may hold."""

_WALLS = {
    "bedroom": ("beige", "blue", "pink", "white", "green"),
    "living room": ("white", "beige", "yellow", "grey", "orange"),
    "kitchen": ("white", "yellow", "green", "beige"),
    "bathroom": ("white", "white", "blue", "green"),
    "office": ("white", "white", "grey", "blue"),
}
_FLOORS = {
    "bedroom": (("boards", "brown"), ("boards", "beige"), ("carpet", "grey"), ("carpet", "beige"), ("carpet", "blue")),
    "living room": (("boards", "brown"), ("boards", "beige"), ("boards", "brown"), ("carpet", "beige")),
    "kitchen": (("tiles", "white"), ("tiles", "beige"), ("tiles", "grey"), ("boards", "brown")),
    "bathroom": (("tiles", "white"), ("tiles", "grey"), ("tiles", "blue"), ("tiles", "beige")),
    "office": (("carpet", "grey"), ("carpet", "blue"), ("boards", "beige"), ("carpet", "green")),
}
_WOODEN = ("cabinet", "bookshelf", "table", "desk", "door")
_WOVEN = ("sofa", "bed", "curtain")
_CERAMIC = ("toilet", "bathtub", "sink")


@dataclass(frozen=True)
class Look:
    """What a room's things have in common."""

    wood: str
    fabric: str
    ceramic: str
    wall: Float[np.ndarray, "3"]
    floor: Float[np.ndarray, "3"]
    pattern: str
    """The floor's: "boards", "tiles" or "carpet"."""
    lamp: Float[np.ndarray, "3"]
    """Position in the room frame, metres."""
    tint: Float[np.ndarray, "3"]
    """Colour of the light."""
    ambient: float
    """Share of the light that comes from everywhere."""


def make_look(kind: str, size: tuple[float, float, float], generator: np.random.Generator) -> Look:
    """Colours that homes of this kind tend to have: walls and floors by kind, one wood and one fabric a room."""
    paper = 0.64 * np.ones(3) * between(generator, 1.15, 1.3) + 0.36 * (
        shade(pick(generator, _WALLS[kind]), generator) - 0.3
    )
    floors = _FLOORS[kind]
    pattern, floor = floors[int(generator.integers(len(floors)))]
    lamp = np.array([between(generator, -0.2, 0.2) * size[0], between(generator, -0.2, 0.2) * size[1], size[2] - 0.25])
    warm = between(generator, -0.08, 0.08)
    return Look(
        wood=pick(generator, WOOD),
        fabric=pick(generator, FABRIC),
        ceramic=pick(generator, CERAMIC),
        wall=np.clip(paper, 0.3, 0.97),
        floor=shade(floor, generator),
        pattern=pattern,
        lamp=lamp,
        tint=np.array([1.0 + warm, 1.0, 1.0 - warm]),
        ambient=between(generator, 0.42, 0.6),
    )


class Furnisher:
    """Puts furniture into a layout; each step does nothing when there is no room for its thing."""

    def __init__(self, size: tuple[float, float, float], look: Look, generator: np.random.Generator):
        self.layout, self.look, self.generator = Layout(size), look, generator
        self.height = size[2]

    # ---- chance

    def maybe(self, probability: float) -> bool:
        """True with this probability."""
        return chance(self.generator, probability)

    def some(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.generator.integers(low, high + 1))

    def number(self, low: float, high: float) -> float:
        """A uniform number."""
        return between(self.generator, low, high)

    # ---- making and putting

    @property
    def full(self) -> bool:
        """Whether the room holds all it may."""
        return len(self.layout.items) >= MOST

    def make(self, class_name: str, style: str | None = None, colour: str | None = None, **options) -> Furniture:
        """A thing, more often than not in the room's own wood, fabric or ceramic."""
        if colour is None:
            if class_name in _WOODEN and style != "filing" and self.maybe(0.6):
                colour = self.look.wood
            elif class_name in _WOVEN and self.maybe(0.5):
                colour = self.look.fabric
            elif class_name in _CERAMIC and style != "drop-in" and self.maybe(0.85):
                colour = self.look.ceramic
        return make_furniture(class_name, self.generator, colour, style, **options)

    def wall(
        self,
        class_name: str,
        style: str | None = None,
        low: float = 0.0,
        front: float = 0.0,
        corner: bool = False,
        **options,
    ) -> Place | None:
        """A thing with its back on any wall."""
        if self.full:
            return None
        thing = self.make(class_name, style, **options)
        return self.layout.try_wall(thing, self.generator, low, front, corner)

    def free(self, class_name: str, style: str | None = None, margin: float = 0.6) -> Place | None:
        """A thing away from the walls."""
        return None if self.full else self.layout.try_free(self.make(class_name, style), self.generator, margin)

    def beside(self, class_name: str, other: Place | None, style: str | None = None, front: float = 0.0, **options):
        """A thing next to another one, backs aligned."""
        if self.full or other is None:
            return None
        return self.layout.try_beside(self.make(class_name, style, **options), other, self.generator, front=front)

    def facing(self, class_name: str, other: Place | None, style: str | None = None, **how) -> Place | None:
        """A thing that looks at another one (see Layout.try_facing)."""
        if self.full or other is None:
            return None
        return self.layout.try_facing(self.make(class_name, style), other, self.generator, **how)

    # ---- groups

    def door(self) -> None:
        """A door in any wall, the way to it free."""
        self.wall("door", front=0.85)

    def windows(self, count: int, small: bool = False) -> list[Place]:
        """Windows in the walls; small ones sit high."""
        places = []
        first = self.make("window")
        for _ in range(count):
            thing = self.make("window", colour=first.colour_name)
            low = self.number(1.15, 1.4) if small else self.number(0.82, 1.05)
            low = min(low, self.height - float(thing.size[2]) - 0.12)
            place = None if self.full else self.layout.try_wall(thing, self.generator, low)
            if place is not None:
                places.append(place)
        return places

    def curtains(self, windows: list[Place]) -> None:
        """A pair (or one) beside each window, of one make."""
        for window in windows:
            colour = self.look.fabric if self.maybe(0.6) else pick(self.generator, FABRIC)
            style = "long" if self.maybe(0.7) else "short"
            for side in (-1, 1):
                if not self.full and self.maybe(0.85):
                    thing = self.make("curtain", style, colour)
                    width, depth, height = (float(v) for v in thing.size)
                    high = min(max(window.high + 0.1, height + 0.02), self.height - 0.01)
                    shift = side * (window.width / 2 + width / 2 + 0.01)
                    spot = window.moved(shift, (window.depth - depth) / 2)
                    self.layout.put(thing, Place(spot.x, spot.y, spot.yaw, width, depth, high - height, high))

    def pictures(self, count: int) -> None:
        """Pictures at the height of the eyes."""
        for _ in range(count):
            self.wall("picture", low=self.number(1.15, 1.55))

    def chairs_round(self, table: Place | None, count: int) -> None:
        """Chairs of one make at the sides of a table, long sides first."""
        if table is None:
            return
        state = self.generator.integers(2**31)
        style = pick(self.generator, ("four legs", "four legs", "sled"))
        seats = [(side, along) for side in (0, 2) for along in ((-0.25, 0.25) if table.width > 1.2 else (0.0,))]
        seats += [(1, 0.0), (3, 0.0)]
        for side, along in seats[:]:
            if count <= 0 or self.full:
                return
            thing = make_furniture("chair", np.random.Generator(np.random.Philox(int(state))), None, style)
            length = table.width if side % 2 == 0 else table.depth
            place = self.layout.try_facing(
                thing, table, self.generator, side, self.number(0.02, 0.18), along * length, self.number(-0.2, 0.2)
            )
            count -= place is not None

    def workplace(self, desk: Place | None) -> None:
        """The chair at a desk."""
        if desk is not None and self.maybe(0.92):
            style = "pedestal" if self.maybe(0.6) else None
            gap, turn = self.number(0.02, 0.2), self.number(-0.5, 0.5)
            self.facing("chair", desk, style, gap=gap, turn=turn, along=self.number(-0.15, 0.15), in_zones=True)

    def seats(self) -> Place | None:
        """A sofa with a coffee table before it."""
        sofa = self.wall("sofa", front=0.3) if self.maybe(0.75) else self.free("sofa", margin=0.35)
        if sofa is not None and self.maybe(0.8):
            self.facing("table", sofa, "coffee", gap=self.number(0.3, 0.45), in_zones=True)
        if sofa is not None and self.maybe(0.35):
            self.beside("table", sofa, "side")
        return sofa

    def sink_counter(self) -> Place | None:
        """A counter along a wall with a sink in it."""
        width, depth = self.number(0.45, 0.72), self.number(0.36, 0.42)
        counter = self.make("counter", "kitchen", hole=(width + 0.004, depth + 0.004))
        place = self.layout.try_wall(counter, self.generator, front=0.6)
        if place is None:
            return None
        x, y, top = hole_of(counter)
        sink = self.make("sink", "drop-in", size=(width, depth))
        self._on(sink, place, x, y, top - DROP_IN_DEPTH)
        return place

    def vanity(self) -> Place | None:
        """A cabinet with a bowl for a sink on it."""
        cabinet = self.make("cabinet", "vanity")
        place = self.layout.try_wall(cabinet, self.generator, front=0.5)
        if place is not None:
            sink = self.make("sink", "vessel", size=(self.number(0.38, 0.46), 0.33))
            self._on(sink, place, 0.0, (place.depth - float(sink.size[1])) / 2 - 0.02, place.high)
        return place

    def _on(self, thing: Furniture, below: Place, x: float, y: float, low: float) -> None:
        """Puts a thing on or into another one, at (x, y) of that one's frame."""
        spot = below.moved(x, y)
        width, depth, height = (float(v) for v in thing.size)
        self.layout.items.append((thing, Place(spot.x, spot.y, spot.yaw, width, depth, low, low + height)))

    def over(self, class_name: str, other: Place | None, style: str, low: float, **options) -> Place | None:
        """A thing on the wall above another one that stands against that wall."""
        if self.full or other is None:
            return None
        thing = self.make(class_name, style, **options)
        width, depth, height = (float(v) for v in thing.size)
        reach = max((other.width - width) / 2, 0.0)
        spot = other.moved(self.number(-reach, reach), (other.depth - depth) / 2 + GAP - 0.004)
        return self.layout.put(thing, Place(spot.x, spot.y, spot.yaw, width, depth, low, low + height))

    def shower(self, tub: Place | None) -> None:
        """A curtain along the open side of a bathtub, hung from the ceiling."""
        if tub is None or self.full:
            return
        thing = self.make("shower curtain", width=tub.width)
        width, depth, height = (float(v) for v in thing.size)
        spot = tub.moved(0.0, -(tub.depth + depth) / 2 - 0.01)
        low = self.height - height - 0.005
        self.layout.put(thing, Place(spot.x, spot.y, spot.yaw, width, depth, low, low + height))

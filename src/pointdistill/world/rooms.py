"""Rooms: a shell of floor, walls and ceiling, furnished as rooms of their kind are, out of one seed."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pointdistill.seeding import numpy_generator
from pointdistill.world.builder import between
from pointdistill.world.classes import CEILING, FLOOR, NYU40, WALL
from pointdistill.world.floor import CELL, map_floor
from pointdistill.world.furnish import Furnisher, Look, make_look
from pointdistill.world.layout import Place
from pointdistill.world.solids import BOX, Solids

KINDS = ("bedroom", "living room", "kitchen", "bathroom", "office")
_SIDES = {
    "bedroom": (2.9, 4.6),
    "living room": (3.6, 6.0),
    "kitchen": (2.8, 5.0),
    "bathroom": (2.5, 3.6),
    "office": (3.0, 5.8),
}
"""Bounds of a room's sides in metres."""
FEWEST = 6
"""The fewest instances of a room."""
MARGIN = 0.28
"""Metres that a person keeps from furniture and walls."""
_ESSENTIAL = {"bedroom": "bed", "living room": "sofa", "kitchen": "counter", "bathroom": "toilet", "office": "desk"}
_STANDING = 0.8
"""Square metres that must be left to stand in, kept MARGIN away from everything."""
_THICK = 0.1


@dataclass(frozen=True)
class Instance:
    """One thing in a room."""

    id: int
    """1, 2, ...; 0 is the shell."""
    class_name: str
    nyu40: int
    colour_name: str
    centre: Float[np.ndarray, "3"]
    """Centre and size of the axis-aligned box in the room frame, metres."""
    size: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Room:
    """A furnished room. Frame: origin at the centre of the floor, walls along x and y, z up, metres."""

    kind: str
    size: Float[np.ndarray, "3"]
    """Inner width (x), depth (y), height (z)."""
    solids: Solids
    instances: tuple[Instance, ...]
    seed: int
    places: tuple[Place, ...]
    """The upright box that each instance takes up, in the instances' order."""
    look: Look


def make_room(seed: int, kind: str | None = None) -> Room:
    """The room of this seed: 6 to 16 instances, enough floor left to walk on.

    Things do not share space, but for sinks, which hang in counters or stand on cabinets.

    Args:
        seed: decides everything.
        kind: one of KINDS; by default the seed decides.
    """
    if kind is None:
        kind = KINDS[int(numpy_generator(seed, "kind").integers(len(KINDS)))]
    for attempt in itertools.count():
        generator = numpy_generator(seed, "room", kind, attempt)
        low, high = _SIDES[kind]
        size = (between(generator, low, high), between(generator, low, high), between(generator, 2.4, 2.9))
        look = make_look(kind, size, generator)
        furnisher = Furnisher(size, look, generator)
        _PLANS[kind](furnisher)
        places = [place for _, place in furnisher.layout.items]
        standing = map_floor(size[:2], places).free(MARGIN).sum() * CELL**2
        complete = any(thing.class_name == _ESSENTIAL[kind] for thing, _ in furnisher.layout.items)
        if complete and len(places) >= FEWEST and standing >= _STANDING:
            return _assemble(seed, kind, size, furnisher)
    raise AssertionError("unreachable")


def _assemble(seed: int, kind: str, size: tuple[float, float, float], furnisher: Furnisher) -> Room:
    """The shell and the furniture as one set of solids."""
    parts, instances = [_shell(size, furnisher.look)], []
    for number, (thing, place) in enumerate(furnisher.layout.items, start=1):
        solids = thing.solids.transformed(place.matrix())
        parts.append(replace(solids, instance=np.full(len(solids), number, dtype=np.int32)))
        low, high = solids.bounds()
        name = thing.class_name
        instances.append(Instance(number, name, NYU40[name], thing.colour_name, (low + high) / 2, high - low))
    places = tuple(place for _, place in furnisher.layout.items)
    solids = Solids.concatenate(parts)
    return Room(kind, np.array(size), solids, tuple(instances), seed, places, furnisher.look)


def _shell(size: tuple[float, float, float], look: Look) -> Solids:
    """Floor, ceiling and four walls as boxes whose inner faces bound the room."""
    width, depth, height = size
    t = _THICK
    outer = (width + 2 * t, depth + 2 * t)
    rows = [
        ((0, 0, -t / 2), (*outer, t), look.floor, FLOOR),
        ((0, 0, height + t / 2), (*outer, t), np.full(3, 0.93), CEILING),
    ]
    for side in (-1, 1):
        rows.append(((0, side * (depth + t) / 2, height / 2), (outer[0], t, height), look.wall, WALL))
        rows.append(((side * (width + t) / 2, 0, height / 2), (t, depth, height), look.wall, WALL))
    centre, extent, colour, nyu40 = zip(*rows, strict=True)
    count = len(rows)
    return Solids(
        kind=np.full(count, BOX, dtype=np.int8),
        centre=np.array(centre, dtype=np.float64),
        rotation=np.tile(np.eye(3), (count, 1, 1)),
        half=np.array(extent, dtype=np.float64) / 2,
        colour=np.array(colour, dtype=np.float64),
        nyu40=np.array(nyu40, dtype=np.int16),
        instance=np.zeros(count, dtype=np.int32),
        part=np.zeros(count, dtype=np.int16),
    )


def _bedroom(room: Furnisher) -> None:
    room.door()
    windows = room.windows(room.some(1, 2))
    bed = room.wall("bed", corner=room.maybe(0.4))
    for _ in range(room.some(0, 2)):
        room.beside("cabinet", bed, "nightstand")
    if room.maybe(0.75):
        room.curtains(windows)
    if room.maybe(0.8):
        room.wall("cabinet", "wardrobe", front=0.5, corner=room.maybe(0.6))
    if room.maybe(0.5):
        room.workplace(room.wall("desk", front=0.5))
    if room.maybe(0.4):
        room.wall("bookshelf", front=0.3)
    if room.maybe(0.4):
        room.wall("cabinet", "dresser", front=0.4)
    if room.maybe(0.35):
        room.wall("chair", "armchair")
    if room.maybe(0.12):
        room.wall("sofa", front=0.3)
    if room.maybe(0.45):
        room.wall("garbage bin")
    room.pictures(room.some(0, 3))


def _living_room(room: Furnisher) -> None:
    room.door()
    windows = room.windows(room.some(1, 3))
    room.seats()
    if room.maybe(0.75):
        room.curtains(windows)
    if room.maybe(0.3):
        room.wall("sofa", front=0.3)
    if room.maybe(0.75):
        room.wall("cabinet", "low", front=0.4)
    for _ in range(room.some(0, 2)):
        room.wall("bookshelf", front=0.3)
    if room.maybe(0.45):
        room.chairs_round(room.free("table", "dining"), room.some(2, 4))
    for _ in range(room.some(0, 2)):
        room.wall("chair", "armchair")
    if room.maybe(0.3):
        room.wall("cabinet", "dresser", front=0.4)
    if room.maybe(0.2):
        room.workplace(room.wall("desk", front=0.5))
    if room.maybe(0.15):
        room.wall("garbage bin")
    room.pictures(room.some(1, 4))


def _kitchen(room: Furnisher) -> None:
    room.door()
    counter = room.sink_counter()
    fridge = room.beside("refrigerator", counter, front=0.55) if room.maybe(0.7) else None
    if fridge is None and room.maybe(0.9):
        room.wall("refrigerator", front=0.55, corner=True)
    for _ in range(room.some(0, 2)):
        room.over("cabinet", counter, "wall", low=room.number(1.42, 1.55))
    if room.maybe(0.45):
        room.wall("counter", front=0.55)
    windows = room.windows(room.some(0, 2))
    table = room.free("table", pick_table(room)) if room.maybe(0.8) else None
    room.chairs_round(table, room.some(2, 4))
    if room.maybe(0.4):
        room.wall("cabinet", "dresser", front=0.4)
    if room.maybe(0.75):
        room.wall("garbage bin")
    if room.maybe(0.3):
        room.curtains(windows)
    room.pictures(room.some(0, 2))


def pick_table(room: Furnisher) -> str:
    """A table to eat at."""
    return ("dining", "round", "trestle")[room.some(0, 2)]


def _bathroom(room: Furnisher) -> None:
    room.door()
    tub = room.wall("bathtub", corner=True) if room.maybe(0.85) else None
    if room.maybe(0.85):
        room.shower(tub)
    room.wall("toilet", front=0.4)
    if room.maybe(0.3):
        room.vanity()
    elif room.maybe(0.3):
        room.wall("sink", "wall", low=room.number(0.64, 0.7), front=0.45)
    else:
        room.wall("sink", "pedestal" if room.maybe(0.6) else "console", front=0.45)
    room.windows(room.some(0, 1), small=True)
    if room.maybe(0.75):
        room.wall("garbage bin")
    if room.maybe(0.5):
        room.wall("cabinet", "nightstand" if room.maybe(0.5) else "dresser", front=0.3)
    if room.maybe(0.35):
        room.wall("cabinet", "wall", low=room.number(1.35, 1.6))
    if room.maybe(0.12):
        room.wall("chair", "four legs")
    room.pictures(room.some(0, 2))


def _office(room: Furnisher) -> None:
    room.door()
    windows = room.windows(room.some(1, 2))
    for _ in range(room.some(1, 3)):
        desk = room.wall("desk", front=0.6) if room.maybe(0.75) else room.free("desk", margin=0.7)
        room.workplace(desk)
    if room.maybe(0.15):
        room.wall("sofa", front=0.3)
    for _ in range(room.some(0, 2)):
        room.wall("bookshelf", front=0.3)
    for _ in range(room.some(0, 2)):
        room.wall("cabinet", "filing", front=0.3)
    if room.maybe(0.35):
        room.chairs_round(room.free("table", pick_table(room)), room.some(2, 4))
    if room.maybe(0.75):
        room.wall("garbage bin")
    if room.maybe(0.12):
        room.wall("refrigerator", "small", front=0.4)
    if room.maybe(0.35):
        room.curtains(windows)
    if room.maybe(0.12):
        room.wall("counter", "kitchen", front=0.4)
    room.pictures(room.some(0, 3))


_PLANS: dict[str, Callable[[Furnisher], None]] = {
    "bedroom": _bedroom,
    "living room": _living_room,
    "kitchen": _kitchen,
    "bathroom": _bathroom,
    "office": _office,
}

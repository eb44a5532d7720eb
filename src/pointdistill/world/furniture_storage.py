"""Cabinets, shelves, tables, desks, counters and refrigerators. Doors and drawers are on the front, towards -y."""

import itertools

import numpy as np

from pointdistill.world.builder import ALONG_X, ON_FLOOR, ON_WALL, Builder, Furniture, between, chance
from pointdistill.world.furniture_seats import four_legs
from pointdistill.world.palette import METAL, WOOD, pick, shade

CABINETS = {
    # width, depth, height of each style, in metres
    "dresser": ((0.75, 1.4), (0.42, 0.55), (0.7, 1.15)),
    "wardrobe": ((0.8, 1.8), (0.52, 0.64), (1.75, 2.15)),
    "nightstand": ((0.38, 0.55), (0.35, 0.48), (0.42, 0.65)),
    "filing": ((0.38, 0.5), (0.48, 0.62), (0.65, 1.35)),
    "low": ((1.1, 1.8), (0.38, 0.48), (0.4, 0.62)),
    "vanity": ((0.6, 1.0), (0.46, 0.52), (0.66, 0.74)),
    "wall": ((0.6, 1.6), (0.3, 0.38), (0.55, 0.8)),
}


def _handle(builder: Builder, generator, centre, upright: bool, length: float, colour) -> None:
    """A bar or a knob, standing out from the front."""
    x, y, z = centre
    size = (0.02, 0.03, length) if upright else (length, 0.03, 0.02)
    builder.box("handle", (x, y - 0.015, z), size, colour)


def _front(builder: Builder, generator, size, low: float, drawers: bool, paint, metal) -> None:
    """Covers a front of (width, depth, height) that begins at `low` with drawers or doors and their handles."""
    width, depth, high = size
    y, relief = -depth / 2 - 0.009, 0.018
    if drawers:
        columns = 2 if width > 0.95 else 1
        rows = int(np.clip(round(high / between(generator, 0.18, 0.34)), 1, 5))
    else:
        columns, rows = int(np.clip(round(width / between(generator, 0.38, 0.6)), 1, 4)), 1
    gap = 0.012
    for i in range(columns):
        x = (i + 0.5) * width / columns - width / 2
        for j in range(rows):
            z = low + (j + 0.5) * high / rows
            builder.box("door", (x, y, z), (width / columns - gap, relief, high / rows - gap), paint)
            if drawers:
                _handle(builder, generator, (x, y - 0.009, z), False, width / columns * 0.35, metal)
            else:
                side = 1 if i % 2 == 0 else -1
                _handle(builder, generator, (x + side * (width / columns / 2 - 0.05), y - 0.009, z), True, 0.16, metal)


def cabinet(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: the keys of CABINETS; "wall" hangs on the wall, the others stand."""
    style = style or pick(generator, tuple(CABINETS))
    colour = colour or pick(generator, ("grey", "black", "white", "beige") if style == "filing" else WOOD)
    builder = Builder("cabinet")
    paint, metal = shade(colour, generator), shade(pick(generator, METAL), generator)
    width, depth, height = (between(generator, *bounds) for bounds in CABINETS[style])
    leg = 0.0 if style in ("wall", "filing") or chance(generator, 0.4) else between(generator, 0.05, 0.15)
    if leg:
        four_legs(builder, generator, (width, depth), leg, paint * 0.8)
    body = height - leg
    builder.box("body", (0, 0, leg + body / 2), (width, depth, body), paint * 0.9)
    drawers = style in ("dresser", "filing", "nightstand") or (style == "low" and chance(generator, 0.5))
    if style == "nightstand" and chance(generator, 0.4):
        drawers = False
    _front(builder, generator, (width, depth, body), leg, drawers, paint, metal)
    if style in ("dresser", "nightstand", "low"):
        builder.box("body", (0, -0.01, height + 0.012), (width + 0.03, depth + 0.03, 0.025), paint)
    return builder.finish(colour, ON_WALL if style == "wall" else ON_FLOOR)


def refrigerator(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "tall" (freezer above or below), "double" (two doors side by side), "small"."""
    style = style or pick(generator, ("tall", "tall", "tall", "double", "small"))
    colour = colour or pick(generator, ("white", "white", "white", "grey", "grey", "black", "red", "beige"))
    builder = Builder("refrigerator")
    paint, metal = shade(colour, generator, 0.03), shade(pick(generator, METAL), generator)
    widths, heights = {
        "tall": ((0.58, 0.75), (1.55, 1.9)),
        "double": ((0.85, 0.95), (1.7, 1.85)),
        "small": ((0.48, 0.56), (0.82, 0.95)),
    }[style]
    width, depth, height = between(generator, *widths), between(generator, 0.58, 0.7), between(generator, *heights)
    door, foot, gap = 0.07, 0.06, 0.012
    builder.box("body", (0, 0, height / 2), (width, depth, height), paint * 0.88)
    y = -depth / 2 - door / 2 - 0.004
    high = height - foot
    if style == "double":
        doors = [(-width / 4, foot, high, width / 2), (width / 4, foot, high, width / 2)]
    elif style == "small":
        doors = [(0.0, foot, high, width)]
    else:
        split = high * (between(generator, 0.28, 0.4) if chance(generator, 0.5) else between(generator, 0.62, 0.74))
        doors = [(0.0, foot, split, width), (0.0, foot + split, high - split, width)]
    hinge = 1 if chance(generator, 0.5) else -1
    for x, low, tall, wide in doors:
        builder.box("door", (x, y, low + tall / 2), (wide - gap, door, tall - gap), paint)
        side = hinge if x == 0 else -np.sign(x)
        grip = (x + side * (wide / 2 - 0.06), y - door / 2 - 0.025, low + tall / 2)
        builder.box("handle", grip, (0.025, 0.05, min(0.6, tall * 0.6)), metal)
    return builder.finish(colour, ON_FLOOR)


def bookshelf(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "tall", "low", "open" (no back)."""
    style = style or pick(generator, ("tall", "tall", "low", "open"))
    colour = colour or pick(generator, WOOD)
    builder = Builder("bookshelf")
    paint = shade(colour, generator)
    width, depth = between(generator, 0.6, 1.3), between(generator, 0.24, 0.36)
    height = between(generator, 0.75, 1.2) if style == "low" else between(generator, 1.5, 2.1)
    board, levels = 0.025, round(height / between(generator, 0.3, 0.42))
    for side in (-1, 1):
        builder.box("side", (side * (width - board) / 2, 0, height / 2), (board, depth, height), paint)
    if style != "open":
        builder.box("back", (0, depth / 2 - 0.006, height / 2), (width - 2 * board, 0.012, height), paint * 0.85)
    heights = np.linspace(0.06, height - board / 2, levels + 1)
    for z in heights:
        builder.box("shelf", (0, 0, z), (width - 2 * board, depth, board), paint)
    for low, high in itertools.pairwise(heights):
        _books(builder, generator, (width - 2 * board, depth), low + board / 2, high - low - board)
    return builder.finish(colour, ON_FLOOR)


def _books(builder: Builder, generator, size, low: float, room: float) -> None:
    """A few blocks of books on a shelf, each of its own colour and height; some shelves stay empty."""
    width, depth = size
    if chance(generator, 0.15):
        return
    x = -width / 2 + between(generator, 0.0, 0.1)
    while x < width / 2 - 0.1:
        block = min(between(generator, 0.08, 0.4), width / 2 - x)
        tall, deep = room * between(generator, 0.55, 0.92), depth * between(generator, 0.55, 0.85)
        if chance(generator, 0.8):
            paint = shade(
                pick(generator, ("red", "blue", "green", "white", "brown", "black", "yellow")), generator, 0.1
            )
            y = depth / 2 - 0.015 - deep / 2
            builder.box("book", (x + block / 2, y, low + tall / 2), (block, deep, tall), paint)
        x += block + between(generator, 0.0, 0.06)


def table(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "dining", "round" (pedestal), "coffee", "side", "trestle" (panels for legs)."""
    style = style or pick(generator, ("dining", "dining", "round", "coffee", "side", "trestle"))
    colour = colour or pick(generator, WOOD)
    builder = Builder("table")
    paint = shade(colour, generator)
    legs = paint * 0.9 if chance(generator, 0.6) else shade(pick(generator, METAL), generator)
    board = between(generator, 0.025, 0.05)
    if style == "round" or (style in ("coffee", "side") and chance(generator, 0.3)):
        wide = {"coffee": (0.6, 0.9), "side": (0.38, 0.55)}.get(style, (0.75, 1.2))
        high = {"coffee": (0.35, 0.48), "side": (0.45, 0.65)}.get(style, (0.70, 0.77))
        width, height = between(generator, *wide), between(generator, *high)
        builder.cylinder("top", (0, 0, height - board / 2), (width, width, board), paint)
        if style == "round" or chance(generator, 0.5):
            builder.cylinder("leg", (0, 0, (height - board) / 2), (0.09, 0.09, height - board), legs)
            builder.cylinder("leg", (0, 0, 0.015), (width * 0.55, width * 0.55, 0.03), legs)
        else:
            four_legs(builder, generator, (width * 0.68, width * 0.68), height - board, legs)
        return builder.finish(colour, ON_FLOOR)
    widths, depths, heights = {
        "dining": ((0.9, 1.8), (0.7, 0.95), (0.71, 0.78)),
        "trestle": ((1.1, 1.8), (0.7, 0.95), (0.71, 0.78)),
        "coffee": ((0.8, 1.25), (0.45, 0.65), (0.35, 0.48)),
        "side": ((0.38, 0.6), (0.36, 0.5), (0.48, 0.66)),
    }[style]
    width, depth, height = between(generator, *widths), between(generator, *depths), between(generator, *heights)
    builder.box("top", (0, 0, height - board / 2), (width, depth, board), paint)
    if style == "trestle":
        reach = width / 2 - between(generator, 0.1, 0.2)
        for side in (-1, 1):
            builder.box("leg", (side * reach, 0, (height - board) / 2), (0.05, depth * 0.8, height - board), legs)
        builder.box("leg", (0, 0, height * 0.4), (2 * reach, 0.04, 0.08), legs)
    else:
        four_legs(builder, generator, (width - 0.04, depth - 0.04), height - board, legs)
    if style in ("coffee", "side") and chance(generator, 0.4):
        builder.box("shelf", (0, 0, height * 0.35), (width - 0.1, depth - 0.1, 0.02), paint)
    return builder.finish(colour, ON_FLOOR)


def desk(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "one side" or "both sides" (drawers), "panel" (side panels and a back panel)."""
    style = style or pick(generator, ("one side", "one side", "both sides", "panel"))
    colour = colour or pick(generator, (*WOOD, "grey"))
    builder = Builder("desk")
    paint, metal = shade(colour, generator), shade(pick(generator, METAL), generator)
    width, depth = between(generator, 1.05, 1.7), between(generator, 0.55, 0.8)
    height, board = between(generator, 0.71, 0.77), between(generator, 0.025, 0.045)
    under = height - board
    builder.box("top", (0, 0, height - board / 2), (width, depth, board), paint)
    block = between(generator, 0.34, 0.46)
    sides = {"one side": [1 if chance(generator, 0.5) else -1], "both sides": [-1, 1], "panel": []}[style]
    for side in sides:
        x = side * (width / 2 - block / 2)
        builder.box("drawer", (x, 0, under / 2 + 0.02), (block, depth - 0.04, under - 0.04), paint * 0.9)
        for j in range(3):
            z = 0.06 + (j + 0.5) * (under - 0.08) / 3
            builder.box("drawer", (x, -depth / 2 + 0.012, z), (block - 0.02, 0.02, (under - 0.08) / 3 - 0.015), paint)
            builder.box("drawer", (x, -depth / 2 - 0.005, z), (block * 0.4, 0.025, 0.02), metal)
    for side in {-1, 1} - set(sides):
        x = side * (width / 2 - 0.02)
        if style == "panel":
            builder.box("leg", (x, 0, under / 2), (0.035, depth - 0.04, under), paint * 0.95)
        else:
            for y in (-depth / 2 + 0.04, depth / 2 - 0.04):
                builder.box("leg", (x, y, under / 2), (0.04, 0.04, under), metal)
    if style != "one side" or chance(generator, 0.6):
        drop = between(generator, 0.25, 0.5)
        builder.box("panel", (0, depth / 2 - 0.04, under - drop / 2), (width - 0.06, 0.02, drop), paint * 0.9)
    return builder.finish(colour, ON_FLOOR)


def counter(
    generator: np.random.Generator,
    colour: str | None = None,
    style: str | None = None,
    hole: tuple[float, float] | None = None,
) -> Furniture:
    """Styles: "kitchen" (doors and drawers), "bar" (higher, plain). The colour is the body's.

    `hole`: width and depth of a square opening in the top, centred at (0, 0) of the carcass, for a sink.
    """
    style = style or pick(generator, ("kitchen", "kitchen", "kitchen", "bar"))
    colour = colour or pick(generator, ("white", "white", "brown", "beige", "grey", "blue", "green", "black"))
    builder = Builder("counter")
    paint, metal = shade(colour, generator), shade(pick(generator, METAL), generator)
    slab = shade(pick(generator, ("grey", "black", "brown", "white", "beige")), generator)
    width, depth = between(generator, 1.3, 2.6), between(generator, 0.56, 0.66)
    height = between(generator, 1.0, 1.1) if style == "bar" else between(generator, 0.85, 0.95)
    board, kick = between(generator, 0.03, 0.05), 0.08
    under = height - board
    _counter_top(builder, (width + 0.02, depth + _OVERHANG, board), (0, -_OVERHANG / 2, height - board / 2), hole, slab)
    # The carcass is hollow: panels, so that a sink can hang in it.
    panel = 0.02
    for side in (-1, 1):
        builder.box("body", (side * (width - panel) / 2, 0, under / 2), (panel, depth, under), paint * 0.9)
    builder.box("body", (0, depth / 2 - panel / 2, under / 2), (width, panel, under), paint * 0.9)
    builder.box("body", (0, 0.03, kick / 2), (width, depth - 0.06, kick), paint * 0.6)
    builder.box("body", (0, -depth / 2 + panel / 2, (kick + under) / 2), (width, panel, under - kick), paint * 0.85)
    if style == "bar":
        builder.box("body", (0, -depth / 2 - 0.005, under - 0.1), (width, 0.02, 0.05), slab)
        return builder.finish(colour, ON_FLOOR)
    _counter_front(builder, generator, (width, depth, under - kick), kick, paint, metal)
    if chance(generator, 0.4):
        builder.box("top", (0, depth / 2 - 0.01, height + 0.05), (width, 0.02, 0.1), slab)
    return builder.finish(colour, ON_FLOOR)


def _counter_top(builder: Builder, size, centre, hole, colour) -> None:
    """One slab, or four around a hole at (0, 0)."""
    (width, depth, board), (_, y, z) = size, centre
    if hole is None:
        builder.box("top", (0, y, z), size, colour)
        return
    front, back = y - depth / 2, y + depth / 2
    side = (width - hole[0]) / 2
    for sign in (-1, 1):
        builder.box("top", (sign * (hole[0] + side) / 2, y, z), (side, depth, board), colour)
    for low, high in ((front, -hole[1] / 2), (hole[1] / 2, back)):
        builder.box("top", (0, (low + high) / 2, z), (hole[0], high - low, board), colour)


def _counter_front(builder: Builder, generator, size, low: float, paint, metal) -> None:
    """Doors below, a row of drawers above."""
    width, depth, high = size
    columns, drawer = max(2, round(width / between(generator, 0.42, 0.6))), 0.16
    y = -depth / 2 - 0.009
    for i in range(columns):
        x, wide = (i + 0.5) * width / columns - width / 2, width / columns - 0.012
        builder.box("door", (x, y, low + (high - drawer) / 2), (wide, 0.018, high - drawer - 0.012), paint)
        builder.box("door", (x, y, low + high - drawer / 2), (wide, 0.018, drawer - 0.012), paint)
        builder.cylinder("handle", (x, y - 0.02, low + high - drawer / 2), (0.02, 0.02, wide * 0.4), metal, ALONG_X)


def hole_of(counter: Furniture) -> tuple[float, float, float]:
    """Where a counter made with a hole has it: x and y of its centre and z of the top, in the counter's frame."""
    left, right = counter.solids.centre[0], counter.solids.centre[1]
    top = left[2] + counter.solids.half[0, 2]
    return float(left[0] + right[0]) / 2, float(left[1]) + _OVERHANG / 2, float(top)


_OVERHANG = 0.03
"""Metres that a counter's top reaches over its front."""

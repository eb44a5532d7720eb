"""Toilets, sinks, bathtubs and garbage bins. The back (+y) stands against the wall."""

import numpy as np

from pointdistill.world.builder import (
    ALONG_X,
    ALONG_Y,
    ON_FLOOR,
    ON_TOP,
    ON_WALL,
    Builder,
    Furniture,
    between,
    chance,
    turn_x,
)
from pointdistill.world.palette import CERAMIC, METAL, pick, shade


def toilet(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "closed", "open" (lid up), "compact" (the tank close to the bowl, a boxy foot)."""
    style = style or pick(generator, ("closed", "open", "compact"))
    colour = colour or pick(generator, CERAMIC)
    builder = Builder("toilet")
    paint = shade(colour, generator, 0.03)
    width, length, rim = between(generator, 0.35, 0.41), between(generator, 0.46, 0.54), between(generator, 0.37, 0.42)
    if style == "compact":
        builder.box("base", (0, 0.03, rim * 0.4), (width * 0.62, length * 0.8, rim * 0.8), paint * 0.97)
    else:
        builder.cylinder("base", (0, 0.04, rim * 0.35), (width * 0.55, length * 0.62, rim * 0.7), paint * 0.97)
        builder.cylinder("base", (0, 0.05, 0.02), (width * 0.7, length * 0.75, 0.04), paint * 0.97)
    builder.ellipsoid("bowl", (0, 0, rim - 0.1), (width * 0.99, length * 0.99, 0.36), paint)
    builder.cylinder("bowl", (0, 0, rim + 0.03), (width, length, 0.08), paint)
    builder.box("bowl", (0, length * 0.45, rim * 0.7 + 0.03), (width * 0.6, length * 0.35, rim * 0.6), paint)
    builder.cylinder("seat", (0, -0.005, rim + 0.082), (width * 1.02, length * 1.01, 0.025), paint * 0.96)
    seat = rim + 0.0945
    back = length / 2 + 0.02
    if style == "open":
        builder.cylinder("bowl", (0, -0.02, seat + 0.001), (width * 0.66, length * 0.66, 0.004), paint * 0.45)
        lid = (0, back - 0.035, seat + length * 0.47)
        builder.cylinder("seat", lid, (width, length * 0.95, 0.02), paint * 0.98, turn_x(np.pi / 2 - 0.1))
    else:
        builder.cylinder("seat", (0, -0.005, seat + 0.012), (width, length * 0.98, 0.022), paint)
    deep, high = between(generator, 0.15, 0.2), between(generator, 0.28, 0.38)
    tank = (0, back + deep / 2 + 0.02, rim + 0.05 + high / 2)
    wide = between(generator, 0.36, 0.48)
    builder.box("tank", tank, (wide, deep, high), paint)
    builder.box("tank", (0, tank[1], rim + 0.05 + high + 0.015), (wide + 0.02, deep + 0.02, 0.03), paint * 0.98)
    return builder.finish(colour, ON_FLOOR)


def _tap(builder: Builder, position, reach: float, colour) -> None:
    """An upright pipe with a spout towards -y."""
    x, y, z = position
    builder.cylinder("tap", (x, y, z + 0.09), (0.03, 0.03, 0.18), colour)
    builder.cylinder("tap", (x, y - reach / 2, z + 0.17), (0.025, 0.025, reach), colour, ALONG_Y)
    builder.box("tap", (x, y, z + 0.2), (0.09, 0.03, 0.02), colour)


def _square_basin(builder: Builder, size, low: float, wall: float, colour) -> None:
    """A hollow basin of outer size (width, depth, height), its bottom at `low`."""
    width, depth, high = size
    for side in (-1, 1):
        x, y, z = side * (width - wall) / 2, side * (depth - wall) / 2, low + high / 2
        builder.box("basin", (x, 0, z), (wall, depth, high), colour)
        builder.box("basin", (0, y, z), (width - 2 * wall, wall, high), colour)
    builder.box("basin", (0, 0, low + 0.01), (width - 0.01, depth - 0.01, 0.02), colour * 0.95)


def _round_basin(builder: Builder, size, low: float, colour) -> None:
    width, depth, high = size
    builder.ring("basin", (0, 0, low + high / 2), (width, depth, high), 0.03, colour, flare=0.25, pieces=12)
    builder.cylinder("basin", (0, 0, low + 0.015), (width * 0.92, depth * 0.92, 0.03), colour * 0.95)


def sink(
    generator: np.random.Generator,
    colour: str | None = None,
    style: str | None = None,
    size: tuple[float, float] | None = None,
) -> Furniture:
    """Styles: "pedestal" and "console" (stand), "wall" (hangs), "vessel" (on a counter), "drop-in" (in its hole).

    `size`: outer width and depth in metres. A drop-in sink's rim is `DROP_IN_DEPTH` above its lowest point.
    """
    style = style or pick(generator, ("pedestal", "pedestal", "console", "wall", "vessel", "drop-in"))
    colour = colour or pick(generator, METAL[:1] * 3 + ("white",) if style == "drop-in" else CERAMIC)
    builder = Builder("sink")
    paint, metal = shade(colour, generator, 0.03), shade("grey", generator)
    width, depth = size or (between(generator, 0.42, 0.62), between(generator, 0.36, 0.48))
    high = DROP_IN_DEPTH if style == "drop-in" else between(generator, 0.13, 0.2)
    low = 0.84 - high if style in ("pedestal", "console") else 0.0
    if style == "drop-in" or (style != "vessel" and chance(generator, 0.5)):
        _square_basin(builder, (width, depth, high), low, 0.035, paint)
    else:
        _round_basin(builder, (width, depth, high), low, paint)
    back = depth / 2
    if style == "drop-in":
        for side in (-1, 1):
            builder.box("basin", (side * (width / 2 + 0.01), 0, high + 0.004), (0.05, depth + 0.06, 0.008), paint)
            builder.box("basin", (0, side * (depth / 2 + 0.01), high + 0.004), (width, 0.05, 0.008), paint)
        _tap(builder, (0, back + 0.015, high + 0.006), 0.16, metal)
    else:
        builder.box("basin", (0, back + 0.03, low + high / 2), (width * 0.8, 0.09, high), paint)
        _tap(builder, (0, back + 0.04, low + high), 0.14, metal)
    if style == "pedestal":
        builder.cylinder("stand", (0, 0.05, low / 2), (0.16, 0.15, low), paint)
        builder.cylinder("stand", (0, 0.05, 0.02), (0.24, 0.22, 0.04), paint)
    elif style == "console":
        for side in (-1, 1):
            for y in (-depth / 2 + 0.03, depth / 2):
                builder.cylinder(
                    "stand", (side * (width / 2 - 0.03), y, low / 2 + 0.01), (0.03, 0.03, low + 0.02), metal
                )
    mount = {"wall": ON_WALL, "vessel": ON_TOP, "drop-in": ON_TOP}.get(style, ON_FLOOR)
    return builder.finish(colour, mount)


DROP_IN_DEPTH = 0.17
"""Metres from the rim of a drop-in sink down to its lowest point."""


def bathtub(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "built in" (square apron), "oval" (free, on legs). Its long side lies along x."""
    style = style or pick(generator, ("built in", "built in", "oval"))
    colour = colour or pick(generator, CERAMIC)
    builder = Builder("bathtub")
    paint, metal = shade(colour, generator, 0.03), shade("grey", generator)
    width, depth, height = between(generator, 1.4, 1.72), between(generator, 0.68, 0.8), between(generator, 0.48, 0.6)
    end = 1 if chance(generator, 0.5) else -1
    if style == "oval":
        leg = between(generator, 0.08, 0.15)
        high = height - leg
        builder.ring("side", (0, 0, leg + high / 2), (width, depth, high), 0.05, paint, flare=0.12, pieces=14)
        builder.cylinder("bottom", (0, 0, leg + 0.06), (width * 0.9, depth * 0.88, 0.04), paint * 0.95)
        for x in (-width * 0.28, width * 0.28):
            for y in (-depth * 0.22, depth * 0.22):
                builder.cylinder("leg", (x, y, (leg + 0.05) / 2), (0.05, 0.05, leg + 0.05), metal)
        tap = (end * (width / 2 + 0.02), 0.0)
    else:
        wall = between(generator, 0.06, 0.1)
        for side in (-1, 1):
            builder.box("side", (side * (width - wall) / 2, 0, height / 2), (wall, depth, height), paint)
            builder.box("side", (0, side * (depth - wall) / 2, height / 2), (width - 2 * wall, wall, height), paint)
        builder.box("bottom", (0, 0, 0.05), (width - 2 * wall, depth - 2 * wall, 0.1), paint * 0.95)
        tap = (end * (width / 2 - wall / 2), 0.0)
    builder.cylinder("tap", (*tap, height + 0.08), (0.04, 0.04, 0.16), metal)
    builder.cylinder("tap", (tap[0] - end * 0.07, 0, height + 0.14), (0.03, 0.03, 0.16), metal, ALONG_X)
    return builder.finish(colour, ON_FLOOR)


def garbage_bin(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "pedal" (domed lid), "open" (round, hollow), "basket" (square, hollow), "swing" (square with a lid)."""
    style = style or pick(generator, ("pedal", "open", "basket", "swing"))
    colour = colour or pick(generator, ("grey", "grey", "black", "black", "white", "blue", "green", "red"))
    builder = Builder("garbage bin")
    paint, lid = shade(colour, generator), shade(pick(generator, ("grey", "black", "white", colour)), generator)
    width = between(generator, 0.22, 0.34)
    height = between(generator, 0.28, 0.42) if style in ("open", "basket") else between(generator, 0.4, 0.65)
    if style == "pedal":
        builder.cylinder("body", (0, 0, height / 2), (width, width, height), paint)
        builder.ellipsoid("lid", (0, 0, height), (width * 1.02, width * 1.02, width * 0.4), lid)
        builder.box("pedal", (0, -width / 2 - 0.03, 0.03), (0.08, 0.08, 0.02), lid * 0.6)
    elif style == "open":
        builder.ring("body", (0, 0, height / 2), (width, width, height), 0.012, paint, flare=0.09, pieces=10)
        # Wider than the body, as the wall flares out to it.
        top = width + height * np.tan(0.09)
        builder.ring("rim", (0, 0, height - 0.015), (top + 0.02, top + 0.02, 0.035), 0.03, lid, pieces=10)
        builder.cylinder("body", (0, 0, 0.012), (width * 0.9, width * 0.9, 0.024), paint * 0.8)
    else:
        depth, wall = width * between(generator, 0.65, 1.0), 0.012
        for side in (-1, 1):
            builder.box("body", (side * (width - wall) / 2, 0, height / 2), (wall, depth, height), paint)
            builder.box("body", (0, side * (depth - wall) / 2, height / 2), (width, wall, height), paint)
        builder.box("body", (0, 0, 0.012), (width, depth, 0.024), paint * 0.8)
        if style == "swing":
            builder.box("lid", (0, 0, height + 0.03), (width + 0.02, depth + 0.02, 0.07), lid)
            builder.box("lid", (0, 0, height + 0.09), (width * 0.6, depth * 0.6, 0.06), lid)
        else:
            for side in (-1, 1):
                builder.box("rim", (side * width / 2, 0, height - 0.01), (0.03, depth + 0.03, 0.035), lid)
                builder.box("rim", (0, side * depth / 2, height - 0.01), (width - 0.03, 0.03, 0.035), lid)
    return builder.finish(colour, ON_FLOOR)

"""What belongs on walls: doors, windows, pictures, curtains; and the shower curtain. The back (+y) is the wall."""

import numpy as np

from pointdistill.world.builder import ALONG_X, HANGING, ON_WALL, Builder, Furniture, between, chance
from pointdistill.world.palette import COLOURS, FABRIC, METAL, pick, shade


def _frame(builder: Builder, size, border: float, colour, sill: bool = True) -> None:
    """Four boxes around an opening of (width, depth, height), or three without a sill."""
    width, depth, height = size
    for side in (-1, 1):
        builder.box("frame", (side * (width - border) / 2, 0, height / 2), (border, depth, height), colour)
    builder.box("frame", (0, 0, height - border / 2), (width - 2 * border, depth, border), colour)
    if sill:
        builder.box("frame", (0, 0, border / 2), (width - 2 * border, depth, border), colour)


def door(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "flat", "panels", "double" (two leaves)."""
    style = style or pick(generator, ("flat", "panels", "panels", "double"))
    colour = colour or pick(generator, ("white", "white", "brown", "brown", "beige", "grey", "black", "green", "blue"))
    builder = Builder("door")
    paint, metal = shade(colour, generator), shade(pick(generator, METAL), generator)
    frame = paint * 0.9 if chance(generator, 0.6) else shade("white", generator)
    leaves = 2 if style == "double" else 1
    leaf, border = between(generator, 0.72, 0.92) if leaves == 1 else between(generator, 0.6, 0.75), 0.07
    height, thick = between(generator, 1.98, 2.12), 0.1
    width = leaves * leaf + 2 * border
    _frame(builder, (width, thick, height), border, frame, sill=False)
    for k in range(leaves):
        x, high = (k - (leaves - 1) / 2) * leaf, height - border
        builder.box("leaf", (x, 0.02, high / 2), (leaf, 0.04, high), paint * (0.98 + 0.04 * k))
        if style == "panels":
            rows = int(generator.integers(2, 4))
            for j in range(rows):
                size = (leaf * 0.66, 0.018, high / rows * 0.72)
                builder.box("leaf", (x, -0.006, (j + 0.5) * high / rows), size, paint * 1.06)
        side = 1 if k == 0 and leaves == 2 else -1
        grip = x + side * (leaf / 2 - 0.07)
        builder.cylinder("handle", (grip - side * 0.03, -0.04, 1.0), (0.022, 0.022, 0.12), metal, ALONG_X)
        builder.box("handle", (grip, -0.015, 1.0), (0.03, 0.06, 0.03), metal)
    return builder.finish(colour, ON_WALL)


def window(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "cross" (bars both ways), "split" (one upright bar), "plain"."""
    style = style or pick(generator, ("cross", "split", "split", "plain"))
    colour = colour or pick(generator, ("white", "white", "white", "brown", "grey", "black", "beige"))
    builder = Builder("window")
    paint = shade(colour, generator)
    glass = np.clip(np.array((0.72, 0.86, 0.97)) * between(generator, 0.85, 1.05), 0, 1)
    width, height = between(generator, 0.6, 1.7), between(generator, 0.8, 1.4)
    border, thick = between(generator, 0.05, 0.09), between(generator, 0.06, 0.1)
    _frame(builder, (width, thick, height), border, paint)
    builder.box("pane", (0, thick / 2 - 0.015, height / 2), (width - 2 * border, 0.012, height - 2 * border), glass)
    bar = between(generator, 0.03, 0.05)
    if style != "plain":
        builder.box("frame", (0, 0.01, height / 2), (bar, thick * 0.7, height - 2 * border), paint)
    if style == "cross":
        z = height * between(generator, 0.45, 0.65)
        builder.box("frame", (0, 0.01, z), (width - 2 * border, thick * 0.6, bar), paint)
    if chance(generator, 0.6):
        builder.box("frame", (0, -0.06, -0.01), (width + 0.08, thick + 0.12, 0.03), paint)
    return builder.finish(colour, ON_WALL)


def picture(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "framed", "canvas" (stretched over the front of its frame). The colour is the canvas's ground."""
    style = style or pick(generator, ("framed", "framed", "canvas"))
    grounds = tuple(name for name in COLOURS if name not in ("brown", "grey"))
    colour = colour or pick(generator, grounds)
    builder = Builder("picture")
    width, height = between(generator, 0.35, 1.1), between(generator, 0.3, 0.85)
    ground, thick = shade(colour, generator), between(generator, 0.02, 0.045)
    border, wood = between(generator, 0.02, 0.06), pick(generator, ("black", "brown", "white", "beige"))
    _frame(builder, (width, thick, height), border, shade(wood, generator))
    if style == "canvas":
        inner, deep = np.array([width, height]), 0.008
        y = -(thick + deep) / 2
    else:
        inner, deep = np.array([width - 2 * border, height - 2 * border]), thick * 0.4
        y = (thick - deep) / 2
    builder.box("canvas", (0, y, height / 2), (inner[0], deep, inner[1]), ground)
    for _ in range(int(generator.integers(1, 4))):
        spot = inner * generator.uniform(0.12, 0.4, 2)
        x, z = (inner - spot) * generator.uniform(-0.5, 0.5, 2)
        paint = shade(pick(generator, tuple(COLOURS)), generator, 0.1)
        add = builder.box if chance(generator, 0.5) else builder.ellipsoid
        add("canvas", (x, y - deep / 2, height / 2 + z), (spot[0], 0.006, spot[1]), paint)
    return builder.finish(colour, ON_WALL)


def _folds(builder: Builder, generator, width: float, low: float, high: float, colour) -> None:
    """Cloth that hangs in folds: upright oval cylinders side by side, shifted to and fro."""
    pitch = between(generator, 0.08, 0.15)
    count = max(4, round(width / pitch))
    pitch = width / count
    deep = between(generator, 0.04, 0.075)
    for k in range(count):
        x = (k + 0.5) * pitch - width / 2
        y = (1 if k % 2 else -1) * deep * 0.25
        tone = colour * (1.05 if k % 2 else 0.95)
        size = (pitch * 1.25, deep * between(generator, 0.85, 1.15), high - low)
        builder.cylinder("cloth", (x, y, (low + high) / 2), size, tone)


def curtain(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "long" (to the floor), "short"."""
    style = style or pick(generator, ("long", "long", "short"))
    colour = colour or pick(generator, FABRIC)
    builder = Builder("curtain")
    width = between(generator, 0.35, 0.95)
    height = between(generator, 1.9, 2.25) if style == "long" else between(generator, 1.0, 1.45)
    _folds(builder, generator, width, 0.0, height, shade(colour, generator))
    rod = shade(pick(generator, (*METAL, "brown")), generator)
    builder.cylinder("rod", (0, 0, height + 0.01), (0.03, 0.03, width + 0.12), rod, ALONG_X)
    for side in (-1, 1):
        builder.ellipsoid("rod", (side * (width / 2 + 0.07), 0, height + 0.01), (0.06, 0.05, 0.05), rod)
    return builder.finish(colour, ON_WALL)


def shower_curtain(
    generator: np.random.Generator, colour: str | None = None, style: str | None = None, width: float | None = None
) -> Furniture:
    """Hangs from a rod on two drops under the ceiling. `width`: metres, as the bathtub behind it."""
    colour = colour or pick(generator, ("white", "white", "white", "blue", "green", "beige", "pink", "yellow", "grey"))
    builder = Builder("shower curtain")
    rail = width if width is not None else between(generator, 1.2, 1.7)
    spread = rail * between(generator, 0.45, 0.95)
    height, drop = between(generator, 1.65, 1.85), between(generator, 0.25, 0.4)
    side = 1 if chance(generator, 0.5) else -1
    start = len(builder)
    _folds(builder, generator, spread, 0.0, height, shade(colour, generator))
    builder.shift(start, (side * (rail - spread) / 2, 0.0, 0.0))
    metal = shade(pick(generator, METAL), generator)
    builder.cylinder("rod", (0, 0, height + 0.03), (0.03, 0.03, rail), metal, ALONG_X)
    rings = max(4, round(spread / 0.16))
    for k in range(rings):
        x = side * (rail - spread) / 2 + ((k + 0.5) / rings - 0.5) * spread
        builder.box("rod", (x, 0, height + 0.015), (0.012, 0.05, 0.07), metal)
    for end in (-1, 1):
        x = end * (rail / 2 - 0.05)
        builder.cylinder("rod", (x, 0, height + 0.03 + drop / 2), (0.02, 0.02, drop), metal)
    return builder.finish(colour, HANGING)

"""Chairs, sofas and beds. Front towards -y: a sitter looks along -y, a bed's head is at +y."""

import numpy as np

from pointdistill.world.builder import ON_FLOOR, Builder, Furniture, between, chance, turn_x, turn_y, turn_z
from pointdistill.world.palette import FABRIC, METAL, WOOD, pick, shade


def four_legs(builder: Builder, generator, size, height: float, colour, part: str = "leg", round_legs=None) -> None:
    """Legs under the corners of a footprint (width, depth), from the floor to `height`."""
    thick = between(generator, 0.03, 0.06)
    rounded = chance(generator, 0.4) if round_legs is None else round_legs
    inset = thick / 2 + between(generator, 0.0, 0.03)
    for x in (-size[0] / 2 + inset, size[0] / 2 - inset):
        for y in (-size[1] / 2 + inset, size[1] / 2 - inset):
            add = builder.cylinder if rounded else builder.box
            add(part, (x, y, height / 2), (thick, thick, height), colour)


def chair(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "four legs", "pedestal" (an office chair), "armchair", "sled" (side panels for legs)."""
    style = style or pick(
        generator, ("four legs", "four legs", "four legs", "pedestal", "pedestal", "armchair", "sled")
    )
    if style == "armchair":
        return _armchair(generator, colour or pick(generator, FABRIC))
    wooden = style != "pedestal" and chance(generator, 0.5)
    colour = colour or pick(generator, WOOD if wooden else FABRIC)
    paint = shade(colour, generator)
    frame = paint if wooden else shade(pick(generator, METAL), generator)
    builder = Builder("chair")
    width, depth = between(generator, 0.40, 0.52), between(generator, 0.40, 0.50)
    seat, thick = (
        between(generator, 0.42, 0.49),
        between(generator, 0.03, 0.05) if wooden else between(generator, 0.05, 0.1),
    )
    builder.box("seat", (0, 0, seat - thick / 2), (width, depth, thick), paint)
    under = seat - thick
    if style == "four legs":
        four_legs(builder, generator, (width, depth), under, frame)
    elif style == "pedestal":
        _star_base(builder, generator, under, frame)
    else:
        for side in (-1, 1):
            builder.box("leg", (side * (width / 2 - 0.02), 0, under / 2), (0.04, depth, under), frame)
    _chair_back(builder, generator, (width, depth, seat), paint, frame)
    if chance(generator, 0.45 if style == "pedestal" else 0.25):
        high = between(generator, 0.18, 0.25)
        for side in (-1, 1):
            x = side * (width / 2 + 0.015)
            builder.box("arm", (x, 0, seat + high), (0.05, depth * 0.75, 0.03), frame)
            builder.box("arm", (x, -depth * 0.25, seat + high / 2 - 0.03), (0.03, 0.04, high + 0.03), frame)
    return builder.finish(colour, ON_FLOOR)


def _star_base(builder: Builder, generator, height: float, colour) -> None:
    """A column on a foot of five spokes, or on a round plate."""
    builder.cylinder("leg", (0, 0, height / 2 + 0.02), (0.05, 0.05, height - 0.04), colour)
    if chance(generator, 0.25):
        builder.cylinder("leg", (0, 0, 0.015), (0.42, 0.42, 0.03), colour)
        return
    for k in range(5):
        angle = 2 * np.pi * k / 5 + np.pi / 2
        out = np.array([np.cos(angle), np.sin(angle)])
        builder.box("leg", (*(out * 0.14), 0.075), (0.28, 0.04, 0.03), colour, turn_z(angle))
        builder.cylinder("leg", (*(out * 0.27), 0.03), (0.05, 0.05, 0.06), colour)


def _chair_back(builder: Builder, generator, size, paint, frame) -> None:
    """A board, a padded back or slats, leaning a little."""
    width, depth, seat = size
    high, lean = between(generator, 0.36, 0.56), between(generator, 0.03, 0.22)
    turn = turn_x(-lean)
    foot = np.array([0, depth / 2 - 0.03, seat - 0.01])

    def at(x: float, up: float) -> np.ndarray:
        return foot + turn @ np.array([x, 0, up])

    kind = pick(generator, ("board", "pad", "slats"))
    if kind == "board":
        builder.box("back", at(0, high / 2), (width * 0.95, between(generator, 0.02, 0.04), high), paint, turn)
        return
    if kind == "pad":
        builder.box("back", at(0, 0.12 + (high - 0.12) / 2), (width * 0.9, 0.06, high - 0.12), paint, turn)
        posts = (-width * 0.3, width * 0.3)
        top = 0.2
    else:
        posts = tuple(np.linspace(-width / 2 + 0.03, width / 2 - 0.03, int(generator.integers(3, 6))))
        builder.box("back", at(0, high - 0.05), (width * 0.98, 0.03, 0.1), paint, turn)
        top = high - 0.08
    for x in posts:
        builder.box("back", at(x, top / 2), (0.03, 0.025, top), frame, turn)


def _armchair(generator: np.random.Generator, colour: str) -> Furniture:
    builder = Builder("chair")
    paint, dark = shade(colour, generator), shade(pick(generator, WOOD), generator)
    width, depth, seat = between(generator, 0.66, 0.82), between(generator, 0.66, 0.8), between(generator, 0.40, 0.46)
    arm, back = between(generator, 0.1, 0.15), between(generator, 0.75, 0.98)
    leg = between(generator, 0.08, 0.18)
    four_legs(builder, generator, (width, depth), leg, dark)
    inner = width - 2 * arm
    builder.box("seat", (0, 0, (leg + seat - 0.1) / 2), (width, depth, seat - 0.1 - leg), paint)
    builder.box("seat", (0, -0.04, seat - 0.05), (inner, depth - 0.1, 0.1), paint * 1.04)
    turn = turn_x(-between(generator, 0.02, 0.12))
    builder.box("back", (0, depth / 2 - 0.07, (seat - 0.1 + back) / 2), (width, 0.13, back - seat + 0.1), paint, turn)
    high = seat + between(generator, 0.14, 0.22)
    for side in (-1, 1):
        x = side * (width / 2 - arm / 2)
        builder.box("arm", (x, 0, (seat - 0.1 + high) / 2), (arm, depth, high - seat + 0.1), paint)
    return builder.finish(colour, ON_FLOOR)


def sofa(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "square", "round" (rolled arms), "corner" (one end reaches forward), "bench" (no arms)."""
    style = style or pick(generator, ("square", "square", "round", "corner", "bench"))
    colour = colour or pick(generator, FABRIC)
    builder = Builder("sofa")
    paint, foot = shade(colour, generator), shade(pick(generator, WOOD), generator)
    seats = int(generator.integers(2, 4))
    cushion = between(generator, 0.56, 0.7)
    arm = 0.0 if style == "bench" else between(generator, 0.12, 0.24)
    width, depth = seats * cushion + 2 * arm, between(generator, 0.8, 0.95)
    seat, back = between(generator, 0.38, 0.46), between(generator, 0.72, 0.92)
    leg, soft, rest = between(generator, 0.05, 0.14), between(generator, 0.11, 0.16), between(generator, 0.18, 0.25)
    builder.box("seat", (0, 0, (leg + seat - soft) / 2), (width, depth, seat - soft - leg), paint * 0.92)
    four_legs(builder, generator, (width, depth), leg, foot)
    lean = turn_x(-between(generator, 0.0, 0.12))
    low = seat - soft
    for k in range(seats):
        x = (k - (seats - 1) / 2) * cushion
        builder.box("seat", (x, -rest / 2, seat - soft / 2), (cushion - 0.012, depth - rest, soft), paint)
        builder.box("back", (x, depth / 2 - rest - 0.04, seat + 0.17), (cushion - 0.03, 0.14, 0.36), paint * 1.03, lean)
    builder.box("back", (0, depth / 2 - rest / 2, (low + back) / 2), (width, rest * 0.9, back - low), paint * 0.95)
    for side in (-1, 1):
        high = seat + between(generator, 0.12, 0.2)
        x = side * (width / 2 - arm / 2)
        if arm:
            builder.box("arm", (x, 0, (low + high) / 2), (arm, depth, high - low), paint * 0.97)
        if style == "round":
            builder.cylinder("arm", (x, 0, high), (arm * 1.25, arm * 1.1, depth * 0.98), paint, turn_x(np.pi / 2))
    if style == "corner":
        _chaise(builder, generator, (width, depth, seat, arm, cushion, leg), paint)
    return builder.finish(colour, ON_FLOOR)


def _chaise(builder: Builder, generator, size, paint) -> None:
    """One end of a corner sofa, long enough for the legs."""
    width, depth, seat, arm, cushion, leg = size
    side, reach = pick(generator, ("left", "right")), between(generator, 0.5, 0.75)
    x = (-1 if side == "left" else 1) * (width / 2 - arm - cushion / 2)
    builder.box("seat", (x, -depth / 2 - reach / 2, (leg + seat) / 2), (cushion, reach, seat - leg), paint)
    builder.cylinder("leg", (x, -depth / 2 - reach + 0.06, leg / 2), (0.05, 0.05, leg), paint * 0.4)


def bed(generator: np.random.Generator, colour: str | None = None, style: str | None = None) -> Furniture:
    """Styles: "single", "double". The colour is the blanket's."""
    style = style or pick(generator, ("single", "double", "double"))
    colour = colour or pick(generator, FABRIC)
    builder = Builder("bed")
    blanket, sheet = shade(colour, generator), shade(pick(generator, ("white", "white", "beige", "grey")), generator)
    wood = shade(pick(generator, WOOD), generator)
    width = between(generator, 0.9, 1.1) if style == "single" else between(generator, 1.4, 1.85)
    length, leg = between(generator, 1.92, 2.1), between(generator, 0.06, 0.2)
    frame, soft = between(generator, 0.12, 0.22), between(generator, 0.16, 0.26)
    top = leg + frame + soft
    builder.box("frame", (0, 0, leg + frame / 2), (width + 0.05, length, frame), wood)
    four_legs(builder, generator, (width, length), leg, wood)
    builder.box("mattress", (0, 0, leg + frame + soft / 2), (width, length - 0.06, soft), sheet)
    cover = length * between(generator, 0.55, 0.72)
    builder.box(
        "mattress", (0, -length / 2 + cover / 2 + 0.02, top - soft * 0.3), (width + 0.04, cover, soft * 0.75), blanket
    )
    _pillows(builder, generator, (width, length, top), sheet if chance(generator, 0.6) else blanket)
    if chance(generator, 0.85):
        high = top + between(generator, 0.15, 0.6)
        padded = chance(generator, 0.3)
        builder.box(
            "headboard", (0, length / 2 + 0.03, high / 2), (width + 0.06, 0.06, high), blanket if padded else wood
        )
    if chance(generator, 0.3):
        builder.box("headboard", (0, -length / 2 - 0.02, (top + 0.1) / 2), (width + 0.05, 0.04, top + 0.1), wood)
    return builder.finish(colour, ON_FLOOR)


def _pillows(builder: Builder, generator, size, colour) -> None:
    width, length, top = size
    count = 1 if width < 1.2 else 2
    for k in range(count):
        x = (k - (count - 1) / 2) * width / count
        span = min(0.72, width / count * 0.85)
        turn = turn_y(0.0) @ turn_x(between(generator, 0.0, 0.25))
        builder.ellipsoid("pillow", (x, length / 2 - 0.27, top + 0.05), (span * 1.15, 0.5, 0.2), colour * 1.02, turn)

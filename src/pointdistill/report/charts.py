"""Charts as inline SVG: lines, dots with whiskers, columns, maps. No script draws them, so they are there at once,
follow the page's colours in light and dark, and print.

A series is told apart by its colour, and also by the dash of its line or the shape of its mark. `ink` is a class of
page.css: an initialisation's name, or "hue0" to "hue7". Every chart is one picture to a screen reader, with a sentence;
the caller puts the figures in a table beside it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pointdistill.report.html import Html, join, tag

KNOWN = ("scratch", "distilled", "permuted", "point_mae")
"""Initialisations with a colour of their own in page.css."""
HUES = 8
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 2")
_KNOWN_DASHES = {"scratch": "2 3", "permuted": "7 4", "point_mae": "9 3 2 3"}
MOST = 400
"""Points of a line; longer ones are means of so many pieces."""
WIDTH, HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP = 50, 14, 12
_SIDE = 13.0


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: for the reader.
        ink: class of its colour.
        x, y: its points, in the order of x.
        number: of the series that a legend's button hides; None: always shown.
        thin: a single seed behind its mean.
        spread: half the height of the band about it, for each point; None: no band.
    """

    name: str
    ink: str
    x: Sequence[float]
    y: Sequence[float]
    number: int | None = None
    thin: bool = False
    spread: Sequence[float] | None = None


@dataclass(frozen=True)
class Dots:
    """Figures a seed with their mean and standard deviation, one above a place of the horizontal axis."""

    name: str
    ink: str
    figures: Sequence[float]
    mean: float
    std: float | None


def ink_of(name: str, others: Sequence[str]) -> str:
    """The class of an initialisation's or a group's colour: its own, or one by its place among `others`."""
    return name if name in KNOWN else f"hue{list(others).index(name) % HUES}"


def dash_of(ink: str) -> str:
    """The dash that goes with a colour."""
    if ink.startswith("hue"):
        return DASHES[int(ink[3:]) % len(DASHES)]
    return _KNOWN_DASHES.get(ink, "")


def line_chart(
    said: str, x: str, y: str, lines: Sequence[Line], *, logarithmic: bool = False, ticks: Sequence[float] = ()
) -> Html:
    """Lines over steps, epochs or shares of labels.

    Args:
        said: what a screen reader says.
        x, y: names of the axes.
        lines: thin ones go behind.
        logarithmic: the horizontal axis.
        ticks: of the horizontal axis, where they are given.
    """
    shown = [_thinned(line) for line in lines if len(line.x)]
    if not shown:
        return Html("")
    low, high = _range(
        [value + sign * spread for line in shown for value, spread in zip(line.y, _spreads(line), strict=True)
         for sign in (-1, 1)]
    )  # fmt: skip
    along = [value for line in shown for value in line.x]
    first, last = (min(along), max(along)) if logarithmic else (min(0.0, *along), max(along))
    frame = _Frame(first, last, low, high, logarithmic)
    marks = [ticks_of(low, high), list(ticks) or ticks_of(first, last)]
    parts: list[str | None] = [frame.grid(marks[0]), frame.below(marks[1]), frame.names(x, y)]
    for line in sorted(shown, key=lambda line: not line.thin):
        parts.append(_line(frame, line))
    return _svg(said, parts, frame, x=x, y=y)


def dot_chart(
    said: str,
    groups: Sequence[tuple[str, Sequence[Dots]]],
    floor: tuple[float, int] | None = None,
    *,
    narrow: bool = True,
) -> Html:
    """Marks with whiskers, side by side in groups.

    Args:
        said: what a screen reader says.
        groups: label under the axis, and what stands above it.
        floor: a dotted line at this height, over so many groups: what an answer without learning scores.
        narrow: for a small card.
    """
    every = [value for _, dots in groups for dot in dots for value in _reach(dot)]
    low, high = _range([*every, *([] if floor is None else [floor[0]])])
    width, height = (240, 175) if narrow else (WIDTH, HEIGHT)
    bottom = 16 + 14 * max((_rows(name) for name, _ in groups), default=1)
    frame = _Frame(-0.5, len(groups) - 0.5, low, high, width=width, height=height, left=38, bottom=bottom)
    parts: list[str | None] = [frame.grid(ticks_of(low, high))]
    for place, (name, dots) in enumerate(groups):
        parts.append(frame.label(place, _wrapped(name)))
        gap = min(0.26, 0.84 / max(len(dots), 1))
        for number, dot in enumerate(dots):
            parts.append(_dots(frame, place + (number - (len(dots) - 1) / 2) * gap, gap, dot))
    if floor is not None and floor[1]:
        height = frame.y(floor[0])
        ends = {"x1": frame.x(-0.5), "x2": frame.x(floor[1] - 0.5), "y1": height, "y2": height}
        parts.append(tag("line", tag("title", f"without learning: {floor[0]:.2f}"), class_="floor", **_short(ends)))
    return _svg(said, parts, frame)


def column_chart(
    said: str, x: str, y: str, labels: Sequence[str], columns: Sequence[tuple[str, str, bool, Sequence[float | None]]],
    shares: Sequence[float] | None = None,
) -> Html:  # fmt: skip
    """Columns in groups.

    Args:
        said: what a screen reader says.
        x, y: names of the axes.
        labels: of the groups.
        columns: name, ink, whether hatched, and a height a group (None: nothing there).
        shares: a dotted line over the groups.
    """
    values = [value for *_, column in columns for value in column if value is not None]
    low, high = _range([0.0, *values, *(shares or [])])
    frame = _Frame(-0.5, len(labels) - 0.5, low, high, width=max(WIDTH, 90 + 44 * len(labels)))
    parts: list[str | None] = [frame.grid(ticks_of(low, high)), frame.names(x, y)]
    parts += [frame.label(place, [label]) for place, label in enumerate(labels)]
    width = 0.75 / max(len(columns), 1)
    for number, (name, ink, hatched, column) in enumerate(columns):
        for place, value in enumerate(column):
            if value is None:
                continue
            left, (top, bottom) = place - 0.375 + number * width, sorted((frame.y(value), frame.y(0.0)))
            box = {"x": frame.x(left), "y": top, "width": frame.x(left + width * 0.9) - frame.x(left),
                   "height": max(bottom - top, 0.5)}  # fmt: skip
            told = tag("title", f"{name}, {x} {labels[place]}: {value:.3f}")
            parts.append(tag("rect", told, class_=f"column {ink}{' hatched' if hatched else ''}", **_short(box)))
    if shares:
        places = [(frame.x(place), frame.y(share)) for place, share in enumerate(shares)]
        parts.append(tag("path", class_="shares", d=_path(places)))
    return tag("div", _svg(said, parts, frame), class_="roomy", tabindex=0, role="region", aria_label=f"{y} by {x}")


def map_chart(said: str, places: Float[np.ndarray, "objects 2"], labels: Sequence[int], classes: Sequence[str]) -> Html:
    """Objects in the plane, a colour and shape a class; classes are the series that a legend hides."""
    (low_x, low_y), (high_x, high_y) = places.min(0), places.max(0)
    frame = _Frame(low_x, high_x, low_y, high_y, height=420, left=14, bottom=14)
    parts: list[str | None] = []
    for number, name in enumerate(classes):
        marks = [
            mark(number, frame.x(float(place[0])), frame.y(float(place[1])), 4.2)
            for place, label in zip(places, labels, strict=True)
            if label == number
        ]
        parts.append(tag("g", tag("title", name), marks, class_=f"mark hue{number % HUES}", data_series=number))
    return _svg(said, parts, frame)


def mark(shape: int, x: float, y: float, size: float) -> Html:
    """A mark about a place: every eight classes another shape, so that no two share both colour and shape soon."""
    kind = (shape // HUES + shape) % 6
    if kind == 0:
        return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{size:.1f}")
    corners = {
        1: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        2: [(0, -1.35), (1.25, 0.9), (-1.25, 0.9)],
        3: [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
        4: [(0, 1.35), (1.25, -0.9), (-1.25, -0.9)],
        5: [(-1.4, -0.5), (-0.5, -0.5), (-0.5, -1.4), (0.5, -1.4), (0.5, -0.5), (1.4, -0.5), (1.4, 0.5), (0.5, 0.5),
            (0.5, 1.4), (-0.5, 1.4), (-0.5, 0.5), (-1.4, 0.5)],
    }[kind]  # fmt: skip
    return tag("path", d=_path([(x + size * dx, y + size * dy) for dx, dy in corners]) + "Z")


def key(shape: int, ink: str) -> Html:
    """A class's mark for a legend."""
    return tag("svg", mark(shape, 7, 7, 5), viewBox="0 0 14 14", class_=f"key mark {ink}", aria_hidden="true")


def stroke(ink: str) -> Html:
    """A line as a legend shows it."""
    line = tag("path", d="M1,7L25,7", class_=f"line {ink}", stroke_dasharray=dash_of(ink) or None)
    return tag("svg", line, viewBox="0 0 26 14", class_="key stroke", aria_hidden="true")


def ticks_of(low: float, high: float, most: int = 6) -> list[float]:
    """Round values between two, at most so many."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * number, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """A tick as people write it."""
    if abs(value) >= 10000 and value % 1000 == 0:
        return f"{value / 1000:g}k"
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def thinned(x: Sequence[float], y: Sequence[float], most: int = MOST) -> tuple[list[float], list[float]]:
    """Means over neighbouring points where there are more than `most`; values that are no number are left out."""
    pairs = np.array([(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)], dtype=float).reshape(-1, 2)
    if len(pairs) > most:
        ends = np.linspace(0, len(pairs), most + 1).astype(int)
        pairs = np.array([pairs[start:end].mean(0) for start, end in itertools.pairwise(ends)])
    return pairs[:, 0].tolist(), pairs[:, 1].tolist()


@dataclass(frozen=True)
class _Frame:
    """The axes: where a value lies in the picture."""

    first: float
    last: float
    low: float
    high: float
    logarithmic: bool = False
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    bottom: int = 44

    def x(self, value: float) -> float:
        first, last, at = (
            (math.log(self.first), math.log(self.last), math.log(value))
            if self.logarithmic
            else (self.first, self.last, value)
        )
        return self.left + (self.width - self.left - _RIGHT) * ((at - first) / (last - first) if last > first else 0.5)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.height - self.bottom - (self.height - self.bottom - _TOP) * share

    def grid(self, ticks: Sequence[float]) -> Html:
        made = []
        for value in ticks:
            at = f"{self.y(value):.1f}"
            made.append(tag("line", x1=self.left, x2=self.width - _RIGHT, y1=at, y2=at, class_="grid"))
            made.append(tag("text", tick_text(value), x=self.left - 6, y=at, dy="0.32em", class_="end"))
        return join(made)

    def below(self, ticks: Sequence[float]) -> Html:
        bottom = self.height - self.bottom
        return join(
            tag("text", tick_text(value), x=f"{self.x(value):.1f}", y=bottom + 16, class_="middle") for value in ticks
        )

    def label(self, place: float, rows: Sequence[str]) -> Html:
        at, bottom = f"{self.x(place):.1f}", self.height - self.bottom
        lines = [tag("tspan", row, x=at, y=bottom + 16 + 14 * number) for number, row in enumerate(rows)]
        return tag("text", lines, class_="middle")

    def names(self, x: str, y: str) -> Html:
        middle = (self.height - self.bottom + _TOP) / 2
        return join(
            [
                tag("text", x, x=(self.left + self.width - _RIGHT) // 2, y=self.height - 8, class_="middle axis"),
                tag("text", y, transform=f"translate(12 {middle:.0f}) rotate(-90)", class_="middle axis"),
            ]
        )


def _svg(said: str, parts: Sequence[str | None], frame: _Frame, **axes: str) -> Html:
    """The picture; what is needed to read a place back into values goes with it."""
    ends = {"first": frame.first, "last": frame.last, "low": frame.low, "high": frame.high}
    plot = [frame.left, frame.width - _RIGHT, frame.height - frame.bottom, _TOP]
    read = {f"data_{name}": repr(float(value)) for name, value in ends.items()} if axes else {}
    return tag(
        "svg",
        join(parts),
        viewBox=f"0 0 {frame.width} {frame.height}",
        role="img",
        aria_label=said,
        class_="chart",
        style=f"min-width:min(100%,{frame.width}px)" if frame.width > WIDTH else None,
        data_plot=" ".join(map(str, plot)) if axes else None,
        data_log="yes" if frame.logarithmic else None,
        data_x=axes.get("x"),
        **read,
    )


def _line(frame: _Frame, line: Line) -> Html:
    places = [(frame.x(x), frame.y(y)) for x, y in zip(line.x, line.y, strict=True)]
    band = None
    if line.spread is not None and not line.thin:
        over = [(frame.x(x), frame.y(y + s)) for x, y, s in zip(line.x, line.y, line.spread, strict=True)]
        under = [(frame.x(x), frame.y(y - s)) for x, y, s in zip(line.x, line.y, line.spread, strict=True)]
        band = tag("path", d=_path(over + under[::-1]) + "Z", class_=f"band {line.ink}")
    dashes = None if line.thin else dash_of(line.ink) or None
    drawn = tag(
        "path",
        d=_path(places),
        class_=f"line {line.ink}{' thin' if line.thin else ''}",
        stroke_dasharray=dashes,
        data_name=line.name,
    )
    few = len(places) <= 25 and not line.thin
    shape = int(line.ink[3:]) if line.ink.startswith("hue") else KNOWN.index(line.ink)
    marks = [mark(shape, x, y, 3) for x, y in places] if few else None
    return tag("g", band, drawn, tag("g", marks, class_=f"mark {line.ink}") if marks else None, data_series=line.number)


def _dots(frame: _Frame, place: float, width: float, dot: Dots) -> Html:
    centre, mean = frame.x(place), frame.y(dot.mean)
    shape = int(dot.ink[3:]) if dot.ink.startswith("hue") else KNOWN.index(dot.ink)
    aside = frame.x(place + width * 0.36)
    seeds = [tag("circle", cx=f"{aside:.1f}", cy=f"{frame.y(value):.1f}", r="2.4") for value in dot.figures]
    whisker = None
    if dot.std is not None:
        top, bottom = frame.y(dot.mean + dot.std), frame.y(dot.mean - dot.std)
        bar = f"M{centre - 5:.1f},{top:.1f}h10M{centre:.1f},{top:.1f}V{bottom:.1f}M{centre - 5:.1f},{bottom:.1f}h10"
        whisker = tag("path", d=bar, class_=f"whisker {dot.ink}")
    told = f"{dot.name}: {dot.mean:.2f}" + (", one seed" if dot.std is None else f" ± {dot.std:.2f}")
    return tag(
        "g",
        tag("title", told),
        tag("g", seeds, class_=f"mark seeds {dot.ink}") if len(dot.figures) > 1 else None,
        whisker,
        tag("g", mark(shape, centre, mean, 4.6), class_=f"mark mean {dot.ink}"),
    )


def _thinned(line: Line) -> Line:
    if line.spread is not None:
        return line
    x, y = thinned(line.x, line.y)
    return Line(line.name, line.ink, x, y, line.number, line.thin)


def _spreads(line: Line) -> Sequence[float]:
    return line.spread if line.spread is not None and not line.thin else [0.0] * len(line.y)


def _reach(dot: Dots) -> list[float]:
    spread = dot.std or 0.0
    return [dot.mean - spread, dot.mean + spread, *dot.figures]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest with some air."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - air if low else low, high + air


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in places)


def _short(values: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}


def _rows(name: str) -> int:
    return len(_wrapped(name))


def _wrapped(name: str) -> list[str]:
    """A label in short lines."""
    rows: list[str] = []
    for word in name.split():
        if rows and len(rows[-1]) + len(word) < _SIDE:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return rows[:3] or [""]

"""What the viewer shows, whatever it was read from: points with ways to colour them, boxes, sentences."""

import colorsys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32, Int, Integer, UInt8

from pointdistill.seeding import numpy_generator

Colour = tuple[int, int, int]
SHOWN_POINTS = 200_000
"""Points that are sent to the browser; of larger clouds a draw, always the same one."""
GREY: Colour = (128, 128, 128)
RIGHT: Colour = (70, 160, 90)
WRONG: Colour = (214, 60, 50)
_FAR = 10_000.0
_HEIGHTS = np.array([(60, 30, 110), (45, 100, 145), (40, 150, 140), (120, 200, 90), (250, 225, 70)], np.float64)
"""Of the lowest point to the highest: brighter with every step, so that greyscale keeps the order."""


@dataclass(frozen=True)
class Boxes:
    """Boxes of one kind in a picture.

    Attributes:
        kind: what they are, for instance "true boxes".
        boxes: centre, size and heading about z, in the picture's unit.
        names: what stands at each.
        colour: of their edges.
        scores: of predicted ones.
    """

    kind: str
    boxes: Float[np.ndarray, "boxes 7"]
    names: Sequence[str]
    colour: Colour
    scores: Float[np.ndarray, " boxes"] | None = None


@dataclass(frozen=True)
class Picture:
    """One thing to look at, z up.

    Attributes:
        title: what it is.
        points: in the unit of what it was read from.
        colours: ways to colour the points, by name; the first is chosen first.
        legends: what the colours of a way mean, where they are of classes.
        boxes: kinds of boxes around things.
        said: sentences about it, by who says them.
        image: the camera's image, red, green, blue.
    """

    title: str
    points: Float32[np.ndarray, "points 3"]
    colours: Mapping[str, UInt8[np.ndarray, "points 3"]]
    legends: Mapping[str, Sequence[tuple[str, Colour]]] = field(default_factory=dict)
    boxes: Sequence[Boxes] = ()
    said: Sequence[tuple[str, str]] = ()
    image: UInt8[np.ndarray, "height width 3"] | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures in order, each made when it is asked for.

    Attributes:
        title: what they are of.
        names: what each is called.
        what: what one of them is, for instance "frame".
        picture: makes one, by its number; raises PointdistillError where it cannot be read.
    """

    title: str
    names: Sequence[str]
    what: str
    picture: Callable[[int], Picture]


def drawn(count: int) -> Int[np.ndarray, " drawn"] | slice:
    """Which of so many points are sent to the browser, in their order."""
    if count <= SHOWN_POINTS:
        return slice(None)
    return np.sort(numpy_generator(0, "viewed points").permutation(count)[:SHOWN_POINTS])


def near_origin(
    points: Float[np.ndarray, "points 3"],
) -> tuple[Float32[np.ndarray, "points 3"], Float[np.ndarray, "3"]]:
    """Points in single precision, and what was taken from their coordinates for that: nothing, but where they are as
    far from the origin as a map's."""
    middle = points.mean(0, dtype=np.float64)
    origin = np.round(middle) if np.abs(middle).max() > _FAR else np.zeros(3)
    return (points - origin).astype(np.float32), origin


def by_height(points: Float32[np.ndarray, "points 3"]) -> UInt8[np.ndarray, "points 3"]:
    """From dark blue at the lowest z to yellow at the highest."""
    z = points[:, 2].astype(np.float64)
    low, high = (z.min(), z.max()) if len(z) else (0.0, 1.0)
    at = (z - low) / max(high - low, 1e-9) * (len(_HEIGHTS) - 1)
    channels = [np.interp(at, np.arange(len(_HEIGHTS)), _HEIGHTS[:, channel]) for channel in range(3)]
    return np.stack(channels, 1).round().astype(np.uint8)


def palette(count: int) -> list[Colour]:
    """So many colours, neighbours far apart."""
    turns = [colorsys.hsv_to_rgb(index * 0.618034 % 1.0, 0.65, 0.95 - 0.3 * (index % 2)) for index in range(count)]
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in turns]


def by_class(
    classes: Integer[np.ndarray, " points"], names: Sequence[str], colours: Sequence[Colour]
) -> tuple[UInt8[np.ndarray, "points 3"], list[tuple[str, Colour]]]:
    """The colour of each point's class, grey below 0, and which classes there are."""
    table = np.array([*colours, GREY], np.uint8)
    there = [int(index) for index in np.unique(classes) if index >= 0]
    return table[np.where(classes < 0, len(colours), classes)], [(names[index], colours[index]) for index in there]


def by_features(features: Float[np.ndarray, "points width"]) -> UInt8[np.ndarray, "points 3"]:
    """The features' first three principal components as red, green and blue: alike in colour, alike in feature."""
    centred = features.astype(np.float64) - features.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, np.argsort(values)[::-1][:3]]
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])  # an eigenvector's sign is nobody's choice
    found = centred @ axes
    low, high = np.percentile(found, (2, 98), axis=0)
    return (np.clip((found - low) / np.maximum(high - low, 1e-9), 0, 1) * 255).round().astype(np.uint8)


def by_share(shares: Float[np.ndarray, " points"]) -> UInt8[np.ndarray, "points 3"]:
    """From dark at the least to yellow at the most."""
    zeros = np.zeros(len(shares), np.float32)
    return by_height(np.stack([zeros, zeros, shares.astype(np.float32)], 1))

"""Furniture of ScanNet's 18 detection classes out of boxes, cylinders and ellipsoids, with labelled parts."""

from collections.abc import Callable

import numpy as np

from pointdistill.world.builder import Furniture
from pointdistill.world.classes import CLASSES, NYU40, PARTS
from pointdistill.world.furniture_bath import bathtub, garbage_bin, sink, toilet
from pointdistill.world.furniture_seats import bed, chair, sofa
from pointdistill.world.furniture_storage import bookshelf, cabinet, counter, desk, refrigerator, table
from pointdistill.world.furniture_walls import curtain, door, picture, shower_curtain, window

__all__ = ["CLASSES", "NYU40", "PARTS", "Furniture", "make_furniture"]

_MAKERS: dict[str, Callable[..., Furniture]] = {
    "cabinet": cabinet,
    "bed": bed,
    "chair": chair,
    "sofa": sofa,
    "table": table,
    "door": door,
    "window": window,
    "bookshelf": bookshelf,
    "picture": picture,
    "counter": counter,
    "desk": desk,
    "curtain": curtain,
    "refrigerator": refrigerator,
    "shower curtain": shower_curtain,
    "toilet": toilet,
    "sink": sink,
    "bathtub": bathtub,
    "garbage bin": garbage_bin,
}


def make_furniture(
    class_name: str, generator: np.random.Generator, colour: str | None = None, style: str | None = None, **options
) -> Furniture:
    """A thing of this class with random proportions, in its own frame: origin at the centre of its footprint on the
    floor, front towards -y, z up, metres.

    Args:
        class_name: one of CLASSES.
        generator: decides everything that the caller does not.
        colour: a name out of palette.COLOURS; by default one that suits the class.
        style: one of the styles that the class's own function names; by default any of them.
        options: passed on to the class's own function (the hole in a counter, the width of a shower curtain).
    """
    return _MAKERS[class_name](generator, colour, style, **options)

"""Colours by name: what captions say and what the renderer paints."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (0.92, 0.92, 0.90),
    "black": (0.10, 0.10, 0.11),
    "grey": (0.50, 0.51, 0.53),
    "brown": (0.42, 0.26, 0.14),
    "beige": (0.80, 0.70, 0.54),
    "red": (0.72, 0.13, 0.12),
    "orange": (0.90, 0.50, 0.12),
    "yellow": (0.90, 0.80, 0.25),
    "green": (0.20, 0.50, 0.24),
    "blue": (0.16, 0.30, 0.66),
    "purple": (0.45, 0.22, 0.55),
    "pink": (0.92, 0.58, 0.66),
}

WOOD = ("brown", "brown", "beige", "beige", "white", "black")
FABRIC = (
    "grey",
    "grey",
    "blue",
    "red",
    "green",
    "beige",
    "brown",
    "black",
    "purple",
    "orange",
    "white",
    "pink",
    "yellow",
)
METAL = ("grey", "black", "white")
CERAMIC = ("white", "white", "white", "white", "beige", "pink", "grey")


def pick(generator: np.random.Generator, options: Sequence[str]) -> str:
    """One of the options, evenly (repeat an option to weigh it)."""
    return options[int(generator.integers(len(options)))]


def shade(name: str, generator: np.random.Generator, spread: float = 0.05) -> Float[np.ndarray, "3"]:
    """This colour, a little off, as two brown things never match: red, green, blue in 0..1."""
    light = generator.normal(1.0, spread)
    return np.clip(np.array(COLOURS[name]) * light + generator.normal(0, spread / 3, 3), 0.02, 0.98)

"""How verbs take their arguments."""

from dataclasses import dataclass
from typing import Any, Literal

import tyro

from pointdistill.errors import PointdistillError

Positional, arg = tyro.conf.Positional, tyro.conf.arg
Axis = Literal["x", "-x", "y", "-y", "z", "-z"]


@dataclass(frozen=True)
class Outcome:
    """What a verb found that has an exit code of its own.

    Attributes:
        content: what --json prints; None: nothing.
        code: the exit code.
    """

    content: Any
    code: int


def at_least(least: int, **options: int | None) -> None:
    """Refuse numbers below `least`, by the option's name."""
    for name, value in options.items():
        if value is not None and value < least:
            raise PointdistillError(f"--{name.replace('_', '-')} {value}: must be {least} or more")

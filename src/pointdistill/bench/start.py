"""How long until the first word: help, and the package's import, each in a process of its own."""

from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.processes import seconds_of

MOST_HELP = 1.0
"""Seconds until help is printed."""
_HELP = ("-m", "pointdistill", "--help")


def figures(rounds: int = 5) -> list[Figure]:
    """Medians of whole processes.

    Args:
        rounds: after one that fills the page cache.
    """
    bare, torch = seconds_of(["-c", "pass"], rounds), seconds_of(["-c", "import torch"], rounds)
    took = seconds_of(list(_HELP), rounds)
    others = {"Python alone": bare, "import torch": torch}
    return [
        Figure("pointdistill --help", took, "s", others, Limit(f"{MOST_HELP:g} s or less", took <= MOST_HELP)),
        Figure("pointdistill pretrain --help", seconds_of(["-m", "pointdistill", "pretrain", "--help"], rounds), "s"),
        Figure("import pointdistill", seconds_of(["-c", "import pointdistill"], rounds), "s", others),
        Figure(
            "from pointdistill import create_backbone",
            seconds_of(["-c", "from pointdistill import create_backbone"], rounds),
            "s",
            others,
        ),
    ]

"""Every table and figure by its name."""

from collections.abc import Callable

from pointdistill.errors import RecipeError, choose
from pointdistill.reproduce.efficiency import LabelEfficiency
from pointdistill.reproduce.figures import DetectionFigure, SamplingFigure
from pointdistill.reproduce.others import PerClass, ReconstructionTable, Settings
from pointdistill.reproduce.published import TABLES
from pointdistill.reproduce.scales import Scale
from pointdistill.reproduce.targets import DownstreamTable, Target

_OTHERS: dict[str, Callable[[Scale, int], Target]] = {
    "table7": ReconstructionTable,
    "table8": Settings,
    "table9": PerClass,
    "figure3": DetectionFigure,
    "figure4": SamplingFigure,
    "label-efficiency": LabelEfficiency,
}


def target_of(name: str, scale: Scale, seeds: int) -> Target:
    """The target of this name.

    Raises:
        RecipeError: there is none; those that there are, are named.
    """
    if name in TABLES:
        return DownstreamTable.at(TABLES[name], scale, seeds)
    if name in _OTHERS:
        return _OTHERS[name](scale, seeds)
    raise RecipeError(f"there is no {name!r} to reproduce. {choose(name, names())}")


def names() -> list[str]:
    """All names: tables by their numbers, figures, ours."""
    return sorted({*TABLES, *_OTHERS}, key=_rank)


def _rank(name: str) -> tuple[bool, bool, int, str]:
    return not name[-1].isdigit(), name.startswith("figure"), len(name), name

"""Every table and figure by its name."""

from collections.abc import Callable

from pointdistill.errors import RecipeError
from pointdistill.reproduce.efficiency import LabelEfficiency
from pointdistill.reproduce.others import PerClass, ReconstructionTable, Settings
from pointdistill.reproduce.published import TABLES
from pointdistill.reproduce.scales import Scale
from pointdistill.reproduce.targets import DownstreamTable, Target

_OTHERS: dict[str, Callable[[Scale, int], Target]] = {
    "table7": ReconstructionTable,
    "table8": Settings,
    "table9": PerClass,
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
    raise RecipeError(f"there is no {name!r} to reproduce. Choose one of {', '.join(names())}")


def names() -> list[str]:
    """All names, the paper's in its order."""
    return sorted(
        {*TABLES, *_OTHERS}, key=lambda name: (not name[-1].isdigit(), name.rstrip("0123456789"), len(name), name)
    )

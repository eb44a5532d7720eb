"""Which files of several folders belong to the same frame, by their names."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pointdistill.errors import DataError

IMAGES = (".jpg", ".jpeg", ".png")
_KEYS: tuple[Callable[[str], object], ...] = (
    lambda stem: stem,
    lambda stem: tuple(_digits(stem)),
    lambda stem: _digits(stem)[:1],
    lambda stem: _digits(stem)[-1:],
)
"""What two names may have in common: all of it, all their numbers, the first one, the last one."""


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Sorted as people count: 2 before 10."""
    return sorted(paths, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)])


def images_in(folder: Path) -> list[Path]:
    """The jpegs and pngs of a folder, in order."""
    return in_order([path for path in folder.iterdir() if path.suffix.lower() in IMAGES])


def pair(first: Sequence[Path], second: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of two lists in the first one's order: by what their names have in common, else by position.

    Names decide if at least half of the shorter list then finds a partner. What finds none is left out.

    Raises:
        DataError: names have nothing in common, and there are not equally many files.
    """
    best: list[tuple[Path, Path]] = []
    for key in _KEYS:
        of_first, of_second = ({key(path.stem): path for path in paths} for paths in (first, second))
        if len(of_first) == len(first) and len(of_second) == len(second):
            found = [(path, of_second[name]) for name, path in of_first.items() if name in of_second]
            best = max(best, found, key=len)
    if best and 2 * len(best) >= min(len(first), len(second)):
        return best
    if len(first) == len(second):
        return list(zip(first, second, strict=True))
    names = " and ".join(f"{len(paths)} files such as {paths[0].name}" for paths in (first, second) if paths)
    remedy = "Give both files of a frame the same number."
    raise DataError(folder, f"holds {names}: which belong together is not to be told", remedy)


def unpaired(pairs: int, colour: int, depth: int) -> tuple[str, ...]:
    """What found no partner, in words."""
    counts = {"colour images without depth": colour - pairs, "depth images without colour": depth - pairs}
    return tuple(f"{count} {what}" for what, count in counts.items() if count)


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _digits(stem: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", stem))

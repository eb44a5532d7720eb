"""Errors that a user can act on: the command line prints them as one line and leaves with exit code 2."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class PointdistillError(Exception):
    """Something the user can mend. `str(error)` is one line: what, where, what to do."""


class DataError(PointdistillError):
    """A file or folder that is not what it should be.

    Args:
        path: the file or folder.
        problem: what is wrong with it.
        remedy: what the user can do about it.
        place: where in the file (a line, a byte offset, a frame, a field), if known.
    """

    def __init__(self, path: str | Path, problem: str, remedy: str, place: str | None = None):
        self.path, self.problem, self.remedy, self.place = Path(path), problem, remedy, place
        where = f"{path}, {place}" if place else f"{path}"
        line = " ".join(f"{where}: {problem}. {remedy}".split())
        # Names out of foreign files may hold what would move a terminal's cursor, or what no terminal can be sent.
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line))

    def __reduce__(self):
        """Errors travel from worker processes to the one that talks to the user."""
        return type(self), (self.path, self.problem, self.remedy, self.place)


def choose(given: str, known: Iterable[str]) -> str:
    """What to say of a name that nobody knows: the one it resembles, or else all that there are."""
    names = list(known)
    by_lower_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(given.lower(), by_lower_case, 1, 0.7)
    return f"Did you mean {by_lower_case[close[0]]}?" if close else f"Choose one of {', '.join(names)}"


class RecipeError(PointdistillError):
    """Settings that do not fit together, or that do not fit what lies in the output folder."""


class CheckpointError(DataError):
    """A checkpoint that is damaged or belongs to another architecture."""


class TrainingDiverged(PointdistillError):
    """A loss or gradient became NaN or infinite; the last good checkpoint was kept."""


class MissingPackage(PointdistillError):
    """Something needs a package that only an extra of this one installs.

    Args:
        what: what needs it.
        package: its name.
        extra: the extra of pyproject.toml that installs it.
    """

    def __init__(self, what: str, package: str, extra: str):
        self.what, self.package, self.extra = what, package, extra
        super().__init__(f"{what} needs {package}, which is not here. Install it: pip install 'pointdistill[{extra}]'")

    def __reduce__(self):
        return type(self), (self.what, self.package, self.extra)

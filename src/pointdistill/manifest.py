"""The file that makes a prepared folder valid: written last, by rename; without it nothing in the folder loads."""

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointdistill.errors import DataError
from pointdistill.files import is_temporary, read_json, write_json

NAME = "manifest.json"
SETTINGS = "settings.json"
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_CLOSED = {errno.EACCES: "may not be written to", errno.EPERM: "may not be written to", errno.EROFS: "is read-only"}


def write(folder: Path, content: dict[str, Any]) -> None:
    """Make a folder valid."""
    write_json(folder / NAME, content, sort_keys=True)


def read(folder: Path, remedy: str) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        DataError: it is not there or damaged; `remedy` says what to do.
    """
    path = folder / NAME
    if not path.is_file():
        raise DataError(path, "no such file: preparation did not finish, or never began here", remedy)
    return read_json(path, remedy)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claim(folder: Path, settings: dict[str, Any]) -> None:
    """Make `folder` the place of work with these settings, or go on there with the same.

    Raises:
        DataError: it holds work with other settings (the difference is named), or something else.
    """
    path = folder / SETTINGS
    if path.is_file():
        check_same(folder, read_json(path, "Delete the folder and prepare again."), settings)
        return
    folder.mkdir(parents=True, exist_ok=True)
    strange = sorted(entry.name for entry in folder.iterdir() if entry.name != ".lock" and not is_temporary(entry))
    if strange:
        raise DataError(folder, f"is not empty ({strange[0]}) and was not prepared here", "Name another folder.")
    write_json(path, settings, sort_keys=True)


def check_same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises DataError naming each setting in which prepared data differ from those asked for."""
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    different = [key for key in sorted({*there, *wanted}) if there.get(key) != wanted.get(key)]
    if different:
        was = ", ".join(f"{key}={_short(there.get(key))}" for key in different)
        now = ", ".join(f"{key}={_short(wanted.get(key))}" for key in different)
        problem = f"was prepared with {was}, not with {now}"
        raise DataError(folder, problem, "Name another folder, or delete this one.")


def _short(value: Any) -> str:
    """A setting as it fits on a line; long lists (scans) by their length and hash."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= 80:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"[{len(value)} entries, {digest}]" if isinstance(value, list) else f"{text[:60]}... ({digest})"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Only one run at a time writes to a folder; the lock goes with the process, however that ends.

    Raises:
        DataError: another run holds it; or the disk is full or closed to us (any time inside the block).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as file:
            _lock(file, folder)
            yield
    except OSError as error:
        if error.errno in _FULL:
            problem, remedy = _FULL[error.errno], "Make room and run again; what is finished is kept."
            raise DataError(folder, problem, remedy) from error
        if error.errno in _CLOSED:
            raise DataError(folder, _CLOSED[error.errno], "Name a folder that you may write to.") from error
        raise


def _lock(file, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no advisory locks there
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(folder, "another run is writing to it", "Wait for it, or name another folder.") from None

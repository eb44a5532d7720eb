"""The file that makes a prepared folder valid: written last, by rename; without it nothing in the folder loads."""

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
AGAIN = "Delete the folder and prepare it again."
"""What helps where a finished folder was damaged."""


def write(folder: Path, content: dict[str, Any]) -> None:
    """Make a folder valid."""
    write_json(folder / NAME, content, sort_keys=True)


def is_there(folder: Path) -> bool:
    """Whether preparation finished in a folder."""
    return (folder / NAME).is_file()


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        DataError: it is not there or damaged.
    """
    path = folder / NAME
    if not path.is_file():
        problem = "no such file: preparation did not finish, or never began here"
        raise DataError(path, problem, "Run the preparation with this folder again; it keeps what is finished.")
    content = read_json(path, AGAIN)
    if not isinstance(content, dict):
        raise DataError(path, "is no manifest", AGAIN)
    return content


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Within the block a folder's manifests are taken at their word: what they lack, or what is of another kind there,
    raises DataError."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        problem = f"is not what a preparation writes ({type(error).__name__}: {error})"
        raise DataError(folder / NAME, problem, AGAIN) from error


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
    strange = sorted(entry.name for entry in folder.iterdir() if not is_temporary(entry))
    if strange:
        raise DataError(folder, f"is not empty ({strange[0]}) and was not prepared here", "Name another folder.")
    write_json(path, settings, sort_keys=True)


def check_same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises DataError naming the format, or each setting, in which prepared data differ from those asked for."""
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    formats = there.get("format"), wanted.get("format")
    if formats[0] != formats[1]:
        problem = f"was prepared by another version (format {formats[0]}, this version has {formats[1]})"
        raise DataError(folder, problem, "Name another folder, or delete this one.")
    different = [key for key in sorted({*there, *wanted}) if there.get(key) != wanted.get(key)]
    if different:
        was = ", ".join(f"{key}={_short(there.get(key))}" for key in different)
        now = ", ".join(f"{key}={_short(wanted.get(key))}" for key in different)
        problem = f"was prepared with {was}, not with {now}"
        raise DataError(folder, problem, "Name another folder, or delete this one.")


def check_sources(folder: Path, there: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises DataError naming the first file or scan that has changed since it was prepared."""
    changed = sorted(name for name in now if there.get(name, now[name]) != now[name])
    if changed:
        problem = f"was prepared from other data: {changed[0]} has changed since"
        raise DataError(folder, problem, "Delete this folder, or name another.")


def _short(value: Any) -> str:
    """A setting as it fits on a line; long lists (scans) by their length and hash."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= 80:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"[{len(value)} entries, {digest}]" if isinstance(value, list) else f"{text[:60]}... ({digest})"

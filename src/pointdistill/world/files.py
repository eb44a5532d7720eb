"""Output folders that can be left and taken up again: what lies under its final name is complete, and a folder holds
what its `world.json` says and nothing else."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pointdistill.errors import DataError

RECORD = "world.json"
WORLD_VERSION = 1
"""Raised whenever the same seed gives another room, object, scan or picture, so that two worlds are never mixed."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then give it its name: nobody ever sees half of it."""
    unfinished = path.with_name(path.name + ".partial")
    write(unfinished)
    os.replace(unfinished, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def claim(root: Path, content: Mapping[str, object]) -> None:
    """Record in `root/world.json` what is written to this folder.

    Raises:
        DataError: the folder already holds something else.
    """
    text = json.dumps({"world_version": WORLD_VERSION, **content}, indent=1)
    path = root / RECORD
    if not path.is_file():
        root.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise DataError(
            path,
            "this folder was written with other settings, seeds or another version of the world",
            "Choose another folder, or delete this one to write it anew.",
        )


def read_claim(root: Path) -> dict:
    """What `claim` recorded in a folder.

    Raises:
        DataError: the folder was not written by the world.
    """
    path = root / RECORD
    if not path.is_file():
        raise DataError(path, "no such file: the folder was not written by the world", "Name a folder that was")
    return json.loads(path.read_text(encoding="utf-8"))

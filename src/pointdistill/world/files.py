"""Output folders that can be left and taken up again: a folder holds what its `world.json` says and nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path

from pointdistill.errors import DataError
from pointdistill.files import read_json, write_text

RECORD = "world.json"
WORLD_VERSION = 1
"""Raised whenever the same seed gives another room, object, scan or picture, so that two worlds are never mixed."""


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
        DataError: the folder was not written by the world, or its record is damaged.
    """
    path, remedy = root / RECORD, "Name a folder that was"
    if not path.is_file():
        raise DataError(path, "no such file: the folder was not written by the world", remedy)
    return read_json(path, remedy)

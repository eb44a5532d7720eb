"""Readers with faults, to see that the harness sees them."""

import os
import time
from pathlib import Path

import numpy as np

from fuzzing.targets import Target
from pointdistill.errors import DataError

VALID = b"12345678"


def targets(folder: Path) -> list[Target]:
    """Each has its fault with every file but the valid one."""
    readers = {"raises": _raise, "ponders": _ponder, "hangs": _hang, "hoards": _hoard, "dies": _die}
    readers |= {"says two lines": _say, "refuses": _refuse, "reads": lambda path: None}
    found = []
    for name, read in readers.items():
        path = folder / f"{name}.bin"
        path.write_bytes(VALID)
        found.append(Target(name, (path,), lambda path, read=read: path.read_bytes() == VALID or read(path)))
    return found


def _raise(path: Path) -> None:
    raise KeyError(path.name)


def _ponder(path: Path) -> None:
    while True:
        pass


def _hang(path: Path) -> None:
    time.sleep(1000)


def _hoard(path: Path) -> None:
    np.ones(100_000_000)


def _die(path: Path) -> None:
    os._exit(3)


def _say(path: Path) -> None:
    error = DataError(path, "no", "no")
    error.args = ("one\ntwo",)
    raise error


def _refuse(path: Path) -> None:
    raise DataError(path, "no", "no")

"""Disks that break, or are slow: calls that bring content to the disk fail or take their time.

As a script: `python broken_disk.py SECONDS VERB ...` runs the command on a disk that takes so long for each.
"""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pointdistill.cli import main

CALLS = ("fsync", "replace")


@contextmanager
def _instead(before: Callable[[], None]) -> Iterator[None]:
    """Do something before each of these calls."""
    originals = {name: getattr(os, name) for name in CALLS}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            before()
            return originals[name](*arguments, **options)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


@contextmanager
def breaking(at: int | None = None) -> Iterator[list[int]]:
    """From its `at`-th call on every one fails as a broken disk's does; None: none.

    Yields:
        A list that grows by an entry a call.
    """
    calls: list[int] = []

    def before() -> None:
        calls.append(len(calls))
        if at is not None and len(calls) > at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with _instead(before):
        yield calls


@contextmanager
def slow(seconds: float) -> Iterator[None]:
    """Every call takes so much longer."""
    with _instead(lambda: time.sleep(seconds)):
        yield


if __name__ == "__main__":
    with slow(float(sys.argv[1])):
        main(sys.argv[2:])

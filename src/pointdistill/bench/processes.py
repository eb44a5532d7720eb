"""What only a process of its own can tell: how long it takes to come up, how much memory it comes to own."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import numpy as np

from pointdistill.errors import PointdistillError
from pointdistill.memory import keep_large_blocks, told_by_kernel

Result = TypeVar("Result")


def in_own_process(measure: Callable[..., Result], *arguments: object) -> Result:
    """What a measurement finds in a new process, whose memory no measurement before it has broken into pieces.

    Args:
        measure: of a module's top level.
        arguments: what it is called with.

    Raises:
        PointdistillError: the process died; and whatever the measurement raises.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=keep_large_blocks) as pool:
        try:
            return pool.submit(measure, *arguments).result()
        except BrokenProcessPool as error:
            raise PointdistillError("the process of a measurement died, of too little memory perhaps") from error


def seconds_of(command: list[str], rounds: int) -> float:
    """Median seconds from the start of a process to its end; one round before, which fills the page cache, is not
    counted."""
    taken = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        run(command)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:]))


def run(command: list[str]) -> str:
    """What a Python process prints.

    Args:
        command: after the interpreter: "-c" and code, or "-m" and a module with its arguments.
    """
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        raise PointdistillError(f"a measurement failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def anonymous_memory() -> float:
    """Bytes that this process owns and cannot give back (RssAnon): without pages of files, which the kernel reclaims.
    NaN where the system does not tell."""
    told = told_by_kernel("/proc/self/status", "RssAnon")
    return float("nan") if told is None else told

"""What only a process of its own can tell: how long it takes to come up, how much memory it comes to own."""

import subprocess
import sys
import time

import numpy as np

from pointdistill.errors import PointdistillError
from pointdistill.memory import told_by_kernel


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

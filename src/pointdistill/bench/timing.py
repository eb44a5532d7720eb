"""What the measurements have in common: one core, turns, medians."""

import os
import threading
from collections.abc import Callable, Mapping
from time import perf_counter, process_time
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class Seconds(NamedTuple):
    """Medians of a call."""

    elapsed: float
    """By the clock."""
    own: float
    """The process's own, of all its threads, which leave out what other jobs of the machine took of its cores."""


def in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """Time each once a round, in turns, so that whatever slows the machine slows all; one round before is not counted.

    Args:
        contenders: what to call, by name.
        rounds: at least one.
    """
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            began, began_own = perf_counter(), process_time()
            call()
            own, elapsed = process_time() - began_own, perf_counter() - began
            if number:
                timed[name].append((elapsed, own))
    return {name: Seconds(*np.median(taken, 0).tolist()) for name, taken in timed.items()}


def on_one_core(work: Callable[[], T]) -> T:
    """Do it in a thread that keeps to one core, where the system lets threads be pinned."""
    done: list[T] = []

    def pinned() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # of this thread alone
        done.append(work())

    thread = threading.Thread(target=pinned, name="one-core")
    thread.start()
    thread.join()
    if not done:
        raise RuntimeError("the measurement on one core failed; its traceback is above")
    return done[0]

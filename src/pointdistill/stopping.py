"""Being asked to stop: Ctrl-C, SIGTERM (machines that shut down, batch systems that pre-empt), SIGUSR1 (as batch
systems may announce the end of a job's time).

Training is not cut off in the middle: it looks (`asked`) between two steps, saves, and leaves. Everything else leaves
at once, as with Ctrl-C; what it has finished is kept.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
_TORCHRUN = "TORCHELASTIC_RUN_ID"
"""A variable that torchrun gives to those that it starts."""


class Stopped(KeyboardInterrupt):
    """Somebody asked for the end.

    Args:
        number: of the signal.
        saved: what was saved before leaving, in words; "" for nothing more than what was finished.
    """

    def __init__(self, number: int, saved: str = ""):
        super().__init__(number, saved)
        self.number, self.saved = number, saved

    def __str__(self) -> str:
        name = "interrupted" if self.number == signal.SIGINT else f"stopped by {signal.Signals(self.number).name}"
        return f"{name}{', ' * bool(self.saved)}{self.saved}; the same command goes on where it was"


class _State:
    asked: int | None = None
    within, deferred = False, False
    """In a block that defers; and not in a part of it that is left at once."""
    leaving = False


@contextmanager
def listening(signals: tuple[int, ...] = SIGNALS) -> Iterator[None]:
    """Within the block these signals raise `Stopped`, or wait for who defers them. Only a main thread can listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _heard) for number in signals}
    try:
        yield
    finally:
        _State.asked, _State.leaving = None, False
        for number, handler in before.items():
            signal.signal(number, handler)


def listen_in_worker() -> None:
    """The same in a process that works for another one, which is the one that Ctrl-C reaches: it leaves silently."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in set(SIGNALS) - {signal.SIGINT}:
        signal.signal(number, _heard_in_worker)


@contextmanager
def deferred() -> Iterator[None]:
    """Within the block a signal is kept for who asks; a second one is not."""
    _State.within = _State.deferred = True
    try:
        yield
    finally:
        _State.within = _State.deferred = False


def interruptibly(work: Callable[[], None], before_leaving: Callable[[], None] | None, saved: str) -> None:
    """Do what may take long within a block that defers: it is left at once when somebody asks, or has asked.

    Args:
        work: what is left in the middle.
        before_leaving: then done, undisturbed; None for nothing.
        saved: what `Stopped` says of it.
    """
    try:
        _State.deferred = False
        leave_if_asked()
        work()
    except Stopped as stopped:
        _State.deferred = True
        if before_leaving is not None:
            before_leaving()
        raise Stopped(stopped.number, saved) from None
    finally:
        _State.deferred = True


def listen_no_more() -> None:
    """Who leaves for another reason is not hurried: `listening` hears nothing more."""
    _State.leaving = True


def asked() -> int | None:
    """The number of a signal that was deferred."""
    return _State.asked


def leave_if_asked(saved: str = "") -> None:
    """Raise `Stopped` if a signal was deferred."""
    if _State.asked is not None:
        raise Stopped(_State.asked, saved)


def _heard(number: int, _: FrameType | None) -> None:
    first, _State.asked = _State.asked is None, number
    if _State.leaving or (not first and _TORCHRUN in os.environ):
        return  # torchrun hands on what batch systems send to all processes: twice is no hurry
    if not (first and _State.deferred):
        raise Stopped(number)


def _heard_in_worker(number: int, _: FrameType | None) -> None:
    if not _State.within:
        os._exit(128 + number)
    _State.asked = number
    if not _State.deferred:  # a pool that loses one worker ends the others once more: that does not hurry them
        raise Stopped(number)

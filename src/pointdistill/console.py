"""What a user sees: remarks, answers, and while long work runs progress bars that show rate and time left.

A verb's answer is what was asked for (a caption, a table); a remark is anything else. A person sees both on standard
output. With --quiet there are no remarks and no bars; with --json standard output holds one JSON object, no more.
"""

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
console = Console(highlight=False, emoji=False)
_silent = False


@contextmanager
def speaking(quiet: bool = False, as_json: bool = False) -> Iterator[None]:
    """How this process speaks meanwhile.

    Args:
        quiet: no remarks, no progress; errors, warnings and answers only.
        as_json: whatever a person reads goes to standard error, answers too: the caller prints them as JSON.
    """
    before = console.quiet, console.stderr
    console.quiet, console.stderr = quiet, as_json
    try:
        yield
    finally:
        console.quiet, console.stderr = before


@contextmanager
def silence() -> Iterator[None]:
    """Neither remarks nor answers meanwhile: somebody else speaks for this process."""
    global _silent
    before = console.quiet, _silent
    console.quiet = _silent = True
    try:
        yield
    finally:
        console.quiet, _silent = before


def say(text: str) -> None:
    """A remark of one line, however long; no markup, since it may hold names out of the data."""
    console.print(text, markup=False, soft_wrap=True)


@contextmanager
def answering() -> Iterator[None]:
    """What is printed meanwhile was asked for: it is heard even where remarks are not, unless it goes out as JSON."""
    quiet, console.quiet = console.quiet, console.quiet and (console.stderr or _silent)
    try:
        yield
    finally:
        console.quiet = quiet


def answer(text: str) -> None:
    """A line that was asked for."""
    with answering():
        say(text)


def warn(text: str) -> None:
    """What may make the outcome another than the user thinks; heard like an answer."""
    answer(f"warning: {text}")


def in_json(value: object) -> Any:
    """A verb's answer as JSON has it: paths as text, what is no number as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): in_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | None) else str(value)


def print_json(value: object) -> None:
    """One JSON object on standard output."""
    print(json.dumps(in_json(value), indent=2))


def in_markdown(text: str) -> str:
    """Text out of data or files as a table or paragraph of Markdown holds it: no markup, cell or line of its own."""
    line = " ".join(text.splitlines()).replace("|", "\\|").replace("](", "]\\(")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line)


class _Rate(ProgressColumn):
    """Pieces a second, or seconds a piece."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.3g}/s" if speed >= 1 else f"{1 / speed:.3g} s each", style="progress.data.speed")


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on a terminal; elsewhere (a file, a pipe, CI) nothing but plain lines is printed."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=console.quiet or not console.is_terminal,
    )
    with bars:
        yield bars


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items under a progress bar with the time left."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with progress() as bars:
        task = bars.add_task(escape(description), total=total, note="")  # it may hold names out of the data
        for item in items:
            yield item
            bars.advance(task)

"""What a user sees while long work runs: one console, and progress bars that show rate and time left."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")
console = Console(highlight=False)


def in_markdown(text: str) -> str:
    """Text out of data or files as a table or paragraph of Markdown holds it: no markup, cell or line of its own."""
    line = " ".join(text.splitlines()).replace("|", "\\|").replace("](", "]\\(")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line)


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on a terminal; elsewhere (a file, a pipe, CI) nothing but plain lines is printed."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
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

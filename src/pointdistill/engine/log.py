"""What a training loop tells while it runs: its progress, and a log of one JSON object a line.

The log is cut back to the step a run goes on from: a resumed log equals an uninterrupted one.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from pointdistill.files import write_text

Report = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, a note such as the loss) as training goes on."""


def read_log(path: Path) -> list[dict]:
    """The rows of a log; a half-written last line is left out."""
    rows = []
    if Path(path).exists():
        for line in Path(path).read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


class RunLog:
    """Append rows to `path`; opening keeps the rows up to `resume_step` only."""

    def __init__(self, path: Path, resume_step: int = 0):
        self.path = Path(path)
        kept = [row for row in read_log(self.path) if row["step"] <= resume_step] if resume_step else []
        text = "".join(json.dumps(row) + "\n" for row in kept)
        write_text(self.path, text)

    def write(self, step: int, **values: float | str) -> None:
        """Append one row."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def sync(self) -> None:
        """Wait until the disk has all rows: a checkpoint that follows knows of them."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())

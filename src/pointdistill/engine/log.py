"""A run's log: one JSON object a line, cut back to the resumed step: a resumed log equals an uninterrupted one."""

import json
from pathlib import Path

from pointdistill.engine.checkpoint import write_atomic


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
        write_atomic(self.path, lambda target: target.write_text(text))

    def write(self, step: int, **values: float | str) -> None:
        """Append one row."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

"""A run's log.jsonl, shown by tensorboard or wandb (extras of these names) while it grows.

They are fed from the file and from nothing else: training neither knows nor waits for them, and what they show is what
the log holds. A run that goes on cuts its log back to its checkpoint; so does what follows it here.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from pointdistill.console import warn
from pointdistill.errors import MissingPackage

TrackerName = Literal["tensorboard", "wandb"]
NAMES: tuple[str, ...] = get_args(TrackerName)
_SECONDS = 2.0
"""Between two looks at the log."""


class Tracker:
    """Who shows a run."""

    def __init__(self, run: Path, settings: dict[str, Any]):
        """Raises MissingPackage."""
        raise NotImplementedError

    def begin(self) -> None:
        """Forget what was shown: the log's first row comes next."""

    def show(self, step: int, figures: dict[str, float]) -> None:
        """The numbers of a row."""
        raise NotImplementedError

    def flush(self) -> None:
        """What was shown reaches disk."""

    def end(self) -> None:
        """No row will follow."""


class Tensorboard(Tracker):
    """Event files in the run's folder, below tensorboard/; written anew from the log's first row each time."""

    def __init__(self, run: Path, settings: dict[str, Any]):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackage("--track tensorboard", "tensorboard", "tensorboard") from error
        self._open, self._folder, self._settings = SummaryWriter, run / "tensorboard", settings
        self._writer: Any = None

    def begin(self) -> None:
        self.end()
        for old in self._folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = self._open(str(self._folder))
        self._writer.add_text("settings", f"```json\n{json.dumps(self._settings, indent=2, default=str)}\n```")

    def show(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def end(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Wandb(Tracker):
    """One wandb run for a folder, found again when training goes on; where it sends them is wandb's own setting
    (WANDB_MODE=offline: nowhere). It has no way back: rows up to the last one shown are not shown again."""

    def __init__(self, run: Path, settings: dict[str, Any]):
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise MissingPackage("--track wandb", "wandb", "wandb") from error
        identity = hashlib.sha256(str(run.absolute()).encode()).hexdigest()[:16]
        self._run = wandb.init(
            project="pointdistill", name=run.name, id=identity, resume="allow", dir=str(run), config=settings
        )
        self._shown = self._run.step - 1 if self._run.step else -1

    def show(self, step: int, figures: dict[str, float]) -> None:
        if step > self._shown:
            self._run.log(figures, step=step)
            self._shown = step

    def end(self) -> None:
        self._run.finish()


KINDS: dict[str, type[Tracker]] = {"tensorboard": Tensorboard, "wandb": Wandb}


@contextmanager
def tracked(names: Sequence[str], run: Path, settings: dict[str, Any]) -> Iterator[None]:
    """Show run/log.jsonl by these trackers meanwhile, and all of it once more at the end.

    Args:
        names: of `NAMES`; none: nothing is done.
        run: the folder of a pre-training or fine-tuning.
        settings: what the run was told, shown beside the curves.

    Raises:
        MissingPackage: one of them is not installed.
    """
    if not names:
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        followers = []
        for name in dict.fromkeys(names):
            follower = _Follower(run / "log.jsonl", KINDS[name](run, settings), name)
            opened.callback(follower.finish)
            followers.append(follower)
        over = threading.Event()

        def follow() -> None:
            while not over.wait(_SECONDS):
                for follower in followers:
                    follower.look()

        thread = threading.Thread(target=follow, name="trackers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class _Follower:
    """Reads what is new in a log; a tracker that fails is told of once and left out, since training is worth more."""

    def __init__(self, log: Path, tracker: Tracker, name: str):
        self._log, self._tracker, self._name = log, tracker, name
        self._read, self._seen, self._works = 0, b"", True
        self._attempt(tracker.begin)

    def look(self) -> None:
        self._attempt(self._show_new)

    def finish(self) -> None:
        self._attempt(self._show_new)
        self._attempt(self._tracker.end)

    def _attempt(self, action: Any) -> None:
        if not self._works:
            return
        try:
            action()
        except Exception as error:  # whatever a foreign package raises
            self._works = False
            warn(f"{self._name} shows this run no further: {' '.join(str(error).split()) or type(error).__name__}")

    def _show_new(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            beginning = file.read(len(self._seen))
            size = file.seek(0, 2)
            if beginning != self._seen or size < self._read:  # it was cut back, or is another run's
                self._read, self._seen = 0, b""
                self._tracker.begin()
            file.seek(self._read)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        for line in whole.splitlines():
            row = json.loads(line)
            step = int(row.pop("step"))
            figures = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
            self._tracker.show(step, figures)
        if whole:
            if not self._read:
                self._seen = whole[:200]
            self._read += len(whole)
            self._tracker.flush()

"""Read malformed files in a process of its own, within 2 s of its time and 500 MB more than it had, and tell of all
that ended otherwise than in an answer or a refusal.

    python -m fuzzing.harness --inputs 200000 --seed 0 --keep FOLDER
"""

import argparse
import importlib
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzzing.mutations import mutated
from fuzzing.targets import Target
from pointdistill.console import silence
from pointdistill.errors import PointdistillError

SECONDS, MEMORY = 2, 500_000_000
STUCK = 60
"""Seconds of the clock after which a process that says nothing is ended."""


class TooLong(BaseException):
    """The process's own time was up."""


@dataclass
class Report:
    """What became of the inputs: how many were read and how many refused, by kind; what went wrong, and with which."""

    read: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    faults: list[tuple[str, str, bytes]] = field(default_factory=list)

    def table(self) -> str:
        names = sorted(self.read | self.refused)
        return "\n".join(f"{name:20} read {self.read[name]:7,}  refused {self.refused[name]:7,}" for name in names)


def one(target: Target, number: int, seed: int) -> tuple[str, str, bytes]:
    """Change one file of a kind, read, and put it back: "read", "refused" or what went wrong.

    Which file and which change are the input's number's.
    """
    random = Random(f"{seed} {target.name} {number}")
    path = random.choice(target.files)
    valid = [each.read_bytes() for each in target.files]
    content = valid[target.files.index(path)]
    changed = mutated(content, valid, random)
    path.write_bytes(changed)
    try:
        with warnings.catch_warnings(), silence():
            warnings.simplefilter("ignore")
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            target.read(path)
        return "read", "", changed
    except PointdistillError as error:
        told = str(error)
        return (
            ("refused", "", changed) if "\n" not in told else (f"{target.name}: more than a line: {told}", "", changed)
        )
    except TooLong:
        return f"{target.name}: longer than {SECONDS} s, in {path.name}", traceback.format_exc(), changed
    except BaseException as error:  # what a user would see as a bug
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
        return f"{target.name}: {what}, {path.name}", traceback.format_exc(), changed
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        path.write_bytes(content)


def _worker(kinds: str, names: list[str] | None, first: int, inputs: int, seed: int, folder: str, pipe) -> None:
    """Inputs `first` and after, in turn over the kinds; each outcome is told before the next begins."""

    def up(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, up)
    written = importlib.import_module(kinds).targets(Path(folder))
    asked = [target for target in written if names is None or target.name in names]
    for target in asked:  # as they are, they are read; what is loaded late is loaded now
        target.read(target.files[0])
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    pipe.send(("ready", "", [target.name for target in asked]))
    for number in range(first, inputs):
        target = asked[number % len(asked)]
        pipe.send(("begun", target.name, number))
        pipe.send((target.name, *one(target, number, seed)))
    pipe.send(("done", "", None))


def run(
    inputs: int,
    seed: int = 0,
    names: list[str] | None = None,
    progress: bool = False,
    kinds: str = "fuzzing.targets",
) -> Report:
    """Read so many malformed files; a process that dies or hangs is a fault, and another one goes on after it.

    Args:
        names: of the kinds; None for all.
        kinds: the module whose `targets` writes them.
    """
    report, first, began = Report(), 0, time.monotonic()
    context = multiprocessing.get_context("spawn")
    while first < inputs:
        with tempfile.TemporaryDirectory(prefix="pointdistill-fuzz-") as folder:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_worker, args=(kinds, names, first, inputs, seed, folder, theirs))
            process.start()
            theirs.close()
            first = _follow(ours, report, first, process, began if progress else None)
            process.join()
    return report


def _follow(pipe, report: Report, first: int, process, began: float | None) -> int:
    """Take what a process tells; the number of the input to go on with."""
    name, number, ready = "", first, False
    while True:
        try:
            if not pipe.poll(STUCK):
                process.kill()
                report.faults.append((f"{name}: hangs, input {number}", "", b""))
                return number + 1
            told = pipe.recv()
        except EOFError:
            process.join()
            if not ready:
                raise RuntimeError("the valid files cannot be read; see above") from None
            report.faults.append((f"{name}: the process died ({process.exitcode}), input {number}", "", b""))
            return number + 1
        if told[0] == "ready":
            ready = True
        elif told[0] == "done":
            return number + 1
        elif told[0] == "begun":
            name, number = told[1:]
            if began is not None and number % 5000 == 0 and number > first:
                print(f"{number:,} inputs, {len(report.faults)} faults, {time.monotonic() - began:,.0f} s", flush=True)
        else:
            _, outcome, trace, content = told
            if outcome in ("read", "refused"):
                getattr(report, outcome)[name] += 1
            else:
                report.faults.append((outcome, trace, content))
                if began is not None:
                    print(f"{number:,}: {outcome}\n{trace}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that went wrong")
    parser.add_argument("--only", nargs="*", help="kinds")
    asked = parser.parse_args()
    report = run(asked.inputs, asked.seed, asked.only, progress=True)
    print(report.table())
    kinds = Counter(what for what, _, _ in report.faults)
    for what, count in kinds.most_common():
        print(f"{count:6} x {what}")
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
        for number, (what, trace, content) in enumerate(report.faults):
            (asked.keep / f"{number}.bin").write_bytes(content)
            (asked.keep / f"{number}.json").write_text(json.dumps([what, trace]))
    print(f"{sum(report.read.values()) + sum(report.refused.values()):,} as they should, {len(report.faults)} faults")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()

"""Independent pieces of training on a process pool: each knows its own folder, is never done twice, and shows how far
it is."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from pointdistill.console import progress, say
from pointdistill.files import delete_unfinished
from pointdistill.parallel import local_executor, stop_workers, torch_threads, worker_died

JobFunction = Callable[..., str]
"""Called as `function(folder, report, **arguments)` in a worker process; returns a line about what came out. It leaves
its result in `folder` and finds it there when called again."""


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        name: unique; shown to the user.
        function: a module-level function, see `JobFunction`.
        folder: where its results go.
        arguments: passed by keyword.
        needs: names of jobs that must be done before.
    """

    name: str
    function: JobFunction
    folder: Path
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


class _FileReport:
    """Progress of a job as a small file that the parent reads; written at most twice a second."""

    def __init__(self, folder: Path):
        self.path = folder / "progress.json"
        self.last = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if now - self.last > 0.5 or done == total:
            self.last = now
            self.path.write_text(json.dumps([done, total, note]))


_alone = threading.Lock()
"""A job seeds torch's global generator: threads of one process (a cluster's workers may have several) take turns."""


def _run(job: Job) -> str:
    with _alone, torch_threads(1):
        report = _FileReport(job.folder)
        delete_unfinished(job.folder)
        return job.function(job.folder, report, **job.arguments)


def _poll(folder: Path) -> tuple[int, int, str] | None:
    try:
        done, total, note = json.loads((folder / "progress.json").read_text())
    except (OSError, ValueError):
        return None
    return done, total, note


def run_jobs(
    jobs: Sequence[Job],
    description: str,
    workers: int | None = None,
    executor: Executor | None = None,
    slots: int | None = None,
) -> dict[str, float]:
    """Run jobs as their needs allow, in the order given, one thread each, showing each one's progress and time left.

    Args:
        jobs: what to do; earlier ones start earlier.
        description: of the whole, for the overall bar.
        workers: processes; default the usable cores.
        executor: does the jobs instead of local processes; its workers see the jobs' folders under the same paths.
        slots: how many jobs the executor is given at a time.

    Returns:
        Wall seconds of each job in this call.

    Raises:
        PointdistillError: a job's own error, or a worker that died.
    """
    waiting, running, seconds, done = list(jobs), {}, {}, set()
    bars_of: dict[str, TaskID] = {}
    pool = executor or local_executor(workers)
    size: int = slots or getattr(pool, "_max_workers", 1)
    try:
        with progress() as bars:
            overall = bars.add_task(f"[bold]{description}", total=len(jobs), note="")
            while waiting or running:
                for job in [job for job in waiting if done.issuperset(job.needs)][: size - len(running)]:
                    waiting.remove(job)
                    running[pool.submit(_run, job)] = (job, time.perf_counter())
                    bars_of[job.name] = bars.add_task(f"  {job.name}", total=None, note="")
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                _show(bars, bars_of, running)
                for future in finished:
                    line = future.result()
                    job, began = running.pop(future)
                    seconds[job.name] = time.perf_counter() - began
                    done.add(job.name)
                    bars.remove_task(bars_of.pop(job.name))
                    bars.advance(overall)
                    say(f"  [{len(done)}/{len(jobs)}] {job.name}: {line}")
    except BrokenProcessPool as error:
        raise worker_died(", ".join(job.name for job, _ in running.values())) from error
    except BaseException:
        if executor is None:
            stop_workers(pool)
        for future in running:
            future.cancel()
        raise
    finally:
        if executor is None:
            pool.shutdown(wait=True, cancel_futures=True)
    return seconds


def _show(bars: Progress, bars_of: dict[str, TaskID], running: dict[Future, tuple[Job, float]]) -> None:
    for job, _ in running.values():
        state = _poll(job.folder)
        if state is not None:
            bars.update(bars_of[job.name], completed=state[0], total=state[1], note=state[2])

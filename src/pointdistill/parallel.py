"""A map over independent pieces of work on a standard executor: the local cores unless the caller brings another."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from pointdistill import stopping
from pointdistill.console import track
from pointdistill.errors import PointdistillError
from pointdistill.memory import keep_large_blocks

Item = TypeVar("Item")
Result = TypeVar("Result")


def _start_worker() -> None:
    """One thread a worker, since workers share the cores; when to stop is the parent's to say, and without the parent
    nothing goes on: whoever takes the work up again must find nobody at it."""
    keep_large_blocks()
    import torch

    stopping.listen_in_worker()
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """A fixed number of torch threads within the block: the order of a sum depends on it, and with it the last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_ahead(makers: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """What the makers make, in their order, each in a second thread while the one before it is used."""
    with ThreadPoolExecutor(1, "one-ahead") as ahead:
        pending = None
        for make in makers:
            following = ahead.submit(make)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


def local_executor(workers: int | None = None) -> ProcessPoolExecutor:
    """A pool of local processes, one thread each; `workers` defaults to the number of usable cores."""
    count = workers or usable_cores()
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)


def stop_workers(pool: Executor) -> None:
    """Ask a pool's processes to end: those that train save first, the others leave at once (their files are written
    whole or not at all)."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()


def worker_died(work: str) -> PointdistillError:
    """The error for a worker process that the system ended."""
    return PointdistillError(
        f"a worker process died ({work}): out of memory? Run the same command again, it goes on where it was"
    )


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    description: str,
    workers: int | None = None,
    executor: Executor | None = None,
) -> list[Result]:
    """`[function(item) for item in items]`, in the items' order, on processes, with a progress bar.

    The first exception cancels what has not begun and is raised as it is. `function` and the items must pickle
    (they only travel between this process and its workers; nothing is ever stored that way). With `workers=1` and no
    executor, everything runs in this process. Workers of a given executor are left running, and their deaths are its
    own to explain (`cluster`).
    """
    if executor is None and (workers == 1 or len(items) <= 1):
        return [function(item) for item in track(items, description)]
    pool = executor or local_executor(workers)
    futures = {}
    try:
        futures = {pool.submit(function, item): index for index, item in enumerate(items)}
        results: dict[int, Result] = {}
        for future in track(as_completed(futures), description, total=len(items)):
            results[futures[future]] = future.result()
        return [results[index] for index in range(len(items))]
    except BrokenProcessPool as error:
        raise worker_died(description) from error
    except BaseException:
        if executor is None:
            stop_workers(pool)
        for future in futures:
            future.cancel()
        raise
    finally:
        if executor is None:
            pool.shutdown(cancel_futures=True)

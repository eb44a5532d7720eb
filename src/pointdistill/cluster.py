"""A dask cluster as a standard executor: its workers run on other machines and share the file system."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from typing import Any

from pointdistill.console import say
from pointdistill.errors import PointdistillError

_PATIENCE = 10
"""Seconds in which a scheduler has to answer."""


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """An executor on the workers of a running dask scheduler, for instance tcp://node7:8786.

    A task whose worker dies is given to another one; three such deaths of one task are borne (dask's
    `distributed.scheduler.allowed-failures`), a fourth ends the work. Leaving the block takes back what has not begun.

    Raises:
        PointdistillError: dask is not installed, no scheduler answers there or it was lost, workers die of the same
            task again and again or cannot import this package.
    """
    distributed = _distributed()
    with _quiet():
        client = _connect(distributed, address)
        try:
            if not client.scheduler_info()["workers"]:
                say(f"{address} has no workers yet: waiting for one")
            with _in_one_line(distributed, address):
                yield client.get_executor(pure=False)  # a scan prepared before is no reason not to do it now
        finally:
            client.close(timeout=_PATIENCE)


def worker_count(executor: Executor) -> int:
    """Worker processes of a `cluster_executor` at this moment, at least one."""
    client = executor._client  # type: ignore[attr-defined]
    return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


@contextmanager
def _in_one_line(distributed: Any, address: str) -> Iterator[None]:
    """What can go wrong between here and the workers, as an error for the user."""
    try:
        yield
    except distributed.KilledWorker as error:
        raise PointdistillError(
            f"{error.allowed_failures + 1} workers of {address} died of the same piece of work: out of memory? Look at "
            "the workers' logs and run the same command again, it goes on where it was"
        ) from error
    except (CancelledError, distributed.comm.CommClosedError) as error:
        raise PointdistillError(
            f"the scheduler at {address} was lost. Start it and run the same command again, it goes on where it was"
        ) from error
    except ImportError as error:
        raise PointdistillError(
            f"the workers of {address} cannot import what they need ({error}). Install the same version of "
            "pointdistill there"
        ) from error


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise PointdistillError(
            f"a cluster needs dask ({error}). Install it with pip install 'pointdistill[cluster]'"
        ) from error
    return distributed


def _connect(distributed: Any, address: str) -> Any:
    # Asked by hand first: a client that was made in vain waits for its scheduler once more when it is thrown away.
    try:
        kind = asyncio.run(_kind(distributed, address))
        if kind != "Scheduler":
            raise ValueError(f"what answers is a {kind}")
        return distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except Exception as error:  # whatever a stranger's answer makes of dask's reader
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PointdistillError(
            f"no dask scheduler answers at {address} ({reason}). Start one with `dask scheduler` and give its address, "
            "such as tcp://node7:8786"
        ) from error


async def _kind(distributed: Any, address: str) -> str:
    async with distributed.rpc(address, timeout=_PATIENCE) as other:
        return (await asyncio.wait_for(other.identity(), _PATIENCE))["type"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without dask's own tracebacks of lost connections: what matters of them is said in one line."""
    handlers = logging.getLogger("distributed").handlers
    levels = [handler.level for handler in handlers]
    try:
        for handler in handlers:
            handler.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)

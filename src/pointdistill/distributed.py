"""Training on several processes that torchrun started: who this one is, sums over all of them, one voice for all.

With a single process everything here does nothing: sums are what was given, and no process group exists. Processes hold
equal weights and take equal steps; each computes its share of every batch.
"""

import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pointdistill import stopping
from pointdistill.console import silence
from pointdistill.errors import PointdistillError

_PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others: longer than one of them may be busy with validation and files."""
_TO_SPEAK = 2.0
"""Seconds between the failure of the first process and the end of the others, at which torchrun ends all at once."""
_TO_LOOK = 0.05
"""Seconds between two looks at who has come."""


def started_by_torchrun() -> bool:
    """Whether this is one of several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_active() -> bool:
    """Whether the processes have met (`processes`)."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """This process's number, 0 without others."""
    return dist.get_rank() if is_active() else 0


def ranks() -> int:
    """How many processes there are."""
    return dist.get_world_size() if is_active() else 1


def is_main() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return rank() == 0


def require_device(device: str) -> None:
    """Raise PointdistillError for a device that cannot be used here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise PointdistillError(
            f"device {device!r} cannot be used here ({_first_line(error)}). Choose another --device"
        ) from error


@contextmanager
def processes(device: str) -> Iterator[str]:
    """Meet the other processes that torchrun started, if any (gloo on CPUs, NCCL on GPUs).

    Inside, only the main process prints. When one fails, it alone says why, and the others leave with exit code 2.

    Args:
        device: "cpu", or "cuda" for one GPU a process.

    Yields:
        This process's device: "cuda:1", say, for the second process of a machine.

    Raises:
        PointdistillError: a GPU named by number for several processes, fewer GPUs than processes, or not every process
            came.
    """
    if not started_by_torchrun():
        yield device
        return
    device = _own(device)
    try:
        store, number, count = next(dist.rendezvous("env://", timeout=_PATIENCE))
        store = _of_this_start(store, number, count)
        dist.init_process_group(
            "gloo" if device == "cpu" else "nccl", timeout=_PATIENCE, store=store, rank=number, world_size=count
        )
    except (RuntimeError, ValueError) as error:
        raise PointdistillError(
            f"the processes did not meet ({_first_line(error)}). Start them with torchrun"
        ) from error
    try:
        with silence() if number > 0 else nullcontext():
            yield device
    except stopping.Stopped as stopped:  # all of them were, and leave together
        if number > 0:
            raise SystemExit(128 + stopped.number) from stopped
        raise
    except Exception as error:
        stopping.listen_no_more()  # torchrun asks all to stop once one has failed: that is not why this one leaves
        if _someone_spoke(store):
            time.sleep(_TO_SPEAK)
            raise SystemExit(2) from error
        raise
    finally:
        dist.destroy_process_group()


def _of_this_start(store: Any, number: int, count: int) -> Any:
    """The part of a store that these very processes share: torchrun keeps it when it starts processes again, and where
    the dead ones were to be reached still stands there. (Its count of restarts is not the same on every host.)

    Each writes a word of its own, and whose words it has read, until all have read the same: what holds a living
    process's word was not written by dead ones.
    """
    here, read = ([f"pointdistill {what} {each}" for each in range(count)] for what in ("here", "read"))
    store.set(here[number], secrets.token_hex(8))
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while time.monotonic() < deadline:
        words = b" ".join(store.multi_get(here))
        store.set(read[number], words.decode())
        if set(store.multi_get(read)) == {words}:
            return dist.PrefixStore(hashlib.sha256(words).hexdigest(), store)
        time.sleep(_TO_LOOK)
    raise RuntimeError(f"not all came within {_PATIENCE.total_seconds():.0f} s")


def _own(device: str) -> str:
    kind = torch.device(device)
    if kind.type == "cpu":
        return "cpu"
    if kind.index is not None:
        raise PointdistillError(f"--device {device}: several processes take a GPU each. Use --device {kind.type}")
    number, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= found:
        raise PointdistillError(
            f"--device {device}: process {number} of this machine finds {found} GPUs. Start no more processes than GPUs"
        )
    torch.cuda.set_device(number)
    return f"{kind.type}:{number}"


def _someone_spoke(store: Any) -> bool:
    """Whether another process has failed before this one. The store outlives the processes: torchrun holds it; where it
    is on a host that is not reached any more, an answer would take a quarter of an hour."""
    answers: list[int] = []

    def ask() -> None:
        with suppress(RuntimeError):
            answers.append(store.add("pointdistill failures", 1))

    asking = threading.Thread(target=ask, name="who-spoke", daemon=True)
    asking.start()
    asking.join(_TO_SPEAK)
    return any(answer > 1 for answer in answers)


def _first_line(error: Exception) -> str:
    """What an error says, without where in gloo's sources it was and what gloo advises."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.sub(r"\[/\S+:\d+\] ", "", line).partition(". This is typically")[0].rstrip(".")


def _together(work: Callable[[], object]) -> None:
    """A collective operation; a neighbour that died is said in one line."""
    try:
        work()
    except RuntimeError as error:
        raise PointdistillError(
            f"process {rank()} lost another one ({_first_line(error)}). Run the same command again, it goes on where "
            "it was"
        ) from error


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        _together(lambda: dist.all_reduce(total))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        # Every process's loss depends on every process's values: the gradients add up as the values did.
        return _Sum.apply(gradient)  # type: ignore[return-value]


@cache
def _not_compiled(function: Any) -> Any:
    """The compiler knows no processes. As late as can be: it is imported here, which takes seconds."""
    return torch.compiler.disable(function)


def summed(values: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """The sum over all processes, through which gradients flow back to each."""
    return _not_compiled(_Sum.apply)(values) if is_active() else values


def own_rows() -> slice:
    """Which rows of the whole batch are this process's: every `ranks`-th, as loaders share them."""
    return slice(rank(), None, ranks())


def _all_rows(values: Tensor) -> Tensor:
    count = int(summed(torch.tensor(len(values), device=values.device)))
    rows = values.new_zeros((count, *values.shape[1:]))
    rows[own_rows()] = values
    return summed(rows)


def all_rows(values: Shaped[Tensor, "own *shape"]) -> Shaped[Tensor, "all *shape"]:
    """The rows of all processes, which hold shares of a batch as loaders give them, in the order of the whole batch.
    Gradients flow back to the process that each row came from."""
    return _not_compiled(_all_rows)(values) if is_active() else values


def share(samples: int, device: str) -> float | Float[Tensor, ""]:
    """This process's part of the batch: its samples over those of all. Means weighted by it add up to the mean.

    With others it stays on the device, so that nobody waits for it.
    """
    if not is_active():
        return 1.0
    return samples / summed(torch.tensor(float(samples), dtype=torch.float64, device=device))


def even_share(count: Shaped[Tensor, ""], rows: int) -> Float[Tensor, ""]:
    """What a process divides the sum over its own terms by, where samples have different numbers of them: means of
    processes, weighted by their samples (`share`), then add up to the mean over all terms. One where nobody has a term.

    Args:
        count: this process's terms, on its device, where the answer stays.
        rows: its samples.
    """
    terms, samples = summed(torch.stack([count.double(), count.new_full((), rows, dtype=torch.float64)]))
    return torch.where(terms > 0, rows * terms / samples, 1.0).float()


@torch.no_grad()
def sum_gradients(module: nn.Module) -> None:
    """Add up the gradients of all processes, in one message."""
    if not is_active():
        return
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    flat: Float[Tensor, " numbers"] = torch.cat([gradient.flatten() for gradient in gradients])
    _together(lambda: dist.all_reduce(flat))
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def require_same_step(step: int, device: str) -> None:
    """Whether all processes go on from the same checkpoint.

    Raises:
        PointdistillError: they do not: they do not see the same files.
    """
    if not is_active():
        return
    steps = torch.tensor([step, -step], device=device)
    _together(lambda: dist.all_reduce(steps, dist.ReduceOp.MAX))
    if steps.sum() != 0:
        raise PointdistillError(
            f"process {rank()} finds a checkpoint of step {step}, another one of step {steps[0]}: they see different "
            "output folders. Use a shared file system"
        )


def agreed(number: int | None, device: str) -> int | None:
    """The largest number that a process has, the same for all; None if none has one. The processes wait for it."""
    if not is_active():
        return number
    largest = torch.tensor(number or 0, device=device)
    _together(lambda: dist.all_reduce(largest, dist.ReduceOp.MAX))
    return int(largest) or None


def wait_for_all() -> None:
    """Until every process is here."""
    if is_active():
        _together(dist.barrier)


def gathered(value: Any) -> list[Any]:
    """Every process's value, in the order of their numbers, in every process."""
    if not is_active():
        return [value]
    values: list[Any] = [None] * ranks()
    _together(lambda: dist.all_gather_object(values, value))
    return values

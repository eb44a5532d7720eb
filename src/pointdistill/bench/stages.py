"""Which stage of a training step takes how long, with the backward pass of what ran in it.

Torch's profiler records named ranges around the modules and functions of each stage. An operation belongs to the
innermost range that it ran in; a node of the backward pass to that of the operation that made it.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

REST = "the rest"
_PREFIX = "stage: "
_BACKWARD = "autograd::engine::evaluate_function: "


def seconds_by_stage(
    step: Callable[[], object],
    functions: Mapping[str, Sequence[Callable[..., Any]]],
    modules: Mapping[str, Sequence[nn.Module]],
) -> dict[str, float]:
    """Seconds of one step on the CPU, by stage and `REST`.

    Args:
        step: forward, backward and update, on this thread.
        functions: of the package, by stage: in the measured step each is known under whatever name its callers use.
        modules: the same; a module is measured where it is called as one.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # else the profiler reports its own beginning and end
    with ExitStack() as measured, profile(activities=[ProfilerActivity.CPU]) as profiler:
        for name, members in functions.items():
            for function in members:
                measured.enter_context(_ranged(function, name))
        for name, parts in modules.items():
            for module in parts:
                measured.enter_context(_hooked(module, name))
        with stage(REST):
            step()
    return _by_stage(profiler.events())


def stage(name: str) -> record_function:
    """A range of this name, for what is neither a function nor a module."""
    return record_function(_PREFIX + name)


@contextmanager
def _ranged(function: Callable[..., Any], name: str) -> Iterator[None]:
    """Every module of the package that holds the function holds one with a range instead."""

    @wraps(function)
    def ranged(*args: Any, **kwargs: Any) -> Any:
        with stage(name):
            return function(*args, **kwargs)

    with ExitStack() as patched:
        for path, module in list(sys.modules.items()):
            if path.split(".")[0] == __package__.split(".")[0]:  # type: ignore[union-attr]
                for known, value in list(vars(module).items()):
                    if value is function:
                        patched.enter_context(mock.patch.object(module, known, ranged))
        yield


@contextmanager
def _hooked(module: nn.Module, name: str) -> Iterator[None]:
    open_ranges: list[record_function] = []

    def enter(*_: object) -> None:
        open_ranges.append(stage(name))
        open_ranges[-1].__enter__()

    def leave(*_: object) -> None:
        open_ranges.pop().__exit__(None, None, None)

    hooks = module.register_forward_pre_hook(enter), module.register_forward_hook(leave)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _by_stage(events: Any) -> dict[str, float]:
    taken: dict[str, float] = defaultdict(float)
    makers: dict[int, Any] = {}
    for event in events:
        if event.name.startswith(_PREFIX):
            taken[event.name.removeprefix(_PREFIX)] += _elapsed(event)
            outer = _stage_of(event.cpu_parent)
            if outer is not None:
                taken[outer] -= _elapsed(event)
        elif event.sequence_nr >= 0 and not _in_backward(event):
            # Operations that make no node carry the next one's number; who comes last made it.
            known = makers.get(event.sequence_nr)
            if known is None or event.time_range.start >= known.time_range.start:
                makers[event.sequence_nr] = event
    for event in events:
        if event.name.startswith(_BACKWARD):
            taken[_stage_of(makers.get(event.sequence_nr)) or REST] += _elapsed(event)
            taken[_stage_of(event) or REST] -= _elapsed(event)
    return dict(taken)


def _elapsed(event: Any) -> float:
    return (event.time_range.end - event.time_range.start) / 1e6


def _stage_of(event: Any) -> str | None:
    while event is not None and not event.name.startswith(_PREFIX):
        event = event.cpu_parent
    return None if event is None else event.name.removeprefix(_PREFIX)


def _in_backward(event: Any) -> bool:
    while event is not None:
        if event.name.startswith(_BACKWARD):
            return True
        event = event.cpu_parent
    return False

"""Networks whose sizes and weights both come from files: whether these fit is known before room is made for them."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pointdistill.errors import CheckpointError

Module = TypeVar("Module", bound=nn.Module)


def fitted(
    build: Callable[[], Module],
    settings: object,
    tensors: Mapping[str, Tensor],
    path: Path,
    described: str,
    remedy: str,
) -> Module:
    """What `build` makes, with these weights.

    Args:
        build: makes the network; first where nothing has numbers, so that sizes out of all proportion cost nothing.
        settings: the dataclass that it is made from, or several: no part of it is deeper than there are weights.
        tensors: by name.
        path: the file of the weights, for errors.
        described: the file of the settings, in words.
        remedy: what the user can do.

    Raises:
        CheckpointError: the settings make no network, or another one; or weights that are not finite.
    """
    problem = f"does not fit {described}"
    if any(depth > len(tensors) for depth in _depths(settings)):
        raise CheckpointError(path, problem, remedy)
    try:
        with torch.device("meta"):
            wanted = {name: value.shape for name, value in build().state_dict().items()}
        found = {name: value.shape for name, value in tensors.items()}
        if wanted != found:
            differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            first = differing[0]
            sizes = [None if each is None else tuple(each) for each in (wanted.get(first), found.get(first))]
            problem += f": {len(differing)} tensors differ, first {first} (expected {sizes[0]}, found {sizes[1]})"
            raise CheckpointError(path, problem, remedy)
        require_finite(tensors, path, remedy)
        module = build()
        module.load_state_dict(dict(tensors))
    except (RuntimeError, ValueError, TypeError, ArithmeticError, AssertionError) as error:
        raise CheckpointError(path, f"{problem} ({error})", remedy) from error
    return module


def require_finite(tensors: Mapping[str, Tensor], path: Path, remedy: str) -> None:
    """Raises CheckpointError naming the first weights that are NaN or infinite: all that is said with them would be."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.float().isfinite().all()):
            raise CheckpointError(path, f"holds weights that are NaN or infinite ({name})", remedy)


def _depths(settings: object) -> list[int]:
    if isinstance(settings, tuple):
        return [depth for each in settings for depth in _depths(each)]
    if not dataclasses.is_dataclass(settings):
        return []
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    own = [value for name, value in values.items() if isinstance(value, int) and ("depth" in name or "layers" in name)]
    return own + [depth for value in values.values() for depth in _depths(value)]

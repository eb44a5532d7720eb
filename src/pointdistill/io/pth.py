"""Published .pt and .pth files (`torch.save`): read without running anything that is pickled in them, and compared by
name."""

import argparse
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointdistill.errors import CheckpointError, DataError

_REBUILDERS: tuple[Callable, ...] = (
    np.float64(0).__reduce__()[0],  # type: ignore[assignment]
    np.empty(0).__reduce__()[0],  # type: ignore[assignment]
)
"""What numpy's scalars and arrays are pickled by."""
SAFE_GLOBALS: list[Callable | tuple[Callable, str]] = [
    argparse.Namespace,
    np.ndarray,
    np.dtype,
    # numpy 1 and numpy 2 call the same two functions by different names.
    *((f, f"numpy.{core}.multiarray.{f.__name__}") for f in _REBUILDERS for core in ("core", "_core")),
    # One class for each type of number: an array of objects would need another, and is refused.
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdFD"},
]
"""What a checkpoint may hold beside tensors, text, numbers and containers: the settings of a command line and numpy's
numbers and arrays (3DETR's checkpoints hold both)."""
_UNKNOWN = re.compile(r"(?:global: GLOBAL |[Uu]nsupported (?:class|global|GLOBAL) |but got )(?:<class ')?([\w.]+)")
_REASON = re.compile(r"(?:Weights only load failed.*WeightsUnpickler error:\s*)?([^\n]+)", re.DOTALL)


def read_state_dict(path: str | Path, remedy: str) -> dict[str, Tensor]:
    """The tensors of a file that holds nothing else, by name (`weights_only`).

    Args:
        path: the file.
        remedy: what the user can do where it is not what it should be.

    Raises:
        DataError: no such file.
        CheckpointError: not a file of named tensors alone.
    """
    content = _read(Path(path).expanduser(), remedy)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(path, "not a plain dictionary of named tensors", remedy)
    return dict(content)


def read_checkpoint(path: str | Path, remedy: str) -> Any:
    """What a training checkpoint holds: tensors, plain values, and `SAFE_GLOBALS` (`weights_only` with these let in).

    Args:
        path: the file.
        remedy: what the user can do where it is not what it should be.

    Raises:
        DataError: no such file.
        CheckpointError: no checkpoint, a TorchScript archive, or one that holds anything else, which is named.
    """
    with torch.serialization.safe_globals(SAFE_GLOBALS):  # type: ignore[arg-type]
        return _read(Path(path).expanduser(), remedy)


def _read(path: Path, remedy: str) -> Any:
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped and _is_torchscript(path):
            raise CheckpointError(
                path,
                "a TorchScript archive, which is a program and not a file of tensors",
                "Where you trust it, save its tensors and give that file: "
                "torch.save(torch.jit.load(FILE).state_dict(), NEW)",
            )
        # Mapped into memory, what is not asked for (a language model, while distilling) is never read from the disk.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    except OSError as error:
        raise DataError(path, error.strerror or "cannot be read", remedy) from None
    except Exception as error:  # whatever the unpickler makes of a damaged file
        unknown = _UNKNOWN.search(str(error))
        if unknown:
            problem = f"holds {unknown[1]}, which could run code when it is read: not a file of tensors"
            raise CheckpointError(path, problem, remedy) from error
        said = _REASON.match(str(error).strip())  # without torch's advice to read it unsafely
        reason = said[1][:200].rstrip(".") if said else type(error).__name__
        raise CheckpointError(path, f"not a file of tensors ({reason})", remedy) from error


def _is_torchscript(path: Path) -> bool:
    """Archives of programs hold their code; checkpoints hold data.pkl and tensors alone."""
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2].startswith("code/") for name in archive.namelist())


def require_tensors(
    path: Path, found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], what: str, remedy: str
) -> None:
    """That a file holds exactly the expected tensors.

    Args:
        path: the file, for the error.
        found: shapes by name.
        expected: the same.
        what: what the tensors should be, for the error.
        remedy: what the user can do.

    Raises:
        CheckpointError: missing and unexpected names are listed; or shapes differ.
    """
    missing, unexpected = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or unexpected:
        raise other_names(path, missing, unexpected, what, remedy)
    for name in sorted(expected):
        if tuple(found[name]) != tuple(expected[name]):
            problem = f"not {what}: {name} is {tuple(found[name])} where {tuple(expected[name])} belongs"
            raise CheckpointError(path, problem, remedy)


def other_names(path: Path, missing: set[str], unexpected: set[str], what: str, remedy: str) -> CheckpointError:
    """The error for a file that lacks tensors or has others."""
    lists = {"missing": sorted(missing), "unexpected": sorted(unexpected)}
    said = "; ".join(f"{word} {listed(names)}" for word, names in lists.items() if names)
    return CheckpointError(path, f"not {what}: {said}", remedy)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for an error's line; of very many, the first, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")

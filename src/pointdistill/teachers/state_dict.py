"""Published .pt files: named tensors, read without running anything that is pickled in them, and compared by name."""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pointdistill.errors import CheckpointError, DataError


def read_state_dict(path: str | Path, remedy: str) -> dict[str, Tensor]:
    """The tensors of a .pt file, by name (`weights_only`).

    Args:
        path: the file.
        remedy: what the user can do where it is not what it should be.

    Raises:
        DataError: no such file.
        CheckpointError: not a file of named tensors alone.
    """
    path = Path(path).expanduser()
    try:
        # Mapped into memory, what is not asked for (a language model, while distilling) is never read from the disk.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError as error:
        raise DataError(path, error.strerror or "cannot be read", remedy) from None
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise CheckpointError(path, f"not a file of tensors ({reason})", remedy) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(path, "not a plain dictionary of named tensors", remedy)
    return dict(content)


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

"""Files of ours that are whole or absent: written under another name beside their own, synced, renamed."""

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pointdistill.errors import DataError

T = TypeVar("T")


def write_atomic(path: Path, write: Callable[[Path], T], sync: bool = True) -> T:
    """Let `write` fill a temporary file beside `path`, then rename it; a crash leaves the old file or none.

    Args:
        path: the file; missing folders above it are made.
        write: fills the file it is given. Its suffix is not that of `path`: who looks at names must be given an open
            file (`numpy.savez` appends .npz to a name without it).
        sync: wait until the disk has the content. Leave it out only for files by the thousand that can be made again.

    Returns:
        What `write` returned.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        result = write(temporary)
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return result


def is_temporary(path: Path) -> bool:
    """Whether a killed `write_atomic` left this behind."""
    return path.name.startswith(".") and path.suffix == ".part"


def write_text(path: Path, text: str, sync: bool = True) -> None:
    """Write a text file (UTF-8) atomically."""
    write_atomic(path, lambda target: target.write_text(text, encoding="utf-8"), sync)


def write_bytes(path: Path, content: bytes, sync: bool = True) -> None:
    """Write a file atomically."""
    write_atomic(path, lambda target: target.write_bytes(content), sync)


def write_json(path: Path, value: object, sort_keys: bool = False) -> None:
    """Write JSON atomically, indented; keys in the order given unless sorted."""
    write_text(path, json.dumps(value, indent=1, sort_keys=sort_keys) + "\n")


def read_json(path: Path, remedy: str = "Delete it and run the command again") -> Any:
    """The content of a JSON file of ours.

    Raises:
        DataError: it is not there or damaged; `remedy` says what to do.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(path, "no such file", remedy) from None
    except (OSError, ValueError) as error:
        raise DataError(path, f"is damaged ({error})", remedy) from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = False) -> None:
    """Write named arrays atomically as .npz.

    Raises:
        ValueError: an array of objects, which would be pickled.
    """
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise ValueError(f"{path}: arrays of objects would be pickled: {', '.join(objects)}")

    def write(target: Path) -> None:
        with target.open("wb") as file:
            save = np.savez_compressed if compress else np.savez
            save(file, **arrays)  # type: ignore[arg-type]  # the stub takes any keyword for an option

    write_atomic(path, write)


def read_arrays(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """The named arrays of an .npz file of ours.

    Raises:
        DataError: it is not there or damaged; `remedy` says what to do.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(path, f"not a readable .npz ({error})", remedy) from error

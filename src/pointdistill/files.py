"""Files of ours that are whole or absent: written under another name beside their own, synced, renamed; and folders
that one run at a time writes to."""

import errno
import json
import os
import secrets
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any, TypeVar

import numpy as np
from PIL import Image

from pointdistill.errors import DataError

T = TypeVar("T")
UNREADABLE_ARRAY = (OSError, ValueError, OverflowError, EOFError, SyntaxError, tokenize.TokenError, MemoryError)
"""What numpy raises for files that are no .npy, and for damaged ones."""
_UNREADABLE_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, KeyError)
"""What the standard library raises for damaged zip files, encrypted ones, and ones of kinds it does not know."""
UNREADABLE_IMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What pillow raises for files that are no images, damaged ones, and ones of absurd size."""
LOCK = ".lock"
LONGEST_NAME = 200
"""Characters of a name that data of others give: what file systems take, and room for an ending."""
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow so large (`ulimit -f`, or the file system)",
}
_FAILING = {
    getattr(errno, name)
    for name in ("EIO", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EREMOTEIO", "EHOSTDOWN", "ENOMEDIUM")
    if hasattr(errno, name)
}
"""What systems say of disks that break, and of those of other machines that are not reached any more."""
_CLOSED = {errno.EACCES: "may not be written to", errno.EPERM: "may not be written to", errno.EROFS: "is read-only"}


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
    # Not the process's number alone: a thread, or another machine on the same file system, may write the same file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
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
    """Whether a killed `write_atomic` left this behind, or `exclusive` its lock."""
    return path.name == LOCK or (path.name.startswith(".") and path.suffix == ".part")


def delete_unfinished(folder: Path) -> None:
    """Delete what killed runs were writing into a folder itself, which nobody else may be writing to."""
    for path in folder.iterdir():
        if is_temporary(path) and path.name != LOCK:
            path.unlink(missing_ok=True)


def is_below(name: str) -> bool:
    """Whether a file's name, as data of others give it, stays below the folder that it is looked for in, and is made of
    names that file systems take."""
    parts = PurePath(name).parts
    if not parts or "\0" in name or PurePath(name).is_absolute() or ".." in parts:
        return False
    return all(len(part) <= LONGEST_NAME for part in parts)


def is_plain(name: str) -> bool:
    """Whether a name, as data of others give it, names a file or folder by itself, and leaves room for an ending."""
    return is_below(name) and len(PurePath(name).parts) == 1 and "\\" not in name and len(name) <= LONGEST_NAME


def write_text(path: Path, text: str, sync: bool = True) -> None:
    """Write a text file (UTF-8) atomically."""
    write_atomic(path, lambda target: target.write_text(text, encoding="utf-8"), sync)


def unreadable(path: Path, error: OSError, remedy: str) -> DataError:
    """What is said of a file that cannot be opened."""
    return DataError(path, f"cannot be read ({error})" if path.exists() else "no such file", remedy)


def read_text(path: Path, remedy: str, missing: str | None = None) -> str:
    """The content of a text file (UTF-8).

    Args:
        remedy: says what to do.
        missing: says so of a file that is not there, if anything better can be said than what the system does.

    Raises:
        DataError: it is not there, not readable or in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        problem = f"not a readable text ({error})" if missing is None else missing
        raise DataError(path, problem, remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"not a readable text ({error})", remedy) from error


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
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"is damaged ({error})", remedy) from error


def write_header(file: Any, dtype: str, shape: tuple[int, ...]) -> None:
    """Begin a .npy whose rows follow, in an open file or a member of a zip file."""
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})


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
        with zipfile.ZipFile(path):  # numpy reads what is none as something else
            pass
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        others = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
        if others:
            raise ValueError(f"{others[0][:40]!r} is no array")
        return arrays
    except (*UNREADABLE_ARRAY, *_UNREADABLE_ZIP) as error:
        raise DataError(path, f"not a readable .npz ({error})", remedy) from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Only one run at a time writes to a folder; the lock goes with the process, however that ends. What killed runs
    were writing into the folder itself is deleted.

    Raises:
        DataError: another run holds it, or it is no folder; the disk is full, closed to us, broken or taken away, any
            time in the block.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("a") as file:
            _lock(file, folder)
            delete_unfinished(folder)
            try:
                yield
            except OSError as error:
                if error.errno not in _FULL:
                    _require_same(file, folder, error)
                raise
            _require_same(file, folder)
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError) and not folder.is_dir():
            raise DataError(folder, "is not a folder, or lies below a file", "Name another folder.") from error
        if error.errno in _FULL:
            problem, remedy = _FULL[error.errno], "Make room and run again; what is finished is kept."
            raise DataError(folder, problem, remedy) from error
        where = Path(error.filename or folder)
        if error.errno in _CLOSED and not where.absolute().is_relative_to(folder.absolute()):
            raise DataError(where, "may not be read", "Ask for the right to read it.") from error
        if error.errno in _CLOSED:
            raise DataError(folder, _CLOSED[error.errno], "Name a folder that you may write to.") from error
        if error.errno in _FAILING:
            problem = f"its disk fails ({error.strerror})"
            raise DataError(where, problem, "See to the disk and run again; what is finished is kept.") from error
        raise


def _require_same(lock: IO[str], folder: Path, cause: OSError | None = None) -> None:
    """Raise DataError where a folder is not the one any more whose lock was taken: its disk is gone, or it was deleted;
    what was written since may lie below its name all the same."""
    try:
        if os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in _FAILING:
            raise
        cause = cause or error
    remedy = "Bring its disk back and run again; what was finished there is kept."
    raise DataError(folder, "is gone, or another folder has its name now", remedy) from cause


def _lock(file, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no advisory locks there
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(folder, "another run is writing to it", "Wait for it, or name another folder.") from None

"""Python files of the user's own, named as FILE.py:NAME: loaded by path in each process, mistakes told in a line.

A teacher (`teachers.user`), a recipe with a method or task of its own (`recipes.user`) and the reader of a data set
(`datasets.user`) come this way. Nothing that lies in a run's folder is ever run: who reads a run of such a file back
names the file again.
"""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from pointdistill.errors import DataError, PointdistillError


@dataclass(frozen=True)
class UserCode:
    """Something in a Python file of the user's.

    Attributes:
        file: the file, by its full path.
        name: what in it.
    """

    file: Path
    name: str

    @cached_property
    def described(self) -> dict[str, str]:
        """File name, name, and the hash of the file's content: what cards and manifests say of it.

        Raises:
            DataError: no such file.
        """
        return {"file": self.file.name, "name": self.name, "sha256": hashlib.sha256(_content(self.file)).hexdigest()}

    def load(self) -> Any:
        """What the file calls so; the file is loaded once a process.

        Raises:
            DataError: no such file, an error while it is loaded, or nothing of that name.
        """
        module = load_module(self.file)
        if self.name not in vars(module):
            there = [key for key, value in vars(module).items() if is_own(value, module)]
            raise self.wrong(f"has no {self.name}", f"It has {', '.join(there) or 'nothing of its own'}.")
        return getattr(module, self.name)

    def wrong(self, problem: str, remedy: str = "Mend the file.") -> DataError:
        """The error that something in the file is not what it should be."""
        return DataError(self.file, problem, remedy)

    @contextmanager
    def telling(self, what: str | None = None) -> Iterator[None]:
        """Within the block, an exception that comes from or through the file is raised as a DataError with the line.

        Args:
            what: was being done, for the message; default the name.
        """
        try:
            yield
        except PointdistillError:
            raise
        except Exception as error:
            if not _lines(self.file, error):
                raise
            raise raised(self.file, what or self.name, error, "Mend the file.") from error


def user_code(spec: str, option: str) -> UserCode | None:
    """What FILE.py:NAME names; None where `spec` names no Python file.

    Args:
        spec: as it was given.
        option: for errors, how it was given: "--reader".

    Raises:
        PointdistillError: a file without a name in it.
    """
    file, _, name = spec.rpartition(":")
    if not (file.endswith(".py") or spec.endswith(".py")):
        return None
    if not name.isidentifier():
        raise PointdistillError(f"{option} {spec}: what in that file? Write FILE.py:NAME")
    return UserCode(Path(file).expanduser().absolute(), name)


def load_module(file: Path, remedy: str = "Mend the file.") -> ModuleType:
    """The file as a module, loaded once a process under a name of its own.

    Raises:
        DataError: no such file, or an error while it is loaded.
    """
    name = f"pointdistill_user_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if not file.is_file():
        raise DataError(file, "no such file", "Name a Python file and what in it is meant: FILE.py:NAME.")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise raised(file, "loading it", error, remedy) from error
    return module


def raised(file: Path, what: str, error: Exception, remedy: str) -> DataError:
    """The user's own exception as one line, with the last line of their file that it went through."""
    lines = _lines(file, error)
    place = f"line {lines[-1]}" if lines else None
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return DataError(file, f"{what} raised {said.rstrip('.')}", remedy, place)


def is_own(value: object, module: ModuleType) -> bool:
    """Whether a class or function was made in this module, and not imported into it."""
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _lines(file: Path, error: Exception) -> list[int]:
    """The lines of the file that an exception went through; of a syntax error, where it is."""
    lines = [entry.lineno or 0 for entry in traceback.extract_tb(error.__traceback__) if Path(entry.filename) == file]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        lines.append(error.lineno or 0)
    return lines


def _content(file: Path) -> bytes:
    if not file.is_file():
        raise DataError(file, "no such file", "Name a Python file and what in it is meant: FILE.py:NAME.")
    return file.read_bytes()

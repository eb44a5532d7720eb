"""Weights that lie on the model hub, fetched through huggingface_hub (extra `hub`) when a user names them there.

A source is a file or folder, or OWNER/NAME[@REVISION] on the hub. What is here wins; only where nothing of that name
is, and nothing above it, does anyone ask the network. Files that were fetched before lie in huggingface_hub's cache and
serve without a network. Only the files that are named here are fetched: safetensors and JSON, of one revision.
"""

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple

from pointdistill.errors import DataError, MissingPackage, PointdistillError


class Wanted(NamedTuple):
    """Which files a caller needs of a repository."""

    what: str
    """In words, for errors."""
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()


BACKBONE = Wanted("a backbone", ("backbone.safetensors",), ("backbone.json",))
RUN = Wanted("a finished distillation", ("run.json", "result.json", "method.safetensors"))
MODEL = Wanted("a fine-tuned model", ("model.json", "model.safetensors"))

_NAME = r"[A-Za-z0-9][\w.-]{0,95}"
_HUB_ID = re.compile(rf"({_NAME}/{_NAME})(?:@([\w][\w./-]*))?", re.ASCII)
_ENDINGS = {".safetensors", ".json", ".pth", ".pt", ".npy", ".npz", ".ply"}


class HubError(DataError):
    """Something about a repository of the hub; `path` is its name."""


def hub_id(source: str | Path) -> tuple[str, str | None] | None:
    """The repository and revision that a source names; None where it is a path: something of that name is here, or a
    folder that it would lie in, or it is called as a file is."""
    text = source if isinstance(source, str) else source.as_posix()
    match = _HUB_ID.fullmatch(text)
    if match is None or Path(text).exists() or PurePosixPath(match[1]).suffix in _ENDINGS:
        return None
    if Path(PurePosixPath(text).parts[0]).exists():  # a name that is wrong, in a folder that is there
        return None
    return match[1], match[2]


def located(source: str | Path, *kinds: Wanted, revision: str | None = None) -> Path:
    """Where a source's files are: the path itself, or the folder into which they were fetched from the hub.

    Args:
        source: a file or folder, or OWNER/NAME[@REVISION] on the hub.
        kinds: which files of a repository; of several the first whose first file the repository has.
        revision: a branch, tag or commit; default the source's own, or main.

    Raises:
        HubError: no such repository, revision or file, or the hub cannot be reached and the cache has it not.
        MissingPackage: huggingface_hub is not installed.
    """
    named = hub_id(source)
    if named is None:
        if revision is not None:
            raise DataError(source, "is no OWNER/NAME on the hub, and has no revisions", "Leave revision out")
        return Path(source)
    repository, own = named
    return _fetched(repository, revision or own, kinds)


def _fetched(repository: str, revision: str | None, kinds: Sequence[Wanted]) -> Path:
    hub = huggingface_hub(f"{repository} is no file or folder here; to fetch it from the model hub")
    what = " or ".join(kind.what for kind in kinds)
    for kind in kinds:
        first = _file(hub, repository, kind.files[0], revision, what, optional=kind is not kinds[-1])
        if first is not None:
            folder = first.parent
            for name in (*kind.files[1:], *kind.optional):  # of the same commit, whatever is pushed meanwhile
                _file(hub, repository, name, folder.name, kind.what, name in kind.optional)
            return folder
    raise AssertionError("the last kind's first file is there, or was an error")


def _file(
    hub: ModuleType, repository: str, name: str, revision: str | None, what: str, optional: bool = False
) -> Path | None:
    """A file in the cache, fetched where it is not there; None where the repository has none and it is optional."""
    with in_one_line(repository, revision):
        try:
            return Path(hub.hf_hub_download(repository, name, revision=revision))
        except _errors().EntryNotFoundError as error:
            absent = not isinstance(error, _errors().LocalEntryNotFoundError)
            known = hub.try_to_load_from_cache(repository, name, revision=revision)  # a token where it is known absent
            if optional and (absent or not (known is None or isinstance(known, str))):
                return None
            if not absent:
                raise
            problem = f"holds no {name} on the hub, so it is not {what} of pointdistill"
            raise HubError(repository, problem, "Name another repository or revision") from None


def huggingface_hub(what: str) -> ModuleType:
    """The package huggingface_hub, imported when the first repository is asked for.

    Args:
        what: what it is needed for, for the error.

    Raises:
        MissingPackage: it is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        if error.name not in (None, "huggingface_hub"):
            raise
        raise MissingPackage(what, "huggingface_hub", "hub") from None


@contextmanager
def in_one_line(repository: str, revision: str | None = None) -> Iterator[None]:
    """What goes wrong between here and the hub, as a HubError."""
    errors = _errors()
    try:
        yield
    except PointdistillError:
        raise
    except Exception as error:  # whatever HTTP, its library and the cache's disk raise
        raise HubError(repository, *_said(errors, error, revision)) from error


def _errors() -> Any:
    return importlib.import_module("huggingface_hub.errors")


def _said(errors: Any, error: Exception, revision: str | None) -> tuple[str, str]:
    """What is wrong, and what to do."""
    if isinstance(error, errors.GatedRepoError):
        return "is only for those who accept its terms", "Accept them on its page, and log in (hf auth login)"
    if isinstance(error, errors.RepositoryNotFoundError):
        remedy = "Look at the name; for a private one log in (hf auth login, or HF_TOKEN)"
        return "is neither a path here nor a repository on the hub that you may read", remedy
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision {revision!r} on the hub", "Name a branch, tag or commit of it"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        cause = error.__cause__ or error
        said = "offline mode" if isinstance(cause, errors.OfflineModeIsEnabled) else _sentence(cause)
        return f"is not in the cache, and the hub cannot be reached ({said})", "Look at the connection"
    response = getattr(error, "response", None)
    if response is not None and response.status_code in (401, 403):
        return f"is refused by the hub ({_sentence(error)})", "Log in with a token that may do this (hf auth login)"
    return f"could not be exchanged with the hub ({_sentence(error)})", "Try again; look at the connection"


def _sentence(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".:")[:200]

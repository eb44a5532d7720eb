"""Published models through transformers (extra `[teacher]`): found, loaded whole or refused in a line, and quietly.

A model is a folder, or OWNER/NAME on the model hub. Only the latter uses the network, and only when it is named and no
folder of that name is there; tensors are read, never code (no `trust_remote_code`, pickled files by `weights_only`).
"""

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pointdistill.errors import CheckpointError, DataError, MissingPackage
from pointdistill.io.pth import listed

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def transformers() -> ModuleType:
    """The package transformers, imported when the first of its models is asked for (it takes seconds).

    Raises:
        MissingPackage: it is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Beside a checkpoint without safetensors, transformers would ask a service on the hub to convert it.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        if error.name not in (None, "transformers"):
            raise
        raise MissingPackage("this teacher", "transformers", "teacher") from None


def source_of(model: str, what: str) -> tuple[str, bool]:
    """Where a model is to be read from: (folder or hub id, whether it is a folder).

    Args:
        model: a folder, or OWNER/NAME on the hub.
        what: what the model is, for the error.

    Raises:
        DataError: neither.
    """
    if Path(model).expanduser().is_dir():
        return str(Path(model).expanduser().absolute()), True
    if _HUB_ID.fullmatch(model):
        return model, False
    raise DataError(model, f"no such folder ({what})", "Name a folder, or OWNER/NAME on the model hub.")


def load_settings(kind: Any, model: str, what: str, **options: Any) -> Any:
    """What stands beside a network: a configuration, an image processor, a tokenizer.

    Args:
        kind: a class of transformers that has `from_pretrained`.
        model: as `source_of` takes it.
        what: what is looked for, for errors.
        options: handed on.

    Raises:
        DataError: no such folder; the files are not there, cannot be read or (hub) not be fetched.
    """
    source, local = source_of(model, what)
    with _quiet():
        try:
            # Else transformers asks on the terminal whether to run a folder's own code.
            return kind.from_pretrained(source, local_files_only=local, trust_remote_code=False, **options)
        except Exception as error:  # whatever transformers raises about files that are not what it expects
            remedy = "Look at the folder." if local else "Look at the name and the connection, or name a folder."
            raise DataError(source, f"not readable as {what} ({_first_sentence(error)})", remedy) from error


def load_network(kind: Any, model: str, what: str, optional: str = "(?!)", **options: Any) -> tuple[Any, list[str]]:
    """A network with all its tensors, as float32; arguments and errors as in `load_settings`.

    Args:
        optional: a regular expression for names of tensors that may be missing.

    Returns:
        The network, and the optional tensors that were missing: they hold random numbers.

    Raises:
        CheckpointError: tensors are missing or have other shapes, which transformers would fill with random numbers.
    """
    network, report = load_settings(kind, model, what, output_loading_info=True, **options)
    absent = sorted(name for name in report["missing_keys"] if re.fullmatch(optional, name))
    wrong = [*sorted({*report["missing_keys"]} - {*absent}), *(str(entry[0]) for entry in report["mismatched_keys"])]
    if wrong:
        problem = f"lacks {len(wrong)} tensors of {what}, or has them in other shapes: {listed(wrong)}"
        raise CheckpointError(model, problem, "Name a complete checkpoint of that kind.")
    return network.float(), absent


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".")[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' warnings and bars: what matters of them is raised above."""
    logging = transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()

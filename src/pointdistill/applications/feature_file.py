"""Features of any number of clouds, written as they come: a file's size may exceed the memory's."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointdistill.applications.embed import Embedding
from pointdistill.files import write_atomic, write_header

_ARRAYS = ("tokens", "centres", "pooled")


def write_features(out: Path, features: Iterable[Embedding], names: Sequence[str]) -> None:
    """Write features of clouds, whole or not at all.

    Args:
        out: .npz for tokens, centres, pooled and names, one row a cloud; .npy for pooled alone.
        features: of as many clouds as there are names.
        names: of the clouds.
    """
    write = _write_npz if out.suffix == ".npz" else _write_pooled
    write_atomic(out, lambda target: write(target, features, names))


def _write_pooled(target: Path, features: Iterable[Embedding], names: Sequence[str]) -> None:
    with target.open("wb") as file:
        for number, one in enumerate(features):
            _append(file, number, one.pooled, len(names))


def _write_npz(target: Path, features: Iterable[Embedding], names: Sequence[str]) -> None:
    """A zip file takes one array after the other: the first, by far the largest, goes straight into it."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}", dir=target.parent) as folder:
        later = {name: (Path(folder) / name).open("wb+") for name in _ARRAYS[1:]}
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            with archive.open(f"{_ARRAYS[0]}.npy", "w", force_zip64=True) as first:
                for number, one in enumerate(features):
                    for name, file in {_ARRAYS[0]: first, **later}.items():
                        _append(file, number, getattr(one, name), len(names))
            for name, file in later.items():
                file.seek(0)
                with file, archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    shutil.copyfileobj(file, member)
            with archive.open("names.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.array(names), allow_pickle=False)


def _append(file: Any, number: int, row: np.ndarray, count: int) -> None:
    """A row of an array of so many rows, to an open file or member of a zip file; its header before the first."""
    if number == 0:
        write_header(file, str(row.dtype), (count, *row.shape))
    file.write(np.ascontiguousarray(row).tobytes())

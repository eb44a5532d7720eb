"""Whose targets a store holds: targets/<teacher>-<12 digits of its weights' hash>/, one folder a teacher.

Each has a manifest of its own, written last, and is valid only with the frames it was made from.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointdistill import manifest
from pointdistill.errors import DataError

FOLDER = "targets"
ARRAY = "targets.npy"
DTYPE = "float16"


def folder_of(store: Path, teacher: Mapping[str, Any]) -> Path:
    """Where a store keeps the targets of a teacher, which is described by its identity and weights_hash."""
    digits = re.sub(r"[^0-9A-Za-z]", "-", teacher["weights_hash"][:12])  # a class of a user's may call it anything
    return store / FOLDER / f"{slug(teacher['identity'])}-{digits}"


def slug(identity: str) -> str:
    """An identity as a part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", identity.lower()).strip("-.")[:60] or "teacher"


def finished(store: Path) -> list[Path]:
    """The folders of all finished targets of a store, sorted."""
    return sorted(entry for entry in (store / FOLDER).glob("*") if manifest.is_there(entry))


def choose(store: Path, wanted: str | None = None) -> Path:
    """The folder of one teacher's finished targets.

    Args:
        wanted: an identity, its slug, the folder's name, or the beginning of one that fits a single teacher. None takes
            the only one there.

    Raises:
        DataError: no targets, none of this teacher, or those of several; what is there is listed.
    """
    found = finished(store)
    if not found:
        problem = "holds no finished targets of a teacher: preparation did not finish"
        raise DataError(store, problem, "Run the preparation with this folder again; it keeps what is finished.")
    fitting = found if wanted is None else _fitting(found, wanted)
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        remedy = "Name one of these, or prepare the store with that teacher too."
        raise DataError(store, f"holds no targets of the teacher {wanted}, only of {_listed(found)}", remedy)
    what = "several teachers" if wanted is None else f"several teachers that {wanted} may mean"
    remedy = "Say which: --teacher, in Python FrameStore.open(path, teacher=...)."
    raise DataError(store, f"holds targets of {what}: {_listed(fitting)}", remedy)


def _fitting(found: list[Path], wanted: str) -> list[Path]:
    names = {folder: (manifest.read(folder)["teacher"]["identity"], folder.name) for folder in found}
    exact = [folder for folder, (identity, name) in names.items() if wanted in (identity, slug(identity), name)]
    return exact or [folder for folder in found if any(name.startswith(wanted) for name in names[folder])]


def _listed(folders: list[Path]) -> str:
    return ", ".join(folder.name for folder in folders)

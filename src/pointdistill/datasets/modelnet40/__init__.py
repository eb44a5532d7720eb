"""ModelNet40 in the three forms in which it is published: points as text, points as HDF5, meshes."""

from pathlib import Path

from pointdistill.datasets.modelnet40 import hdf5, meshes, text
from pointdistill.datasets.modelnet40.classes import CLASSES, GET
from pointdistill.datasets.objects import ObjectSet, ObjectSource, Up, read_objects
from pointdistill.errors import DataError

__all__ = ["CLASSES", "is_modelnet40", "modelnet40", "read_modelnet40"]

_FORMS = ((text.is_here, text.TextFiles), (hdf5.is_here, hdf5.Hdf5Files), (meshes.is_here, meshes.Meshes))


def is_modelnet40(root: Path) -> bool:
    """Whether a folder is any of the three."""
    return any(is_here(root) for is_here, _ in _FORMS)


def modelnet40(root: str | Path) -> ObjectSource:
    """The shapes of a folder, by what it holds.

    Raises:
        DataError: no such folder, or none of the three forms.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(root, "no such ModelNet40 folder", GET)
    form = next((form for is_here, form in _FORMS if is_here(root)), None)
    if form is None:
        looked_for = "modelnet40_SPLIT.txt, SPLIT_files.txt, CLASS/train/*.off"
        raise DataError(root, f"holds no ModelNet40 (looked for {looked_for})", GET)
    return form(root)


def read_modelnet40(root: str | Path, split: str, points: int | None = None, up: Up = "z") -> ObjectSet:
    """Read one split.

    Args:
        root: the data set's folder, in any of its forms.
        split: "train" or "test" (text: any modelnet40_SPLIT.txt; HDF5: any SPLIT_files.txt; meshes: any CLASS/SPLIT).
        points: text and HDF5: take the first so many of each shape (their order is that of farthest point sampling or
            random); None takes all, and then all shapes must hold equally many. Meshes: draw so many from each surface,
            10,000 unless given.
        up: the axis that is up in what is returned.

    Raises:
        DataError: a missing folder, list or shape, an unknown class, or a bad line, with file and line or row.
        MissingPackage: the folder is HDF5, and h5py is not installed.
    """
    return read_objects(modelnet40(root), split, points, up)

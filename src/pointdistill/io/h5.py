"""Arrays of HDF5 files, for data sets that are published in them; needs the extra `data`."""

from pathlib import Path

import numpy as np

from pointdistill.errors import DataError, MissingPackage

_AGAIN = "Unpack it again from the data set's archive."


def read_h5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named arrays of an HDF5 file, whole.

    Raises:
        MissingPackage: h5py is not installed.
        DataError: no such file, no HDF5 file, a damaged one, or one without such an array of numbers.
    """
    try:
        import h5py
    except ImportError:
        raise MissingPackage(f"{path}: an HDF5 file", "h5py", "data") from None
    if not path.is_file():
        raise DataError(path, "no such file", _AGAIN)
    try:
        with h5py.File(path, "r") as file:
            found = {name: file[name] for name in names if name in file}
            arrays = {name: value[()] for name, value in found.items() if isinstance(value, h5py.Dataset)}
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise DataError(path, f"not a readable HDF5 file ({error})", _AGAIN) from None
    for name in names:
        if name not in arrays or arrays[name].dtype.kind not in "fiub":
            raise DataError(path, f"holds no array of numbers {name!r}", "Use the file that the data set publishes.")
    return arrays

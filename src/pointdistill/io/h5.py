"""Arrays of HDF5 files, for data sets that are published in them; needs the extra `data`."""

from pathlib import Path

import numpy as np

from pointdistill.errors import DataError, MissingPackage

_AGAIN = "Unpack it again from the data set's archive."
_PACKED = 1100
"""Bytes that one byte of a file can stand for: deflate packs 1,032 to one."""
_SMALL = 1 << 20
"""Bytes of an array that nobody asks about."""


def read_h5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named arrays of an HDF5 file, whole.

    Links and arrays that lead into other files are refused: a file can name any that its reader may read.

    Raises:
        MissingPackage: h5py is not installed.
        DataError: no such file, no HDF5 file, a damaged one, one without such an array of numbers, one whose array is
            kept elsewhere, or declares more numbers than the file can hold.
    """
    try:
        import h5py
    except ImportError:
        raise MissingPackage(f"{path}: an HDF5 file", "h5py", "data") from None
    if not path.is_file():
        raise DataError(path, "no such file", _AGAIN)
    try:
        with h5py.File(path, "r") as file:
            links = {name: file.get(name, getlink=True) for name in names}
            elsewhere = [name for name, link in links.items() if isinstance(link, h5py.ExternalLink | h5py.SoftLink)]
            found = {name: file[name] for name, link in links.items() if isinstance(link, h5py.HardLink)}
            stored = {name: value for name, value in found.items() if isinstance(value, h5py.Dataset) and value.shape}
            elsewhere += [name for name, value in stored.items() if value.external or value.is_virtual]
            if elsewhere:
                problem = f"its {elsewhere[0]!r} is a link, or is kept in another file"
                raise DataError(path, problem, "Use the file that the data set publishes.")
            for name, value in stored.items():
                if value.nbytes > _SMALL + _PACKED * value.id.get_storage_size():
                    problem = f"its {name!r} declares {value.nbytes:,} bytes, which the file does not hold"
                    raise DataError(path, problem, _AGAIN)
            arrays = {name: value[()] for name, value in stored.items()}
    except (OSError, KeyError, RuntimeError, ValueError, MemoryError) as error:
        raise DataError(path, f"not a readable HDF5 file ({error})", _AGAIN) from None
    for name in names:
        if name not in arrays or arrays[name].dtype.kind not in "fiub":
            raise DataError(path, f"holds no array of numbers {name!r}", "Use the file that the data set publishes.")
    return arrays

"""Points of .las surveys (ASPRS LAS 1.0 to 1.4, https://www.asprs.org/las): coordinates alone, which lie at the same
place in every format of a point. Compressed ones (.laz) are refused."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointdistill.errors import DataError
from pointdistill.files import unreadable

_AGAIN = "Copy it again."
_HEADER = 227
"""Bytes of the shortest header."""
_LONG_HEADER = 375
"""Bytes of that of LAS 1.4, which counts points anew."""
_COMPRESSED = 0xC0
"""Bits of a point format's number that say so."""


def read_las(path: Path) -> Float64[np.ndarray, "points 3"]:
    """The points of a survey, in its units, in double precision: they are millions of metres from the origin.

    Raises:
        DataError: no such file, another format, a compressed one, or one that declares more points than it holds.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_LONG_HEADER)
    except OSError as error:
        raise unreadable(path, error, _AGAIN) from None
    if len(header) < _HEADER or header[:4] != b"LASF":
        raise DataError(path, "does not begin as a survey", "Give a .las file.")
    (begin,) = struct.unpack_from("<I", header, 96)
    kind, width, count = struct.unpack_from("<BHI", header, 104)
    scale_and_offset = np.frombuffer(header, "<f8", 6, 131).reshape(2, 3)
    if tuple(header[24:26]) >= (1, 4) and len(header) == _LONG_HEADER:
        (count,) = struct.unpack_from("<Q", header, 247)
    if kind & _COMPRESSED:
        raise DataError(path, "is compressed", "Write it as .las, with laszip or PDAL.")
    if width < 12 or not np.isfinite(scale_and_offset).all():
        raise DataError(path, "its header is not that of a survey", _AGAIN)
    size = path.stat().st_size
    if begin + count * width > size:
        raise DataError(path, f"declares {count:,} points of {width} bytes in {size:,} bytes", _AGAIN)
    if not count:
        return np.zeros((0, 3))
    rows = np.memmap(path, np.uint8, "r", begin, (count, width))[:, :12]
    scale, offset = scale_and_offset
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(rows).view("<i4") * scale + offset

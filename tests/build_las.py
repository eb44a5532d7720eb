"""Surveys as others write them: ASPRS LAS 1.2 and 1.4, from the format's tables of its header and of point format 3."""

import struct
from pathlib import Path

import numpy as np


def write_las(path: Path, points: np.ndarray, minor: int = 2, offset=(0.0, 0.0, 0.0), scale=0.001) -> None:
    """Millimetres, unless told."""
    count, size = len(points), 375 if minor == 4 else 227
    header = bytearray(size)
    header[:4] = b"LASF"
    header[24:26] = bytes([1, minor])
    struct.pack_into("<HII", header, 94, size, size, 0)  # of the header, to the points, further records
    struct.pack_into("<BHI", header, 104, 3, 34, 0 if minor == 4 else count)
    struct.pack_into("<6d", header, 131, scale, scale, scale, *offset)
    if minor == 4:
        struct.pack_into("<Q", header, 247, count)
    rows = np.zeros(count, np.dtype([("place", "<i4", 3), ("others", "u1", 22)]))
    rows["place"] = np.round((points - np.asarray(offset)) / scale)
    path.write_bytes(bytes(header) + rows.tobytes())

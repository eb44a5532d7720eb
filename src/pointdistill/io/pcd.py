"""Point clouds as the Point Cloud Library keeps them (.pcd, https://pointclouds.org/documentation/tutorials/pcd_file_format.html):
as text, binary, or binary and compressed."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointdistill.errors import DataError
from pointdistill.files import unreadable

_AGAIN = "Write it again with the Point Cloud Library or Open3D."
_LINES = 64
"""Lines in which a header ends."""
_LONGEST_LINE = 1 << 16
_KINDS = {"F": "f", "I": "i", "U": "u"}
_PACKED = 100
"""Bytes that one byte of LZF can stand for: 264 take three."""


@dataclass(frozen=True)
class _Layout:
    """What a header declares.

    Attributes:
        count: of points.
        names: of the numbers of a point; "" where a field has several.
        kinds: theirs.
        places: in which byte of a point each begins.
        size: bytes of a point.
        kept: ascii, binary or binary_compressed.
    """

    count: int
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    places: tuple[int, ...]
    size: int
    kept: str


def read_pcd(path: Path) -> Float64[np.ndarray, "points 3"]:
    """The points of a .pcd file. Where nothing was measured coordinates are NaN, by this format's custom.

    Raises:
        DataError: no such file, another format, one that ends early, or one without x, y and z.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error, _AGAIN) from None
    layout, body = _header(path, content)
    missing = [axis for axis in "xyz" if axis not in layout.names]
    if missing:
        raise DataError(path, f"has no field {missing[0]}", "Give a cloud with x, y and z.")
    axes = [layout.names.index(axis) for axis in "xyz"]
    if layout.kept == "ascii":
        return _of_text(path, body, layout, axes)
    kinds, places = [layout.kinds[axis] for axis in axes], [layout.places[axis] for axis in axes]
    if layout.kept == "binary":
        point = np.dtype({"names": list("xyz"), "formats": kinds, "offsets": places, "itemsize": layout.size})
        rows = np.frombuffer(_first(path, body, layout.count * layout.size), point)
        columns = [rows[axis] for axis in "xyz"]
    else:  # field after field: all x, then all y
        content = _unpacked(path, body, layout)
        columns = [
            np.frombuffer(content, kind, layout.count, layout.count * place)
            for kind, place in zip(kinds, places, strict=True)
        ]
    return np.stack(columns, 1).astype(np.float64)


def _header(path: Path, content: bytes) -> tuple[_Layout, bytes]:
    """What a header says, and all that follows it."""
    words: dict[str, list[str]] = {}
    begin = 0
    for number in range(1, _LINES + 1):
        end = content.find(b"\n", begin, begin + _LONGEST_LINE)
        if end < 0:
            break
        first, *others = content[begin:end].decode("ascii", "replace").split("#")[0].split() or [""]
        words[first.upper()] = others
        begin = end + 1
        if first.upper() == "DATA":
            return _layout(path, words, f"line {number}"), content[begin:]
    raise DataError(path, "does not begin as a .pcd file", "Give a cloud of the Point Cloud Library.", "line 1")


def _layout(path: Path, words: dict[str, list[str]], place: str) -> _Layout:
    try:
        fields = words["FIELDS"]
        sizes = [int(word) for word in words["SIZE"]]
        counts = [int(word) for word in words.get("COUNT", ["1"] * len(fields))]
        kinds = [f"<{_KINDS[kind]}{size}" for kind, size in zip(words["TYPE"], sizes, strict=True)]
        points = int(words["POINTS"][0]) if "POINTS" in words else int(words["WIDTH"][0]) * int(words["HEIGHT"][0])
        kept = words["DATA"][0].lower()
        if kept not in ("ascii", "binary", "binary_compressed") or points < 0 or min(counts) < 1 or max(counts) > 4096:
            raise ValueError
        names, each, places, size = [], [], [], 0
        for name, kind, count in zip(fields, kinds, counts, strict=True):
            names += [name if count == 1 else "", *[""] * (count - 1)]
            each += [kind] * count
            places += [size + number * np.dtype(kind).itemsize for number in range(count)]
            size += count * np.dtype(kind).itemsize
    except (KeyError, ValueError, IndexError, TypeError):
        raise DataError(path, "its header is not that of a .pcd file", _AGAIN, place) from None
    return _Layout(points, tuple(names), tuple(each), tuple(places), size, kept)


def _first(path: Path, body: bytes, size: int) -> bytes:
    if len(body) < size:
        raise DataError(path, f"ends after {len(body):,} of {size:,} bytes", _AGAIN)
    return body[:size]


def _of_text(path: Path, body: bytes, layout: _Layout, axes: list[int]) -> Float64[np.ndarray, "points 3"]:
    lines = [line for line in body.decode("ascii", "replace").splitlines() if line.strip()][: layout.count]
    if len(lines) < layout.count:
        raise DataError(path, f"ends after {len(lines):,} of {layout.count:,} points", _AGAIN)
    if not lines:
        return np.zeros((0, 3))
    try:
        return np.loadtxt(lines, np.float64, comments=None, usecols=axes, ndmin=2)
    except ValueError as error:
        raise DataError(path, f"a line of a point cannot be read ({error})", _AGAIN) from None


def _unpacked(path: Path, body: bytes, layout: _Layout) -> bytes:
    packed, size = struct.unpack("<II", _first(path, body, 8))
    if size != layout.count * layout.size or size > _PACKED * packed:
        raise DataError(path, f"declares {size:,} bytes, which are not those of its points", _AGAIN)
    try:
        return _lzf(_first(path, body[8:], packed), size)
    except (ValueError, IndexError):
        raise DataError(path, "its compressed points are damaged", _AGAIN) from None


def _lzf(packed: bytes, size: int) -> bytes:
    """What LibLZF has packed: runs of bytes as they are, and references to bytes before.

    Raises:
        ValueError, IndexError: damaged, or of another size.
    """
    out, at = bytearray(), 0
    while at < len(packed):
        control = packed[at]
        at += 1
        if control < 32:
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += packed[at]
            at += 1
        begin = len(out) - ((control & 31) << 8) - packed[at] - 1
        at += 1
        if begin < 0:
            raise ValueError("a reference to before the beginning")
        length += 2
        told = out[begin : begin + length]
        out += (told * (length // len(told) + 1))[:length]
        if len(out) > size:
            break
    if len(out) != size:
        raise ValueError("another size")
    return bytes(out)

"""Point clouds as the Point Cloud Library keeps them (.pcd, https://pointclouds.org/documentation/tutorials/pcd_file_format.html):
as text, binary, or binary and compressed."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointdistill.errors import DataError

_AGAIN = "Write it again with the Point Cloud Library or Open3D."
_LINES = 64
"""Lines in which a header ends."""
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
        raise DataError(path, "no such file" if not path.exists() else f"cannot be read ({error})", _AGAIN) from None
    layout, body = _header(path, content)
    missing = [axis for axis in "xyz" if axis not in layout.names]
    if missing:
        raise DataError(path, f"has no field {missing[0]}", "Give a cloud with x, y and z.")
    axes = [layout.names.index(axis) for axis in "xyz"]
    if layout.kept == "ascii":
        return _of_text(path, body, layout, axes)
    if layout.kept == "binary":
        packed = np.frombuffer(_first(path, body, layout.count * layout.size), np.uint8)
        rows = packed.reshape(layout.count, layout.size)
        columns = [rows[:, place : place + np.dtype(kind).itemsize] for place, kind in _of(layout, axes)]
    else:
        # Field after field: all x, then all y.
        packed = np.frombuffer(_unpacked(path, body, layout), np.uint8)
        widths = [np.dtype(kind).itemsize for _, kind in _of(layout, axes)]
        starts = [layout.count * place for place, _ in _of(layout, axes)]
        columns = [
            packed[start : start + layout.count * width].reshape(layout.count, width)
            for start, width in zip(starts, widths, strict=True)
        ]
    numbers = [
        np.ascontiguousarray(column).view(kind)[:, 0]
        for column, (_, kind) in zip(columns, _of(layout, axes), strict=True)
    ]
    return np.stack(numbers, 1).astype(np.float64)


def _of(layout: _Layout, axes: list[int]) -> list[tuple[int, str]]:
    return [(layout.places[axis], layout.kinds[axis]) for axis in axes]


def _header(path: Path, content: bytes) -> tuple[_Layout, bytes]:
    """What a header says, and all that follows it."""
    words: dict[str, list[str]] = {}
    rest = content
    for number in range(1, _LINES + 1):
        line, ended, rest = rest[: 1 << 16].partition(b"\n")[0], b"\n" in rest[: 1 << 16], rest.partition(b"\n")[2]
        if not ended:
            break
        first, *others = line.decode("ascii", "replace").split("#")[0].split() or [""]
        words[first.upper()] = others
        if first.upper() == "DATA":
            return _layout(path, words, f"line {number}"), rest
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

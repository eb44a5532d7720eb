"""Clouds of the Point Cloud Library, in each of its forms."""

import random
import struct

import numpy as np
import pytest

from pointdistill.applications.clouds import read_cloud
from pointdistill.errors import DataError
from pointdistill.io.pcd import _lzf

HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z intensity _ label
SIZE 4 4 8 2 1 4
TYPE F F F U U I
COUNT 1 1 1 1 3 1
WIDTH {width}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {kept}
"""
KIND = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f8"), ("i", "<u2"), ("pad", "u1", 3), ("label", "<i4")])


def rows(count=40):
    generator = np.random.default_rng(0)
    found = np.zeros(count, KIND)
    for name in "xyz":
        found[name] = generator.normal(size=count)
    found["i"], found["label"], found["x"][1] = 7, -3, np.nan
    return found


def expected(found):
    return np.stack([found[axis].astype(np.float64) for axis in "xyz"], 1)


def header(kept, count=40):
    return HEADER.format(width=count, points=count, kept=kept).encode()


def packed(content):
    """LZF by a slow packer: three bytes or more that were there before become a reference."""
    out, at, literal = bytearray(), 0, bytearray()

    def flush():
        for begin in range(0, len(literal), 32):
            part = literal[begin : begin + 32]
            out.extend([len(part) - 1, *part])
        literal.clear()

    while at < len(content):
        best, where = 0, 0
        for begin in range(max(0, at - 8191), at):
            length = 0
            while length < 264 and at + length < len(content) and content[begin + length] == content[at + length]:
                length += 1
            if length > best:
                best, where = length, begin
        if best < 3:
            literal.append(content[at])
            at += 1
            continue
        flush()
        back, length = at - where - 1, best - 2
        if length < 7:
            out.extend([(length << 5) | (back >> 8), back & 255])
        else:
            out.extend([(7 << 5) | (back >> 8), length - 7, back & 255])
        at += best
    flush()
    return bytes(out)


def body(found, kept):
    if kept == "ascii":
        words = [
            f"{float(row['x'])!r} {float(row['y'])!r} {float(row['z'])!r} {row['i']} 0 0 0 {row['label']}\n"
            for row in found
        ]
        return "".join(words).encode()
    if kept == "binary":
        return found.tobytes()
    fields = b"".join(np.ascontiguousarray(found[name]).tobytes() for name in KIND.names)
    small = packed(fields)
    return struct.pack("<II", len(small), len(fields)) + small


@pytest.mark.parametrize("kept", ["ascii", "binary", "binary_compressed"])
def test_each_form(tmp_path, kept):
    path = tmp_path / "a.pcd"
    path.write_bytes(header(kept) + body(rows(), kept))
    np.testing.assert_array_equal(read_cloud(path), expected(rows()))


@pytest.mark.parametrize("kept", ["ascii", "binary", "binary_compressed"])
def test_files_that_end_early_or_declare_too_much(tmp_path, kept):
    path = tmp_path / "a.pcd"
    content = header(kept) + body(rows(), kept)
    for cut in (0, 30, len(header(kept)), len(header(kept)) + 5, len(content) - 40):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"a\.pcd"):
            read_cloud(path)
    path.write_bytes(header(kept, 10**12) + body(rows(), kept))
    with pytest.raises(DataError, match=r"a\.pcd: (ends after|declares)"):
        read_cloud(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"FIELDS x y z", b"FIELDS x y w", "has no field z"),
        (b"TYPE F F F", b"TYPE F F Q", "line 11: its header is not"),
        (b"SIZE 4 4 8", b"SIZE 4 4 3", "line 11: its header is not"),
        (b"COUNT 1 1 1 1 3", b"COUNT 1 1 1 1 0", "line 11: its header is not"),
        (b"POINTS 40", b"POINTS -4", "line 11: its header is not"),
        (b"DATA binary", b"DATA zip", "line 11: its header is not"),
        (b"DATA", b"DOTA", "does not begin as"),
    ],
)
def test_headers_that_are_none(tmp_path, old, new, said):
    content = header("binary") + body(rows(), "binary")
    assert old in content
    (tmp_path / "a.pcd").write_bytes(content.replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        read_cloud(tmp_path / "a.pcd")


def test_unpacking_is_the_inverse_of_packing():
    chance = random.Random(0)
    for _ in range(40):
        length = chance.randrange(1, 400)
        content = bytes(
            chance.choice(b"ab\0") if chance.random() < 0.9 else chance.randrange(256) for _ in range(length)
        )
        assert _lzf(packed(content), len(content)) == content
    assert _lzf(packed(bytes(5000)), 5000) == bytes(5000)
    for damaged in (b"\x20\x00", b"\x00a\x20\x05", b"\xe0"):
        with pytest.raises((ValueError, IndexError)):
            _lzf(damaged, 3)

"""What `bench sens` writes, times and says; never whether this machine is fast."""

import json
from dataclasses import replace

import numpy as np
import pytest

import build_scannet
import build_sens
from pointdistill import cli
from pointdistill.bench import preparation
from pointdistill.bench import sens as bench
from pointdistill.bench.sens import SensFigures
from pointdistill.datasets.scannet import SensReader
from pointdistill.errors import DataError

REFERENCE = """
import struct, zlib

class Frame:
    def decompress_color(self, kind):
        assert kind == "jpeg" and self.colour[:2] == b"\\xff\\xd8"
        open(__file__ + ".log", "a").write("colour\\n")

    def decompress_depth(self, kind):
        assert kind == "zlib_ushort" and zlib.decompress(self.depth)

class SensorData:
    def __init__(self, filename):
        self.color_compression_type, self.depth_compression_type = "jpeg", "zlib_ushort"
        self.frames = []
        with open(filename, "rb") as file:
            file.read(4)
            file.read(struct.unpack("Q", file.read(8))[0] + 256 + 8 + 16 + 4)
            for _ in range(struct.unpack("Q", file.read(8))[0]):
                file.read(80)
                colour, depth = struct.unpack("QQ", file.read(16))
                frame = Frame()
                frame.colour, frame.depth = file.read(colour), file.read(depth)
                self.frames.append(frame)
"""
"""A reader with the owners' interface."""


@pytest.fixture
def scan(tmp_path):
    return build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(i) for i in range(7)])


def test_the_written_scan_has_real_sizes(tmp_path):
    bench.write_scan(tmp_path / "a.sens", 2)
    with SensReader(tmp_path / "a.sens") as reader:
        assert (reader.colour_size, reader.depth_size, reader.frame_count) == ((1296, 968), (640, 480), 2)
        first, second = reader.every(1)
        assert all(50_000 < len(part) < 400_000 for part in reader.encoded(0))
    assert not np.array_equal(first.depth, second.depth) and (first.depth > 0).mean() > 0.9


def test_figures_of_both_readers(scan, tmp_path, capsys):
    reference = tmp_path / "SensorData.py"
    reference.write_text(REFERENCE)
    cli.main(["bench", "sens", "--recording", str(scan), "--every", "3", "--reference", str(reference), "--json"])
    said = json.loads(capsys.readouterr().out)
    (row,) = said["figures"]["sens"]
    assert row["what"].startswith("a frame, every 3th of 7") and row["note"].startswith("3 frames")
    assert set(row["others"]) == {"bare jpeg and zlib", "owners' reader"} and row["ours"] > 0
    assert (tmp_path / "SensorData.py.log").read_text() == 3 * "colour\n"
    assert said["host"]["cpus"] and said["settings"]["recording"] == str(scan)


def test_frames_that_cannot_be_read_are_in_no_figure(tmp_path):
    path = build_sens.write(tmp_path / "a.sens", build_scannet.odd_frames())
    figures = bench.sens(path, 1, rounds=2)
    assert (figures.frames, figures.frame_count) == (5, 8)
    assert figures.bare > 0 and figures.reader > 0 and figures.reference is None
    with pytest.raises(DataError, match="none of the wanted frames"):
        bench.sens(build_sens.write(tmp_path / "b.sens", build_scannet.odd_frames()[3:4]), 1)


def test_the_limit():
    figures = SensFigures(10**9, 2000, 25, 80, 0.02, 0.026, 1.3, 1.2)
    row = figures.row()
    assert row.ours == pytest.approx(26) and row.ratio("bare jpeg and zlib") == pytest.approx(1 / 1.3)
    assert row.limit.held and "1.300 times the codecs, by the thread's own seconds 1.200" in row.note
    assert not replace(figures, ratio=1.31).row().limit.held
    assert replace(figures, reference=0.26).row().ratio("owners' reader") == pytest.approx(10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_that_exists", r"cannot be loaded \(No module named 'nothing_that_exists'\)"),
        ("x = 1\nprint 'exporting'", "line 2: is not Python 3 .*As published it is Python 2"),
        ("class Other: pass", "has no class SensorData"),
        ("class SensorData:\n  def __init__(self, name): raise ValueError('no')", r"does not read .*a\.sens \(no\)"),
        (None, "no such Python file"),
    ],
)
def test_a_reference_that_cannot_be_used(scan, tmp_path, text, message):
    reference = tmp_path / "SensorData.py"
    if text:
        reference.write_text(text)
    with pytest.raises(DataError, match=rf"SensorData\.py.*{message}"):
        bench.sens(scan, 3, reference)


def test_preparing_beside_reading(tmp_path):
    path = build_sens.write(tmp_path / "a.sens", build_scannet.odd_frames())
    (row,) = preparation.figures(path, every=1)
    assert row.what == "a frame prepared, 16,384 points kept, no teacher" and row.note.startswith("5 frames")
    assert row.ours == pytest.approx(sum(row.parts.values())) and row.others["bare jpeg and zlib"] > 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.sens"]

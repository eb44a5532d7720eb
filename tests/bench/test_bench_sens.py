"""`pointdistill bench sens`: the scan it writes is one, and what it times is what it says. No figure is judged here."""

import re

import numpy as np

import build_sens
from pointdistill import cli
from pointdistill.bench import sens
from pointdistill.datasets.scannet import SensReader

REFERENCE = """
import struct, zlib

class Frame:
    def decompress_color(self, kind):
        assert kind == "jpeg" and self.colour[:2] == b"\\xff\\xd8"

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


def test_the_written_scan_has_real_sizes(tmp_path):
    sens.write_scan(tmp_path / "a.sens", 2)
    with SensReader(tmp_path / "a.sens") as reader:
        assert (reader.colour_size, reader.depth_size, reader.frame_count) == ((1296, 968), (640, 480), 2)
        first, second = reader.every(1)
    assert not np.array_equal(first.depth, second.depth) and (first.depth > 0).mean() > 0.9
    assert 50_000 < len(first.colour) < 600_000


def test_figures_of_both_readers(tmp_path, capsys):
    path = build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(i) for i in range(7)])
    reference = tmp_path / "SensorData.py"
    reference.write_text(REFERENCE)
    cli.main(["bench", "sens", str(path), "--every", "3", "--reference", str(reference)])
    said = capsys.readouterr().out
    assert "3 frames wanted (every 3)" in said and "limit 1.3" in said
    assert len(re.findall(r"\d+\.\d\d ms a frame", said)) == 3 and "times SensReader" in said
    reference.write_text("import nothing_that_exists")
    try:
        cli.main(["bench", "sens", str(path), "--reference", str(reference)])
    except SystemExit as stopped:
        assert stopped.code == 2
    assert "cannot be loaded (No module named 'nothing_that_exists')" in capsys.readouterr().err

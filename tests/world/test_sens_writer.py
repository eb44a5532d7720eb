"""The `.sens` writer against the format's description, read back byte by byte with struct alone."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointdistill.world.cameras import default_rig
from pointdistill.world.render import Frame
from pointdistill.world.sens import write_sens

RIG = default_rig((32, 24), (16, 12))


def _frame(index: int) -> Frame:
    generator = np.random.default_rng(index)
    pose = np.eye(4)
    pose[:3, 3] = (index, 2.0, 1.5)
    return Frame(
        colour=np.full((24, 32, 3), 20 * index + 30, dtype=np.uint8),
        depth=generator.integers(0, 5000, (12, 16)).astype(np.uint16),
        nyu40=np.zeros((24, 32), dtype=np.uint8),
        instance=np.zeros((24, 32), dtype=np.uint16),
        pose=pose,
        caption="",
    )


def _matrix(stream: io.BytesIO) -> np.ndarray:
    return np.frombuffer(stream.read(64), dtype="<f4").reshape(4, 4)


def test_every_field_of_the_format(tmp_path: Path):
    path = tmp_path / "a.sens"
    assert write_sens(path, (_frame(i) for i in range(3)), RIG, rate_hz=2.0) == 3
    stream = io.BytesIO(path.read_bytes())
    version, length = struct.unpack("<IQ", stream.read(12))
    assert (version, stream.read(length)) == (4, b"StructureSensor")
    np.testing.assert_array_equal(_matrix(stream), RIG.colour.matrix)
    np.testing.assert_array_equal(_matrix(stream), np.asarray(RIG.colour_to_depth, dtype=np.float32))
    np.testing.assert_array_equal(_matrix(stream), RIG.depth.matrix)
    np.testing.assert_array_equal(_matrix(stream), np.eye(4))
    assert struct.unpack("<iiIIIIfQ", stream.read(36)) == (2, 1, 32, 24, 16, 12, 1000.0, 3)
    for index in range(3):
        frame = _frame(index)
        np.testing.assert_array_equal(_matrix(stream), frame.pose.astype(np.float32))
        colour_time, depth_time, colour_bytes, depth_bytes = struct.unpack("<4Q", stream.read(32))
        assert colour_time == depth_time == index * 500_000
        colour = np.asarray(Image.open(io.BytesIO(stream.read(colour_bytes))))
        assert np.abs(colour.astype(int) - frame.colour).max() <= 2
        depth = np.frombuffer(zlib.decompress(stream.read(depth_bytes)), dtype="<u2").reshape(12, 16)
        np.testing.assert_array_equal(depth, frame.depth)
    assert stream.read() == struct.pack("<Q", 0)


def test_an_interrupted_recording_leaves_no_file(tmp_path: Path):
    def frames():
        yield _frame(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sens(tmp_path / "a.sens", frames(), RIG)
    assert not list(tmp_path.iterdir())


def test_frames_are_taken_one_by_one(tmp_path: Path):
    sizes = []

    def frames():
        for _ in range(3):
            sizes.append(next(tmp_path.glob(".a.sens.*.part")).stat().st_size)
            yield Frame(
                colour=np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8),
                depth=np.random.default_rng(0).integers(0, 5000, (240, 320)).astype(np.uint16),
                nyu40=np.zeros((240, 320), dtype=np.uint8),
                instance=np.zeros((240, 320), dtype=np.uint16),
                pose=np.eye(4),
                caption="",
            )

    write_sens(tmp_path / "a.sens", frames(), default_rig((320, 240), (320, 240)))
    assert sizes[0] < sizes[1] < sizes[2]

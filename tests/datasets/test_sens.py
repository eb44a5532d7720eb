import pickle
import struct

import numpy as np
import pytest

import build_scannet
import build_sens
from pointdistill.datasets.recording import BrokenFrame, TruncatedRecording
from pointdistill.datasets.scannet import SensReader
from pointdistill.errors import DataError


def test_every_field_comes_out(tmp_path):
    path = build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(i) for i in range(7)])
    with SensReader(path) as reader:
        assert reader.frame_count == 7
        assert (reader.colour_size, reader.depth_size, reader.depth_shift) == ((64, 48), (20, 16), 1000.0)
        np.testing.assert_array_equal(reader.colour_intrinsics, build_sens.COLOUR_INTRINSICS)
        np.testing.assert_array_equal(reader.depth_intrinsics, build_sens.DEPTH_INTRINSICS)
        np.testing.assert_array_equal(reader.colour_extrinsics, build_sens.COLOUR_TO_DEPTH)
        np.testing.assert_array_equal(reader.depth_extrinsics, np.eye(4))
        frames = list(reader.every(3))
        assert [frame.index for frame in frames] == [0, 3, 6]
        for frame in frames:
            np.testing.assert_array_equal(frame.pose, build_sens.pose(frame.index))
            np.testing.assert_array_equal(frame.depth, build_sens.depth(frame.index))
            assert frame.colour == build_sens.jpeg(frame.index)
        assert reader.read(1).colour == build_sens.jpeg(1)  # backwards too
        with pytest.raises(IndexError):
            reader.read(7)


def test_skipped_frames_are_not_read(tmp_path, monkeypatch):
    path = build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(i) for i in range(20)])
    with SensReader(path) as reader:
        read, plain = [], reader._read_exactly
        monkeypatch.setattr(reader, "_read_exactly", lambda count: read.append(count) or plain(count))
        list(reader.every(10))
    assert len([count for count in read if count > 96]) == 2


@pytest.mark.parametrize(
    ("header", "message"),
    [({"version": 3}, "version 3"), ({"colour_codec": 1}, r"\(png\)"), ({"depth_codec": 2}, r"\(occi ushort\)")],
)
def test_other_versions_and_codecs_are_refused(tmp_path, header, message):
    path = build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(0)], **header)
    with pytest.raises(DataError, match=message):
        SensReader(path)


@pytest.mark.parametrize("length", [0, 8, 20, 100, 318])
def test_shorter_than_its_header(tmp_path, length):
    path = build_sens.write(tmp_path / "a.sens", [])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"a\.sens, byte \d+: "):
        SensReader(path)


def test_a_truncated_tail_loses_the_tail_only(tmp_path):
    frames = [build_sens.good_frame(i) for i in range(5)]
    path = build_sens.write(tmp_path / "a.sens", frames)
    start = len(build_sens.header_bytes(5)) + sum(map(len, frames[:3]))
    path.write_bytes(path.read_bytes()[: start + 200])
    with SensReader(path) as reader:
        with pytest.raises(TruncatedRecording, match=f"frame 3, byte {start}: .* ends at byte {start + 200}"):
            list(reader.every(1))
        problems = []
        assert [frame.index for frame in reader.every(1, problems.append)] == [0, 1, 2]
        assert [problem.frame for problem in problems] == [3]


def test_an_absurd_size_is_not_allocated(tmp_path):
    broken = build_sens.pose(0).tobytes() + struct.pack("<QQQQ", 0, 0, 1 << 60, 1 << 60)
    path = build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(0), broken])
    with SensReader(path) as reader, pytest.raises(TruncatedRecording, match="declares"):
        reader.read(1)


def test_a_missing_imu_list_is_no_error(tmp_path):
    path = build_sens.write(tmp_path / "a.sens", [build_sens.good_frame(0)], tail=b"")
    with SensReader(path) as reader:
        assert len(list(reader.every(1))) == 1


def test_broken_payloads_cost_one_frame_each(tmp_path):
    path = build_sens.write(tmp_path / "a.sens", build_scannet.odd_frames())
    problems: list[BrokenFrame] = []
    with SensReader(path) as reader:
        indices = [frame.index for frame in reader.every(1, problems.append)]
    assert indices == [0, 1, 2, 4, 5, 7]  # poses, contents and jpegs are judged by preparation
    assert [problem.frame for problem in problems] == [3, 6]


def test_problems_travel_between_processes():
    problem = TruncatedRecording("a.sens", "the file ends", "Download it.", "frame 3, byte 9", 3)
    copy = pickle.loads(pickle.dumps(problem))
    assert type(copy) is TruncatedRecording and str(copy) == str(problem) and copy.frame == 3

"""ScanNet's .sens recordings, version 4.

The layout is that of the owners' sensorData.h and SensorData.py (http://www.scan-net.org), little endian:
u32 version; u64 length and sensor name; four 4x4 float32 (colour intrinsics, colour extrinsics, depth intrinsics, depth
extrinsics); i32 colour and i32 depth compression; u32 colour width, height, depth width, height; float32 depth shift;
u64 frames. Each frame: 4x4 float32 camera-to-world; u64 colour time, depth time, colour bytes, depth bytes; the bytes.
After the frames come IMU records, which nothing here needs.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt16

from pointdistill.datasets.coordinates import LARGEST, usable
from pointdistill.datasets.recording import BrokenFrame, RecordedFrame, TruncatedRecording, read_every
from pointdistill.errors import DataError

VERSION = 4
_START = struct.Struct("<IQ")
_CAMERAS = struct.Struct("<64f2i4IfQ")
_FRAME = struct.Struct("<16f4Q")
_COLOUR_CODECS = {-1: "unknown", 0: "raw", 1: "png", 2: "jpeg"}
_DEPTH_CODECS = {-1: "unknown", 0: "raw ushort", 1: "zlib ushort", 2: "occi ushort"}
_JPEG, _ZLIB = 2, 1
_LARGEST_SIDE = 1 << 16
_AGAIN = "Download or copy this scan again."


class SensReader:
    """Reads frames of a .sens file by seeking over those that nobody asks for; holds one frame at a time.

    Attributes:
        colour_intrinsics, depth_intrinsics: 4x4, pixels, pixel centres at integers.
        colour_extrinsics, depth_extrinsics: 4x4, from that camera to the depth camera's frame, metres.
        colour_size, depth_size: (width, height).
        depth_shift: depth units per metre.
        frame_count: frames that the header declares.

    Raises:
        DataError: not a .sens file, another version or codec, or too short for its header, with the byte offset.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._file = self.path.open("rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError):
            raise DataError(self.path, "no such .sens file", "ScanNet's own downloader fetches it.") from None
        try:
            self._size = self.path.stat().st_size
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        version, name_length = self._unpack(_START, 0)
        if version != VERSION:
            raise DataError(
                self.path, f"version {version} where {VERSION} belongs", "It is no .sens file of version 4.", "byte 0"
            )
        if name_length > self._size:
            raise DataError(
                self.path, f"a sensor name of {name_length} bytes is longer than the file", _AGAIN, "byte 4"
            )
        at = _START.size + name_length
        values = self._unpack(_CAMERAS, at)
        matrices = np.array(values[:64], np.float32).reshape(4, 4, 4)
        self.colour_intrinsics, self.colour_extrinsics, self.depth_intrinsics, self.depth_extrinsics = matrices
        colour_codec, depth_codec, *sizes = values[64:70]
        self.colour_size, self.depth_size = (sizes[0], sizes[1]), (sizes[2], sizes[3])
        self.depth_shift, self.frame_count = values[70], values[71]
        self._check_header(colour_codec, depth_codec, f"header at byte {at}")
        self._offsets = [at + _CAMERAS.size]

    def _check_header(self, colour_codec: int, depth_codec: int, place: str) -> None:
        if colour_codec != _JPEG:
            name = _COLOUR_CODECS.get(colour_codec, "undefined")
            raise DataError(self.path, f"colour codec {colour_codec} ({name})", "Only 2 (jpeg) is read.", place)
        if depth_codec != _ZLIB:
            name = _DEPTH_CODECS.get(depth_codec, "undefined")
            raise DataError(self.path, f"depth codec {depth_codec} ({name})", "Only 1 (zlib ushort) is read.", place)
        if not all(0 < side <= _LARGEST_SIDE for side in (*self.colour_size, *self.depth_size)):
            problem = f"image sizes {self.colour_size} and {self.depth_size} are impossible"
            raise DataError(self.path, problem, _AGAIN, place)
        if not (np.isfinite(self.depth_shift) and self.depth_shift > 0):
            raise DataError(self.path, f"depth shift {self.depth_shift} is impossible", _AGAIN, place)
        if not usable(np.stack([self.colour_intrinsics, self.colour_extrinsics, self.depth_extrinsics])).all():
            raise DataError(self.path, f"a camera's numbers are not finite, or beyond {LARGEST:g}", _AGAIN, place)
        if np.linalg.matrix_rank(self.depth_extrinsics) < 4:
            raise DataError(self.path, "the depth camera's place is impossible", _AGAIN, place)
        focal = self.depth_intrinsics[[0, 1], [0, 1]]
        if not (usable(self.depth_intrinsics).all() and (focal > 0).all()):
            raise DataError(self.path, "the depth camera's focal lengths are impossible", _AGAIN, place)

    def read(self, index: int) -> RecordedFrame:
        """Frame `index` of 0..frame_count-1.

        Raises:
            TruncatedRecording: the file ends before this frame does.
            BrokenFrame: its depth does not decompress to an image of the declared size.
        """
        offset, pose, colour, depth = self._stored(index)
        return RecordedFrame(
            index=index,
            pose=np.array(pose, np.float32).reshape(4, 4),
            colour=colour,
            depth=self._depth(depth, index, offset + _FRAME.size + len(colour)),
        )

    def encoded(self, index: int) -> tuple[bytes, bytes]:
        """A frame's colour and depth as they are stored: jpeg, and zlib's uint16.

        Raises:
            TruncatedRecording: the file ends before this frame does.
        """
        return self._stored(index)[2:]

    def _stored(self, index: int) -> tuple[int, list[float], bytes, bytes]:
        """Byte offset, pose, colour and depth of a frame."""
        if not 0 <= index < self.frame_count:
            raise IndexError(f"frame {index} of {self.frame_count}")
        offset = self._locate(index)
        *pose, _, _, colour_bytes, depth_bytes = self._frame_header(index, offset)
        self._file.seek(offset + _FRAME.size)
        payload = self._read_exactly(colour_bytes + depth_bytes)
        if len(payload) != colour_bytes + depth_bytes:
            raise self._truncated(index, offset, "the file shrank while it was read")
        return offset, pose, payload[:colour_bytes], payload[colour_bytes:]

    def every(self, step: int, on_problem: Callable[[BrokenFrame], None] | None = None) -> Iterator[RecordedFrame]:
        """Frames 0, step, 2 step, ... in order; see `datasets.recording.read_every`."""
        return read_every(self.read, self.frame_count, step, on_problem)

    def poses(self) -> Float32[np.ndarray, "whole 4 4"]:
        """Poses of the frames that lie in the file to their end, by their headers: no image is read."""
        found = []
        try:
            for index in range(self.frame_count):
                found.append(self._frame_header(index, self._locate(index))[:16])
        except TruncatedRecording:
            pass
        return np.array(found, np.float32).reshape(-1, 4, 4)

    def _locate(self, index: int) -> int:
        """Byte offset of a frame: sizes vary, so the headers before it are walked, once."""
        while len(self._offsets) <= index:
            offset, last = self._offsets[-1], len(self._offsets) - 1
            *_, colour_bytes, depth_bytes = self._frame_header(last, offset)
            self._offsets.append(offset + _FRAME.size + colour_bytes + depth_bytes)
        return self._offsets[index]

    def _frame_header(self, index: int, offset: int) -> tuple:
        """The frame's header; its declared sizes are known to lie inside the file."""
        if offset + _FRAME.size > self._size:
            raise self._truncated(index, offset, f"the file ends at byte {self._size}, inside the frame's header")
        header = self._unpack(_FRAME, offset)
        end = offset + _FRAME.size + header[-2] + header[-1]
        if end > self._size:
            problem = f"the frame declares {header[-2]} + {header[-1]} bytes, but the file ends at byte {self._size}"
            raise self._truncated(index, offset, problem)
        return header

    def _depth(self, data: bytes, index: int, offset: int) -> UInt16[np.ndarray, "height width"]:
        width, height = self.depth_size
        place = f"frame {index}, byte {offset}"
        inflate = zlib.decompressobj()
        try:
            raw = inflate.decompress(data, width * height * 2 + 1)  # never more than the image, whatever the bytes say
        except zlib.error as error:
            raise BrokenFrame(self.path, f"depth does not decompress ({error})", _AGAIN, place, index) from None
        if len(raw) != width * height * 2:
            problem = f"depth is not {width} x {height} values of 2 bytes"
            raise BrokenFrame(self.path, problem, _AGAIN, place, index)
        return np.frombuffer(raw, "<u2").reshape(height, width)

    def _unpack(self, layout: struct.Struct, offset: int) -> tuple:
        self._file.seek(offset)
        data = self._read_exactly(layout.size)
        if len(data) != layout.size:
            problem = f"the file ends at byte {self._size}, before its header does"
            raise DataError(self.path, problem, _AGAIN, f"byte {offset}")
        return layout.unpack(data)

    def _read_exactly(self, count: int) -> bytes:
        """Up to `count` bytes; an unbuffered read may give fewer than there are."""
        data = self._file.read(count) or b""
        while len(data) < count and (more := self._file.read(count - len(data))):
            data += more
        return data

    def _truncated(self, index: int, offset: int, problem: str) -> TruncatedRecording:
        place = f"frame {index}, byte {offset}"
        return TruncatedRecording(self.path, problem, f"{_AGAIN} Frames before it can be read.", place, index)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "SensReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

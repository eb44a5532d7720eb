"""Writes ScanNet's `.sens` streams, version 4 (github.com/ScanNet/ScanNet, SensReader): little endian, jpeg colour,
zlib-compressed uint16 depth, camera-to-world poses. Frames go to the disk one by one; none is kept in memory."""

import io
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, UInt8, UInt16
from PIL import Image

from pointdistill.files import write_atomic
from pointdistill.world.cameras import Rig
from pointdistill.world.render import Frame

VERSION = 4
JPEG, ZLIB_USHORT = 2, 1
DEPTH_SHIFT = 1000.0
"""Depth values per metre: the stream holds millimetres."""


def encode_jpeg(colour: UInt8[np.ndarray, "height width 3"], quality: int = 90) -> bytes:
    """The jpeg file of an RGB image."""
    buffer = io.BytesIO()
    Image.fromarray(colour).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


@dataclass(frozen=True)
class EncodedFrame:
    """A frame as the stream holds it.

    Attributes:
        pose: the depth camera's, camera to world, metres.
        jpeg: the colour image.
        depth: the depth image, deflated.
    """

    pose: Float[np.ndarray, "4 4"]
    jpeg: bytes
    depth: bytes


def deflate(depth: UInt16[np.ndarray, "height width"]) -> bytes:
    """A depth image as the stream holds it: little endian, row by row, compressed by zlib."""
    return zlib.compress(np.ascontiguousarray(depth, dtype="<u2").tobytes())


def write_sens(
    path: str | Path,
    frames: Iterable[Frame],
    rig: Rig,
    rate_hz: float = 30.0,
    jpeg_quality: int = 90,
    sensor_name: str = "StructureSensor",
) -> int:
    """Write a recording; the file appears under its name only when it is complete.

    Args:
        path: the `.sens` file to write.
        frames: what the rig saw; `frame.pose` is the DEPTH camera's pose, camera to world, metres.
        rig: both cameras. Its `colour_to_depth` becomes the colour camera's extrinsics; the depth camera's are the
            identity.
        rate_hz: frames a second, for the time stamps (microseconds since the first frame).

    Returns:
        The number of frames written.
    """
    encoded = (EncodedFrame(f.pose, encode_jpeg(f.colour, jpeg_quality), deflate(f.depth)) for f in frames)
    return write_encoded(path, encoded, rig, rate_hz, sensor_name)


def write_encoded(
    path: str | Path,
    frames: Iterable[EncodedFrame],
    rig: Rig,
    rate_hz: float = 30.0,
    sensor_name: str = "StructureSensor",
) -> int:
    """`write_sens` for images that are compressed already."""

    def write(target: Path) -> int:
        with target.open("wb") as stream:
            count_at = _write_header(stream, rig, sensor_name)
            count = 0
            for frame in frames:
                _write_frame(stream, frame, round(count * 1e6 / rate_hz))
                count += 1
            stream.write(struct.pack("<Q", 0))  # no inertial records
            stream.seek(count_at)
            stream.write(struct.pack("<Q", count))
        return count

    return write_atomic(Path(path), write)


def _matrix(matrix: Float[np.ndarray, "4 4"]) -> bytes:
    return np.ascontiguousarray(matrix, dtype="<f4").tobytes()


def _write_header(stream: BinaryIO, rig: Rig, sensor_name: str) -> int:
    """Writes everything before the first frame; returns where the number of frames stands, to be set at the end."""
    name = sensor_name.encode()
    stream.write(struct.pack("<IQ", VERSION, len(name)) + name)
    stream.write(_matrix(rig.colour.matrix) + _matrix(rig.colour_to_depth))
    stream.write(_matrix(rig.depth.matrix) + _matrix(np.eye(4)))
    stream.write(struct.pack("<ii", JPEG, ZLIB_USHORT))
    stream.write(struct.pack("<IIII", rig.colour.width, rig.colour.height, rig.depth.width, rig.depth.height))
    stream.write(struct.pack("<f", DEPTH_SHIFT))
    count_at = stream.tell()
    stream.write(struct.pack("<Q", 0))
    return count_at


def _write_frame(stream: BinaryIO, frame: EncodedFrame, microseconds: int) -> None:
    stream.write(_matrix(frame.pose))
    stream.write(struct.pack("<QQQQ", microseconds, microseconds, len(frame.jpeg), len(frame.depth)))
    stream.write(frame.jpeg)
    stream.write(frame.depth)

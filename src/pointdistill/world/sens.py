"""Writes ScanNet's `.sens` streams, version 4 (github.com/ScanNet/ScanNet, SensReader): little endian, jpeg colour,
zlib-compressed uint16 depth, camera-to-world poses. Frames go to the disk one by one; none is kept in memory."""

import io
import struct
import zlib
from collections.abc import Iterable
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

    def write(target: Path) -> int:
        with target.open("wb") as stream:
            count_at = _write_header(stream, rig, sensor_name)
            count = 0
            for frame in frames:
                microseconds = round(count * 1e6 / rate_hz)
                _write_frame(stream, frame.pose, microseconds, encode_jpeg(frame.colour, jpeg_quality), frame.depth)
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


def _write_frame(
    stream: BinaryIO,
    pose: Float[np.ndarray, "4 4"],
    microseconds: int,
    jpeg: bytes,
    depth: UInt16[np.ndarray, "height width"],
) -> None:
    packed = zlib.compress(np.ascontiguousarray(depth, dtype="<u2").tobytes())
    stream.write(_matrix(pose))
    stream.write(struct.pack("<QQQQ", microseconds, microseconds, len(jpeg), len(packed)))
    stream.write(jpeg)
    stream.write(packed)

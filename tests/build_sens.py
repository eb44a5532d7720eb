"""Packs .sens files field by field from the format's description, apart from the package's own writer."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

COLOUR_INTRINSICS = np.array([[50, 0, 31.5, 0], [0, 51, 23.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
DEPTH_INTRINSICS = np.array([[20, 0, 9.5, 0], [0, 21, 7.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
COLOUR_TO_DEPTH = np.eye(4, dtype=np.float32)
COLOUR_TO_DEPTH[:3, 3] = (0.02, -0.01, 0.005)
COLOUR_SIZE, DEPTH_SIZE = (64, 48), (20, 16)


def jpeg(seed: int) -> bytes:
    """A smooth random picture."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(small).resize(COLOUR_SIZE).save(data, "JPEG", quality=90)
    return data.getvalue()


def depth(seed: int) -> np.ndarray:
    """Millimetres, between 1 and 4 m, a fifth of it missing."""
    generator = np.random.default_rng(1000 + seed)
    image = generator.integers(1000, 4000, DEPTH_SIZE[::-1], dtype=np.uint16)
    image[generator.random(image.shape) < 0.2] = 0
    return image


def pose(seed: int) -> np.ndarray:
    """A camera looking along the world's +y, turned about z by an angle, somewhere in the room."""
    angle = 0.3 * seed
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = turn @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    matrix[:3, 3] = (seed, 2, 1.5)
    return matrix


def frame_bytes(pose_matrix: np.ndarray, colour: bytes, packed_depth: bytes) -> bytes:
    header = pose_matrix.astype("<f4").tobytes() + struct.pack("<QQQQ", 7, 8, len(colour), len(packed_depth))
    return header + colour + packed_depth


def header_bytes(count: int, version: int = 4, colour_codec: int = 2, depth_codec: int = 1) -> bytes:
    name = b"StructureSensor"
    parts = [struct.pack("<I", version), struct.pack("<Q", len(name)), name]
    for matrix in (COLOUR_INTRINSICS, COLOUR_TO_DEPTH, DEPTH_INTRINSICS, np.eye(4)):
        parts.append(matrix.astype("<f4").tobytes())
    parts.append(struct.pack("<ii", colour_codec, depth_codec))
    parts.append(struct.pack("<IIII", *COLOUR_SIZE, *DEPTH_SIZE))
    parts.append(struct.pack("<f", 1000.0))
    parts.append(struct.pack("<Q", count))
    return b"".join(parts)


def good_frame(seed: int) -> bytes:
    return frame_bytes(pose(seed), jpeg(seed), zlib.compress(depth(seed).tobytes()))


def write(path: Path, frames: list[bytes], tail: bytes = struct.pack("<Q", 0), **header) -> Path:
    """A recording of these frames, with an empty list of IMU records after them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header_bytes(len(frames), **header) + b"".join(frames) + tail)
    return path

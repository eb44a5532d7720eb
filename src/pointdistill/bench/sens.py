"""How much reading a .sens file costs beyond decoding: every n-th frame beside the bare codecs and the owners' reader.

The bare cost is that of inflating the wanted frames' depth and decoding their jpegs, the bytes already in memory.
Reader and codecs take turns frame by frame, so that whatever slows the machine slows both.
"""

import importlib.util
import io
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time
from types import ModuleType

import numpy as np
from PIL import Image

from pointdistill.bench.figure import Figure, Limit
from pointdistill.datasets.scannet import SensReader
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_IMAGE
from pointdistill.seeding import numpy_generator
from pointdistill.world.cameras import default_rig
from pointdistill.world.sens import EncodedFrame, deflate, encode_jpeg, write_encoded

MOST_RATIO = 1.3
"""Of the reader's seconds to the bare codecs'."""
COLOUR_SIZE, DEPTH_SIZE = (1296, 968), (640, 480)
_DISPARITY = 580 * 75 * 8.0
"""Focal length x baseline (mm) x steps a pixel: such a sensor counts disparities, so that depth comes in steps."""
_DISTINCT = 24
_ROUNDS = 5


@dataclass(frozen=True)
class SensFigures:
    """Seconds a frame, medians over the rounds; a thread's own seconds leave out what other jobs took of its core.

    Attributes:
        file_bytes, frame_count: of the recording.
        every, frames: which frames were read, and how many those are.
        bare, reader: by the clock.
        ratio, own_ratio: reader over bare, the median of the rounds': by the clock, by the thread's own seconds.
        reference: the owners' reader, by the clock, loading the recording once and decoding the same frames; or None.
    """

    file_bytes: int
    frame_count: int
    every: int
    frames: int
    bare: float
    reader: float
    ratio: float
    own_ratio: float
    reference: float | None = None

    def row(self) -> Figure:
        """The figures beside their limit."""
        others = {"bare jpeg and zlib": self.bare * 1e3}
        if self.reference is not None:
            others["owners' reader"] = self.reference * 1e3
        return Figure(
            f"a frame, every {self.every}th of {self.frame_count:,} ({self.file_bytes / 1e6:,.0f} MB)",
            self.reader * 1e3,
            "ms",
            others,
            Limit(f"{MOST_RATIO} times the bare codecs or less", self.ratio <= MOST_RATIO),
            f"{self.frames} frames in the page cache; {self.ratio:.3f} times the codecs, by the thread's own seconds "
            f"{self.own_ratio:.3f}",
        )


def sens(path: Path, every: int = 25, reference: Path | None = None, rounds: int = _ROUNDS) -> SensFigures:
    """Measure the reading of every n-th frame of a recording.

    Frames that cannot be read are left out of all figures.

    Args:
        path: a .sens file.
        reference: SensorData.py of the ScanNet repository (SensReader/python), to be timed beside.

    Raises:
        DataError: not a .sens file, none of the wanted frames can be read, or a reference that cannot be used.
    """
    module = _load(reference) if reference else None
    with SensReader(path) as reader:
        numbers = [frame.index for frame in reader.every(every, lambda problem: None) if _decodes(frame.colour)]
        count = reader.frame_count
    if not numbers:
        raise DataError(path, f"holds none of the wanted frames (every {every})", "Name another recording.")
    timed = np.array([_round(path, numbers, bool(number % 2)) for number in range(rounds)])
    (bare, _), (whole, _) = np.median(timed, 0) / len(numbers)
    ratio, own_ratio = np.median(timed[:, 1] / timed[:, 0], 0)
    return SensFigures(
        file_bytes=path.stat().st_size,
        frame_count=count,
        every=every,
        frames=len(numbers),
        bare=float(bare),
        reader=float(whole),
        ratio=float(ratio),
        own_ratio=float(own_ratio),
        reference=_by_reference(module, path, numbers) / len(numbers) if module else None,
    )


def _round(path: Path, numbers: list[int], reader_first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the bare codecs and of the reader, each by the clock and by the thread's own count."""
    bare, whole = np.zeros(2), np.zeros(2)
    began = _now()
    reader = SensReader(path)
    whole += _now() - began
    with reader, SensReader(path) as payloads:
        for number in numbers:
            jpeg, packed = payloads.encoded(number)
            for readers_turn in (reader_first, not reader_first):
                began = _now()
                if readers_turn:
                    _decodes(reader.read(number).colour)
                    whole += _now() - began
                else:
                    _decodes(jpeg)
                    zlib.decompress(packed)
                    bare += _now() - began
    return bare, whole


def _now() -> np.ndarray:
    return np.array([perf_counter(), thread_time()])


def _decodes(jpeg: bytes) -> bool:
    try:
        Image.open(io.BytesIO(jpeg)).load()
    except UNREADABLE_IMAGE:
        return False
    return True


def _load(path: Path) -> ModuleType:
    """The owners' reader, from a file that the user names."""
    remedy = "Name SensReader/python/SensorData.py of the ScanNet repository."
    spec = importlib.util.spec_from_file_location("reference_sensor_data", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise DataError(path, "no such Python file", remedy)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        remedy = "As published it is Python 2: convert a copy of it first (print; bytes for '' in its joins)."
        raise DataError(path, f"is not Python 3 ({error.msg})", remedy, f"line {error.lineno}") from error
    except Exception as error:  # whatever a file of somebody else's raises
        raise DataError(path, f"cannot be loaded ({error})", "Install what it imports.") from error
    if not hasattr(module, "SensorData"):
        raise DataError(path, "has no class SensorData", remedy)
    return module


def _by_reference(module: ModuleType, path: Path, numbers: list[int]) -> float:
    """Seconds of the owners' reader: it can only load all frames, then decode some."""
    began = perf_counter()
    try:
        data = module.SensorData(str(path))
        for number in numbers:
            data.frames[number].decompress_color(data.color_compression_type)
            data.frames[number].decompress_depth(data.depth_compression_type)
    except Exception as error:  # as above
        raise DataError(module.__file__ or "", f"does not read {path} ({error})", "Try it by itself.") from error
    return perf_counter() - began


def write_scan(path: Path, frames: int) -> None:
    """A recording at ScanNet's real sizes: a few distinct noisy frames over and over, some 200 kB each."""
    distinct = [_frame(number) for number in range(min(_DISTINCT, frames))]
    write_encoded(
        path, (distinct[number % len(distinct)] for number in range(frames)), default_rig(COLOUR_SIZE, DEPTH_SIZE)
    )


def _frame(number: int) -> EncodedFrame:
    """Smooth shapes under a sensor's noise, so that both codecs have their usual work."""
    generator = numpy_generator(0, "bench sens", number)
    rough = Image.fromarray(generator.integers(0, 255, (25, 33, 3), dtype=np.uint8))
    smooth = np.asarray(rough.resize(COLOUR_SIZE, Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + generator.integers(-2, 3, smooth.shape, dtype=np.int16)
    coarse = Image.fromarray(generator.uniform(800, 5000, (12, 16)).astype(np.float32))
    metric = np.asarray(coarse.resize(DEPTH_SIZE, Image.Resampling.BICUBIC)) + generator.normal(0, 3, DEPTH_SIZE[::-1])
    depth = _DISPARITY / np.rint(_DISPARITY / metric)
    depth[:, :24] = 0
    return EncodedFrame(
        pose=np.eye(4),
        jpeg=encode_jpeg(np.clip(noisy, 0, 255).astype(np.uint8), 80),
        depth=deflate(np.clip(depth, 0, 65535).astype(np.uint16)),
    )


def figures(
    path: Path | None = None, frames: int = 2000, every: int = 25, reference: Path | None = None
) -> list[Figure]:
    """Measure a recording, or one written for the purpose to a temporary folder.

    Args:
        frames: length of the recording that is written.
        path, every, reference: see `sens`.

    Raises:
        DataError: as `sens`.
    """
    with tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder:
        if path is None:
            path = Path(folder) / "synthetic.sens"
            write_scan(path, frames)
        return [sens(path, every, reference).row()]

"""How much reading a .sens file costs beyond decoding: every n-th frame beside the bare codecs and the owners' reader.

The bare cost is that of inflating the wanted frames' depth and decoding their jpegs, all bytes already in memory.
"""

import importlib.util
import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

from pointdistill.datasets.scannet import SensReader
from pointdistill.errors import DataError
from pointdistill.files import write_atomic

LIMIT = 1.3
"""What the reader may take, in times of the bare cost."""
COLOUR_SIZE, DEPTH_SIZE = (1296, 968), (640, 480)
_DISPARITY = 580 * 75 * 8.0
"""Focal length x baseline (mm) x steps a pixel: such a sensor counts disparities, so that depth comes in steps."""
_DISTINCT = 24
_ROUNDS = 5


def bench_sens(file: Path | None, reference: Path | None, frames: int, every: int) -> Iterator[str]:
    """Lines of figures for every `every`-th frame of `file`, or of a scan of `frames` frames at ScanNet's real sizes.

    Args:
        reference: SensorData.py of the ScanNet repository (SensReader/python), to be timed beside.

    Raises:
        DataError: not a readable .sens file; or a reference that cannot be loaded.
    """
    with _recording(file, frames) as path:
        payloads = _payloads(path, every)
        yield f"{path.name}: {path.stat().st_size / 1e6:,.0f} MB, {len(payloads)} frames wanted (every {every})"
        bare, reader = _interleaved(lambda: _decode_all(payloads), lambda: _read_all(path, every))
        yield f"bare jpeg and zlib: {1000 * bare / len(payloads):.2f} ms a frame"
        yield f"SensReader.every:   {1000 * reader / len(payloads):.2f} ms a frame"
        yield f"ratio {reader / bare:.3f}, limit {LIMIT}"
        if reference is not None:
            module = _load(reference)
            began = perf_counter()
            count = _read_by_reference(module, path, every, reference)
            took = perf_counter() - began
            yield f"{reference.name}: {1000 * took / count:.2f} ms a frame, {took / reader:.1f} times SensReader"


def write_scan(path: Path, frames: int) -> None:
    """A recording at ScanNet's real sizes: a few distinct noisy frames over and over, some 200 kB each."""
    encoded = [_frame(number) for number in range(min(_DISTINCT, frames))]
    name = b"benchmark"
    cameras = np.tile(np.eye(4, dtype="<f4"), (4, 1, 1))
    cameras[0, [0, 1], [0, 1]], cameras[2, [0, 1], [0, 1]] = 1170, 577
    header = struct.pack("<IQ", 4, len(name)) + name + cameras.tobytes()
    header += struct.pack("<2i4IfQ", 2, 1, *COLOUR_SIZE, *DEPTH_SIZE, 1000.0, frames)

    def write(target: Path) -> None:
        with target.open("wb") as stream:
            stream.write(header)
            for number in range(frames):
                stream.write(encoded[number % len(encoded)])
            stream.write(struct.pack("<Q", 0))

    write_atomic(path, write, sync=False)


def _frame(number: int) -> bytes:
    """Smooth shapes under a sensor's noise, so that both codecs have their usual work."""
    generator = np.random.default_rng(number)
    rough = Image.fromarray(generator.integers(0, 255, (25, 33, 3), dtype=np.uint8))
    smooth = np.asarray(rough.resize(COLOUR_SIZE, Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + generator.integers(-2, 3, smooth.shape, dtype=np.int16)
    colour = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(colour, "JPEG", quality=80)
    coarse = Image.fromarray(generator.uniform(800, 5000, (12, 16)).astype(np.float32))
    metric = np.asarray(coarse.resize(DEPTH_SIZE, Image.Resampling.BICUBIC)) + generator.normal(0, 3, DEPTH_SIZE[::-1])
    depth = _DISPARITY / np.rint(_DISPARITY / metric)
    depth[:, :24] = 0
    packed = zlib.compress(np.clip(depth, 0, 65535).astype("<u2").tobytes())
    sizes = struct.pack("<4Q", number, number, len(colour.getvalue()), len(packed))
    return np.eye(4, dtype="<f4").tobytes() + sizes + colour.getvalue() + packed


@contextmanager
def _recording(file: Path | None, frames: int) -> Iterator[Path]:
    if file is not None:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder:
        path = Path(folder) / "benchmark.sens"
        write_scan(path, frames)
        yield path


def _payloads(path: Path, every: int) -> list[tuple[bytes, bytes]]:
    """The wanted frames' colour and depth as they lie in the file."""
    found = []
    with SensReader(path) as reader:
        for index in range(0, reader.whole_frames(), every):
            found.append(reader.encoded(index))
    if not found:
        raise DataError(path, "holds no whole frame", "Name another recording.")
    return found


def _decode_all(payloads: list[tuple[bytes, bytes]]) -> None:
    for colour, depth in payloads:
        _decode(colour)
        zlib.decompress(depth)


def _read_all(path: Path, every: int) -> None:
    with SensReader(path) as reader:
        for frame in reader.every(every, lambda problem: None):
            _decode(frame.colour)


def _decode(colour: bytes) -> None:
    Image.open(io.BytesIO(colour)).load()


def _interleaved(*works: Callable[[], None]) -> list[float]:
    """The least seconds of each in several rounds, taken in turns: whatever slows the machine slows all of them."""
    best = [float("inf")] * len(works)
    for _ in range(_ROUNDS):
        for place, work in enumerate(works):
            began = perf_counter()
            work()
            best[place] = min(best[place], perf_counter() - began)
    return best


def _load(path: Path):
    """The owners' reader, from a file that the user names."""
    spec = importlib.util.spec_from_file_location("reference_sensor_data", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise DataError(path, "no such Python file", "It is SensReader/python/SensorData.py of the ScanNet repository.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a file of somebody else's raises
        raise DataError(path, f"cannot be loaded ({error})", "Install what it imports (imageio, opencv).") from error
    if not hasattr(module, "SensorData"):
        raise DataError(path, "has no class SensorData", "Name SensReader/python/SensorData.py.")
    return module


def _read_by_reference(module, path: Path, every: int, reference: Path) -> int:
    """Its only way: load all frames, then decode some."""
    try:
        data = module.SensorData(str(path))
        wanted = data.frames[::every]
        for frame in wanted:
            frame.decompress_color(data.color_compression_type)
            frame.decompress_depth(data.depth_compression_type)
    except Exception as error:  # as above
        raise DataError(reference, f"does not read {path.name} ({error})", "Try it by itself.") from error
    return len(wanted)

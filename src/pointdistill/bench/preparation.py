"""What preparing a recording costs beside decoding it, the teacher apart."""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image

from pointdistill.bench.figure import Figure
from pointdistill.bench.sens import sens, write_scan
from pointdistill.bench.timing import on_one_core
from pointdistill.datasets.scannet.layout import ScanNetRecording
from pointdistill.scan_part import FrameSettings, ScanJob, prepare_scan
from pointdistill.teacher_calls import TeacherSpec

_ROUNDS = 3


class Silent:
    """A teacher that has nothing to say, at once."""

    identity, weights_hash, target_shape = "silent", "0" * 64, (1, 1)

    def targets(self, images: list[Image.Image]) -> torch.Tensor:
        return torch.zeros(len(images), 1, 1)


def figures(path: Path | None = None, frames: int = 2000, every: int = 25) -> list[Figure]:
    """Milliseconds a frame of a whole scan's part, written, on one core.

    Args:
        path: a .sens file, or None for one written for the purpose to a temporary folder.
        frames: length of the recording that is written.
        every: take every n-th frame.

    Raises:
        DataError: as `bench.sens.sens`.
    """
    with tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder:
        if path is None:
            path = Path(folder) / "synthetic.sens"
            write_scan(path, frames)
        read = on_one_core(lambda: sens(path, every))
        taken = on_one_core(lambda: [_prepared(path, Path(folder) / str(turn), every) for turn in range(_ROUNDS)])
    whole = float(np.median(taken)) / read.frames
    settings = FrameSettings(every=every)
    return [
        Figure(
            f"a frame prepared, {settings.points:,} points kept, no teacher",
            1e3 * whole,
            "ms",
            {"bare jpeg and zlib": 1e3 * read.bare},
            note=f"{read.frames} frames in the page cache, one core",
            parts={"reading": 1e3 * read.reader, "points, images, writing": 1e3 * (whole - read.reader)},
        )
    ]


def _prepared(path: Path, out: Path, every: int) -> float:
    """Seconds of a scan's parts."""
    teacher = TeacherSpec.of(Silent(), Silent)
    recording = ScanNetRecording("made_up", path)
    job = ScanJob(recording, 0, FrameSettings(every=every), out / "frames.npz", out / "targets.npz", teacher)
    out.mkdir()
    began = perf_counter()
    prepare_scan(job)
    return perf_counter() - began

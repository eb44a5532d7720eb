"""What preparation needs to know of recorded RGB-D frames, whoever's format they come in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt16

from pointdistill.errors import DataError


class BrokenFrame(DataError):
    """One frame cannot be read; the frames after it can."""

    def __init__(self, path, problem: str, remedy: str, place: str | None = None, frame: int = -1):
        super().__init__(path, problem, remedy, place)
        self.frame = frame

    def __reduce__(self):
        return type(self), (self.path, self.problem, self.remedy, self.place, self.frame)


class TruncatedRecording(BrokenFrame):
    """The recording ends before this frame does: it and all frames after it are lost."""


@runtime_checkable
class Frame(Protocol):
    """One moment: an encoded colour image and a depth image, taken together."""

    @property
    def index(self) -> int: ...
    @property
    def pose(self) -> Float32[np.ndarray, "4 4"]:
        """Depth camera to world, metres; z up where the recording says so (`is_upright`); may be non-finite where
        tracking was lost."""
        ...

    @property
    def colour(self) -> bytes:
        """An image file of any format that pillow reads."""
        ...

    @property
    def depth(self) -> UInt16[np.ndarray, "height width"]:
        """Distance along the camera's z axis in units of 1/depth_shift metres; 0 where there is none."""
        ...


@dataclass(frozen=True)
class RecordedFrame:
    """A `Frame` whose images are in memory."""

    index: int
    pose: Float32[np.ndarray, "4 4"]
    colour: bytes = field(repr=False)
    depth: UInt16[np.ndarray, "height width"] = field(repr=False)


def read_every(
    read: Callable[[int], RecordedFrame],
    frame_count: int,
    step: int,
    on_problem: Callable[[BrokenFrame], None] | None = None,
) -> Iterator[RecordedFrame]:
    """Frames 0, step, 2 step, ... of a recording whose `read` gives one by its number.

    Args:
        on_problem: told of each frame that cannot be read, which is then left out; after a TruncatedRecording there are
            no more. Without it the problem is raised.
    """
    for index in range(0, frame_count, step):
        try:
            frame = read(index)
        except BrokenFrame as problem:
            if on_problem is None:
                raise
            on_problem(problem)
            if isinstance(problem, TruncatedRecording):
                return
            continue
        yield frame


@runtime_checkable
class FrameReader(Protocol):
    """An open recording. Image sizes are (width, height); intrinsics are 4x4 with pixel centres at integers."""

    colour_intrinsics: Float32[np.ndarray, "4 4"]
    depth_intrinsics: Float32[np.ndarray, "4 4"]
    colour_extrinsics: Float32[np.ndarray, "4 4"]
    depth_extrinsics: Float32[np.ndarray, "4 4"]
    colour_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_shift: float
    frame_count: int

    def every(self, step: int, on_problem: Callable[[BrokenFrame], None] | None = None) -> Iterator[Frame]:
        """Frames 0, step, 2 step, ...; `on_problem` is told of frames that cannot be read, which else raise."""
        ...

    def __enter__(self) -> "FrameReader": ...
    def __exit__(self, *exception: object) -> None: ...


@runtime_checkable
class Recording(Protocol):
    """A recording that can be opened, here or in another process (so it must pickle: a name and a path will).

    Three more members are used where they are there:
        up: "z" if its poses lead into a world whose z points up (`is_upright`).
        has_poses: False if its poses mean nothing: all frames stand in their camera's frame.
        bytes(): size of its files, by which a changed recording is known.
    """

    @property
    def name(self) -> str: ...
    def open(self) -> FrameReader: ...


def is_upright(recording: Recording) -> bool:
    """Whether a recording's poses are known to lead into a world whose z points up."""
    return getattr(recording, "up", None) == "z"


def bytes_of(recording: Recording) -> int:
    """Size of a recording that knows its size or is one file (`path`), else 0: a copy completed since differs."""
    known: Callable[[], int] | None = getattr(recording, "bytes", None)
    if known is not None:
        return known()
    path = getattr(recording, "path", None)
    return Path(path).stat().st_size if path is not None and Path(path).is_file() else 0

"""Frames that are image files: opened one at a time, looked at no sooner than they are asked for."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt16
from PIL import Image

from pointdistill.datasets.recording import BrokenFrame, RecordedFrame, read_every
from pointdistill.datasets.rgbd.cameras import CAMERA_FILE, Cameras, Pinhole
from pointdistill.datasets.rgbd.poses import is_rigid, read_matrix
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_IMAGE

_AGAIN = "Copy this recording again."
_DEPTH_MODES = ("I", "I;16", "I;16B", "I;16L")
_LARGEST = (1 << 16) - 1


@dataclass(frozen=True)
class Shot:
    """The files of one frame.

    Attributes:
        pose: depth camera to world, metres; a text file that holds it; or None where the recording has none of it.
    """

    colour: Path
    depth: Path
    pose: Float32[np.ndarray, "4 4"] | Path | None = field(repr=False)

    @property
    def files(self) -> list[Path]:
        return [self.colour, self.depth, *([self.pose] if isinstance(self.pose, Path) else [])]


class ImageReader:
    """Frames of a folder (`datasets.recording.FrameReader`); holds one frame at a time.

    Args:
        folder: for messages.
        cameras: both cameras.
        shots: the files and pose of each frame.
        turn: is put before every pose.

    Attributes: as `datasets.recording.FrameReader` has them; the depth camera's extrinsics are the identity.

    Raises:
        DataError: no frame, none whose images can be opened, or images of another size than the cameras are known for.
    """

    def __init__(
        self, folder: Path, cameras: Cameras, shots: Sequence[Shot], turn: Float32[np.ndarray, "4 4"] | None = None
    ):
        self.folder, self._cameras, self._shots, self._turn = folder, cameras, shots, turn
        if not shots:
            raise DataError(folder, "holds no frame of colour and depth", "Look at what is missing there.")
        self.colour_size = _first_size(folder, [shot.colour for shot in shots], cameras.colour)
        self.depth_size = _first_size(folder, [shot.depth for shot in shots], cameras.depth)
        self.colour_intrinsics, self.depth_intrinsics = cameras.colour.matrix(), cameras.depth.matrix()
        self.colour_extrinsics = cameras.colour_to_depth
        self.depth_extrinsics = np.eye(4, dtype=np.float32)
        self.depth_shift, self.frame_count = cameras.depth_scale, len(shots)

    def read(self, index: int) -> RecordedFrame:
        """Frame `index` of 0..frame_count-1.

        Raises:
            BrokenFrame: it has no pose, or one of its files is not there or not what it should be.
        """
        if not 0 <= index < self.frame_count:
            raise IndexError(f"frame {index} of {self.frame_count}")
        shot = self._shots[index]
        return RecordedFrame(index, self._pose(shot, index), self._colour(shot.colour, index), self._depth(shot, index))

    def every(self, step: int, on_problem: Callable[[BrokenFrame], None] | None = None) -> Iterator[RecordedFrame]:
        """Frames 0, step, 2 step, ... in order; see `datasets.recording.read_every`."""
        return read_every(self.read, self.frame_count, step, on_problem)

    def _pose(self, shot: Shot, index: int) -> Float32[np.ndarray, "4 4"]:
        if shot.pose is None:
            raise _broken(shot.depth, "no pose belongs to it", index)
        try:
            pose = read_matrix(shot.pose) if isinstance(shot.pose, Path) else shot.pose
        except DataError as error:
            raise BrokenFrame(error.path, error.problem, error.remedy, error.place, index) from None
        if not np.isfinite(pose).all():  # preparation judges it
            return pose
        if not is_rigid(pose):
            raise _broken(shot.depth, "its pose is not a turn and a shift", index)
        return pose if self._turn is None else self._turn @ pose

    def _colour(self, path: Path, index: int) -> bytes:
        data = _bytes(path, index)
        try:
            size = Image.open(io.BytesIO(data)).size
        except UNREADABLE_IMAGE:
            raise _broken(path, "the colour image does not decode", index) from None
        if size != self.colour_size:
            raise _broken(path, f"is {size} where the recording's first is {self.colour_size}", index)
        return data

    def _depth(self, shot: Shot, index: int) -> UInt16[np.ndarray, "height width"]:
        data = _bytes(shot.depth, index)
        try:
            image = Image.open(io.BytesIO(data))
            mode, pixels = image.mode, np.asarray(image)
        except UNREADABLE_IMAGE:
            raise _broken(shot.depth, "the depth image does not decode", index) from None
        if mode not in _DEPTH_MODES:
            raise _broken(shot.depth, f"is no depth image: one channel of 16 bits belongs there, not {mode}", index)
        if image.size != self.depth_size:
            raise _broken(shot.depth, f"is {image.size} where the recording's first is {self.depth_size}", index)
        invalid = (pixels < 0) | (pixels > _LARGEST) | np.isin(pixels, self._cameras.invalid)
        return np.where(invalid, 0, pixels).astype(np.uint16)

    def __enter__(self) -> "ImageReader":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _first_size(folder: Path, paths: list[Path], camera: Pinhole) -> tuple[int, int]:
    """(width, height) of the first image that can be opened."""
    for path in paths:
        try:
            with Image.open(path) as image:
                size = image.size
        except UNREADABLE_IMAGE:
            continue
        if camera.size is not None and size != camera.size:
            problem = f"is {size[0]} x {size[1]}, but the camera is known for {camera.size[0]} x {camera.size[1]}"
            raise DataError(path, problem, f"Put this camera's numbers beside it (docs/data.md, {CAMERA_FILE}).")
        return size
    raise DataError(folder, f"none of its {len(paths)} images such as {paths[0].name} can be opened", _AGAIN)


def _bytes(path: Path, index: int) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _broken(path, "no such file", index) from None
    except (OSError, ValueError) as error:  # the latter of names that no file can have
        raise _broken(path, f"cannot be read ({getattr(error, 'strerror', error)})", index) from None


def _broken(path: Path, problem: str, index: int) -> BrokenFrame:
    return BrokenFrame(path, problem, _AGAIN, f"frame {index}", index)

"""What a folder of images is once its format is understood: cameras, and for each frame its files and its pose."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pointdistill.datasets.rgbd.cameras import Cameras
from pointdistill.datasets.rgbd.images import ImageReader, Shot


@dataclass(frozen=True)
class Contents:
    """A recording's frames in order.

    Attributes:
        cameras: both cameras, and what the depth images' numbers mean.
        shots: the frames.
        sources: files beside the images that say what belongs together: lists, trajectories, cameras.
        left_out: what of the folder makes no frame, in words.
        turn: from the world of the poses to one whose z points up, or the identity.
    """

    cameras: Cameras
    shots: list[Shot] = field(repr=False)
    sources: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()
    turn: Float32[np.ndarray, "4 4"] = field(default_factory=lambda: np.eye(4, dtype=np.float32), repr=False)


@dataclass(frozen=True)
class FolderRecording:
    """A recording that is a folder of images (`datasets.recording.Recording`); pickles, since it holds only names.

    Attributes:
        name: of the recording, unique in its data set.
        path: its folder.
        read: reads what is in the folder; a function of a module.
        up: "z" if its poses lead into a world whose z points up, or None.
        has_poses: False if the folder has no trajectory: each frame then stands in its camera's frame.
    """

    name: str
    path: Path
    read: Callable[[Path], Contents] = field(repr=False)
    up: str | None = None
    has_poses: bool = True

    def open(self) -> ImageReader:
        """Raises DataError if the folder's lists or cameras are not what they should be, or no frame is there."""
        contents = self.read(self.path)
        return ImageReader(self.path, contents.cameras, contents.shots, contents.turn)

    def bytes(self) -> int:
        """Size of all files that make up the recording."""
        contents = self.read(self.path)
        files = {file for shot in contents.shots for file in shot.files} | {*contents.sources}
        return sum(file.stat().st_size for file in files if file.is_file())


NO_POSE: Float32[np.ndarray, "4 4"] = np.eye(4, dtype=np.float32)
"""The pose of every frame of a recording without a trajectory."""

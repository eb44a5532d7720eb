"""Microsoft's 7-Scenes (https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes).

A scene's folder holds seq-01, seq-02, ... with frame-XXXXXX.color.png, .depth.png (16 bits, millimetres, 65535 where
there is none) and .pose.txt (4x4, camera to world), and TrainSplit.txt and TestSplit.txt with "sequence1" a line. Both
cameras have focal length 585 and centre (320, 240); they are not registered to each other, and no transformation
between them is published, so they are taken for one. Which way is up in a scene's world is not published either.
"""

import re
from pathlib import Path

from pointdistill.datasets.rgbd.cameras import Cameras, Pinhole, camera_file, with_camera_file
from pointdistill.datasets.rgbd.contents import NO_POSE, Contents, FolderRecording
from pointdistill.datasets.rgbd.images import Shot
from pointdistill.errors import DataError
from pointdistill.files import read_text

SPLIT_FILES = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}
_CAMERA = Pinhole(585.0, 585.0, 320.0, 240.0, (640, 480))
_COLOUR, _DEPTH, _POSE = ".color.png", ".depth.png", ".pose.txt"


def is_recording(folder: Path) -> bool:
    return any(folder.glob(f"frame-*{_COLOUR}"))


def recording(folder: Path, name: str) -> FolderRecording:
    """The sequence in a folder."""
    return FolderRecording(name, folder, contents, has_poses=_has_poses(folder))


def contents(folder: Path) -> Contents:
    """The frames of a sequence by number; what of one is missing shows when it is read.

    Raises:
        DataError: the camera.json beside it is not what it should be.
    """
    posed = _has_poses(folder)
    starts = sorted(path.name.removesuffix(_COLOUR) for path in folder.glob(f"frame-*{_COLOUR}"))
    shots = [
        Shot(folder / f"{start}{_COLOUR}", folder / f"{start}{_DEPTH}", _pose(folder / f"{start}{_POSE}", posed))
        for start in starts
    ]
    override = camera_file(folder)
    cameras = with_camera_file(Cameras(_CAMERA, _CAMERA, 1000.0, (65535,)), override)
    return Contents(cameras, shots, () if override is None else (override,))


def split_sequences(scene: Path, split: str) -> list[str] | None:
    """Names of the sequences ("seq-01") that a scene's split file lists; None if there is no such file.

    Raises:
        DataError: a line of another form.
    """
    path = scene / SPLIT_FILES.get(split, "")
    if not path.is_file():
        return None
    found = []
    for number, line in enumerate(read_text(path, "Unpack the scene again.").splitlines(), 1):
        if line.strip():
            match = re.fullmatch(r"seq(?:uence)?[-_ ]?(\d+)", line.strip())
            if match is None:
                remedy = 'Each line must be "sequence1" or the like.'
                raise DataError(path, f"{line.strip()[:40]!r} names no sequence", remedy, f"line {number}")
            found.append(f"seq-{int(match[1]):02d}")
    return found


def _has_poses(folder: Path) -> bool:
    return any(folder.glob(f"frame-*{_POSE}"))


def _pose(path: Path, posed: bool):
    if not posed:
        return NO_POSE
    return path if path.is_file() else None

"""Recordings as Redwood and Open3D keep them (http://redwood-data.org/indoor/fileformat.html, Open3D's RGB-D pipeline).

Folders of colour (color, rgb or image) and depth images, 16-bit png, 1000 units a metre; a .json with width, height and
intrinsic_matrix (9 numbers, column by column); a trajectory .log with a line of three numbers, the first of which is
the frame's, and 4 lines of 4 numbers a pose, camera to world. Depth is registered to colour. Without the .json the
camera is the PrimeSense one that Redwood names. The world is that of the first camera or of a model: which way is up in
it, nobody says.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pointdistill.datasets.rgbd.cameras import Cameras, Pinhole, positive
from pointdistill.datasets.rgbd.contents import NO_POSE, Contents, FolderRecording
from pointdistill.datasets.rgbd.images import Shot
from pointdistill.datasets.rgbd.pairing import images_in, pair, unpaired
from pointdistill.datasets.rgbd.poses import rows
from pointdistill.errors import DataError

COLOUR_FOLDERS = ("color", "rgb", "image")
DEPTH_FOLDER = "depth"
_TRAJECTORIES = ("trajectory.log", "scene/trajectory.log", "*traj*.log", "*traj*.txt", "*.log")
_DEFAULT = Pinhole(525.0, 525.0, 319.5, 239.5, (640, 480))
_DEPTH_SCALE = 1000.0
_CAMERA_FORM = 'It must hold "width", "height" and "intrinsic_matrix": 9 numbers, column by column.'
_LOG_FORM = "A pose is a line of 3 numbers, the first its frame's, and 4 lines of 4 numbers."


def is_recording(folder: Path) -> bool:
    return _colour_folder(folder) is not None and (folder / DEPTH_FOLDER).is_dir()


def recording(folder: Path, name: str) -> FolderRecording:
    """The recording in a folder with color/ (or rgb/, image/) and depth/.

    Raises:
        DataError: several trajectories to choose from.
    """
    return FolderRecording(name, folder, contents, has_poses=trajectory_file(folder) is not None)


def contents(folder: Path) -> Contents:
    """Pairs of colour and depth images, each with its pose.

    Raises:
        DataError: no colour folder, images that cannot be paired, a camera or trajectory of another form, several of
            one, or a trajectory longer than the recording.
    """
    colour_folder = _colour_folder(folder)
    if colour_folder is None:
        raise DataError(folder, f"holds none of {', '.join(COLOUR_FOLDERS)}", "Put the colour images there.")
    colour, depth = images_in(colour_folder), images_in(folder / DEPTH_FOLDER)
    pairs = pair(colour, depth, folder)
    trajectory, camera = trajectory_file(folder), camera_file(folder)
    poses = [NO_POSE] * len(colour) if trajectory is None else read_log(trajectory, len(colour))
    by_image = dict(zip(colour, poses, strict=True))
    shots = [Shot(first, second, by_image[first]) for first, second in pairs]
    pinhole = _DEFAULT if camera is None else read_camera(camera)
    sources = tuple(path for path in (trajectory, camera) if path is not None)
    left_out = unpaired(len(pairs), len(colour), len(depth))
    return Contents(Cameras(pinhole, pinhole, _DEPTH_SCALE), shots, sources, left_out)


def trajectory_file(folder: Path) -> Path | None:
    """The trajectory of a recording: trajectory.log, else a .log or .txt with "traj" in its name, else any .log but
    the odometry's.

    Raises:
        DataError: several that it may be.
    """
    for pattern in _TRAJECTORIES:
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("odometry"))
        if found:
            return _only(found, folder, "trajectories", "Name the one to use trajectory.log.")
    return None


def camera_file(folder: Path) -> Path | None:
    """The .json with an intrinsic_matrix.

    Raises:
        DataError: several of them.
    """
    found = [path for path in sorted(folder.glob("*.json")) if "intrinsic_matrix" in (_json(path) or {})]
    return _only(found, folder, "cameras", "Keep the one that belongs to the depth images.") if found else None


def read_camera(path: Path) -> Pinhole:
    """The camera of Open3D's PinholeCameraIntrinsic.

    Raises:
        DataError: it holds something else.
    """
    content = _json(path) or {}
    matrix, width, height = (content.get(name) for name in ("intrinsic_matrix", "width", "height"))
    if not (isinstance(matrix, list) and len(matrix) == 9 and isinstance(width, int) and isinstance(height, int)):
        raise DataError(path, "is not of a camera", _CAMERA_FORM)
    fx, fy, cx, cy = (
        positive(matrix[place], path, f"intrinsic_matrix, number {place}", _CAMERA_FORM) for place in (0, 4, 6, 7)
    )
    return Pinhole(fx, fy, cx, cy, (width, height))


def read_log(path: Path, frames: int) -> list[Float32[np.ndarray, "4 4"] | None]:
    """The pose of each of `frames` frames, or None: by the frames' numbers, from 0, unless there are equally many.

    Raises:
        DataError: another form, with the line, or a frame that is not there.
    """
    lines = rows(path, _LOG_FORM)
    if not lines or len(lines) % 5:
        raise DataError(path, f"{len(lines)} lines with numbers are not 5 a pose", _LOG_FORM)
    for place, (number, row) in enumerate(lines):
        if len(row) != (4 if place % 5 else 3):
            problem = f"{len(row)} numbers where {4 if place % 5 else 3} belong"
            raise DataError(path, problem, _LOG_FORM, f"line {number}")
    matrices = [np.array([row for _, row in lines[at + 1 : at + 5]], np.float32) for at in range(0, len(lines), 5)]
    if len(matrices) == frames:
        return list(matrices)
    found: list[Float32[np.ndarray, "4 4"] | None] = [None] * frames
    for matrix, (number, head) in zip(matrices, lines[::5], strict=True):
        if not (head[0].is_integer() and 0 <= head[0] < frames):
            problem = f"a pose of frame {head[0]:g}, but the recording has {frames} frames"
            raise DataError(path, problem, "Keep the trajectory that belongs to it.", f"line {number}")
        found[int(head[0])] = matrix
    return found


def _colour_folder(folder: Path) -> Path | None:
    return next((folder / name for name in COLOUR_FOLDERS if (folder / name).is_dir()), None)


def _only(found: list[Path], folder: Path, what: str, remedy: str) -> Path:
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:3])
        raise DataError(folder, f"holds several {what}: {names}", remedy)
    return found[0]


def _json(path: Path) -> dict | None:
    """The object in a JSON file; None if it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None

"""TUM RGB-D recordings (https://cvg.cit.tum.de/data/datasets/rgbd-dataset, "File formats", "Intrinsic calibration").

rgb.txt and depth.txt: "timestamp filename" a line; groundtruth.txt: "timestamp tx ty tz qx qy qz qw", camera to world,
from motion capture, so that z points up. Depth is registered to the colour camera, 16-bit png, 5000 units a metre, 0
where there is none. The images of freiburg1 and 2 keep their lens distortion; it is not undone here.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointdistill.datasets.rgbd.cameras import Cameras, Pinhole, camera_file, with_camera_file
from pointdistill.datasets.rgbd.contents import NO_POSE, Contents, FolderRecording
from pointdistill.datasets.rgbd.images import Shot
from pointdistill.datasets.rgbd.pairing import unpaired
from pointdistill.datasets.rgbd.poses import from_quaternion, rows
from pointdistill.errors import DataError
from pointdistill.files import is_below, read_text

MAX_DIFFERENCE = 0.02
"""Seconds between time stamps that belong together, as in the owners' own association."""
_DEPTH_SCALE = 5000.0
_SIZE = (640, 480)
_CAMERAS = {
    "freiburg1": Pinhole(517.3, 516.5, 318.6, 255.3, _SIZE),
    "freiburg2": Pinhole(520.9, 521.0, 325.1, 249.7, _SIZE),
    "freiburg3": Pinhole(535.4, 539.2, 320.1, 247.6, _SIZE),
}
_DEFAULT = Pinhole(525.0, 525.0, 319.5, 239.5, _SIZE)
_TRAJECTORY = "groundtruth.txt"
_AGAIN = "Unpack this recording again."


def is_recording(folder: Path) -> bool:
    return (folder / "rgb.txt").is_file() and (folder / "depth.txt").is_file()


def recording(folder: Path, name: str) -> FolderRecording:
    """The recording in a folder with rgb.txt and depth.txt."""
    posed = (folder / _TRAJECTORY).is_file()
    return FolderRecording(name, folder, contents, "z" if posed else None, posed)


def contents(folder: Path) -> Contents:
    """Pairs of colour and depth whose time stamps are nearest each other, with the pose nearest the depth's.

    Raises:
        DataError: a list or the trajectory is missing, empty or has another form; with its line.
    """
    colour_times, colour = _images(folder / "rgb.txt")
    depth_times, depth = _images(folder / "depth.txt")
    pairs = associate(colour_times, depth_times)
    trajectory = folder / _TRAJECTORY
    if trajectory.is_file():
        times, poses = _trajectory(trajectory)
        near = [_nearest(times, depth_times[second]) for _, second in pairs]
        found = [None if number is None else from_quaternion(poses[number]) for number in near]
    else:
        found = [NO_POSE] * len(pairs)
    shots = [Shot(colour[a], depth[b], pose) for (a, b), pose in zip(pairs, found, strict=True)]
    known = next((camera for name, camera in _CAMERAS.items() if name in folder.absolute().as_posix()), _DEFAULT)
    override = camera_file(folder)
    cameras = with_camera_file(Cameras(known, known, _DEPTH_SCALE), override)
    lists = [folder / "rgb.txt", folder / "depth.txt", trajectory, override]
    sources = tuple(path for path in lists if path is not None and path.is_file())
    return Contents(cameras, shots, sources, unpaired(len(pairs), len(colour), len(depth)))


def associate(
    first: Float64[np.ndarray, "first"], second: Float64[np.ndarray, "second"], limit: float = MAX_DIFFERENCE
) -> list[tuple[int, int]]:
    """Pairs of numbers of time stamps closer than `limit` seconds, the closest first served, each used once.

    Args:
        first, second: seconds, sorted.

    Returns:
        The pairs in the order of time.
    """
    starts = np.searchsorted(second, first - limit, side="left")
    ends = np.searchsorted(second, first + limit, side="right")
    near = [(a, b) for a, (start, end) in enumerate(zip(starts, ends, strict=True)) for b in range(start, end)]
    free_first, free_second, pairs = np.ones(len(first), bool), np.ones(len(second), bool), []
    for a, b in sorted(near, key=lambda two: abs(first[two[0]] - second[two[1]])):
        if free_first[a] and free_second[b]:
            free_first[a] = free_second[b] = False
            pairs.append((a, b))
    return sorted(pairs)


def _nearest(times: Float64[np.ndarray, "times"], wanted: float) -> int | None:
    after = int(np.searchsorted(times, wanted))
    found = min(range(max(after - 1, 0), min(after + 1, len(times))), key=lambda i: abs(times[i] - wanted))
    return found if abs(times[found] - wanted) <= MAX_DIFFERENCE else None


def _images(path: Path) -> tuple[Float64[np.ndarray, "images"], list[Path]]:
    """Time stamps and files, sorted by time."""
    found = []
    for number, line in enumerate(read_text(path, _AGAIN).splitlines(), 1):
        words = line.split(maxsplit=1)
        if words and not words[0].startswith("#"):
            try:
                time, name = float(words[0]), words[1].strip()
            except (ValueError, IndexError):
                raise DataError(path, "is not a time stamp and a file name", _AGAIN, f"line {number}") from None
            if not is_below(name):
                raise DataError(path, f"names {name[:40]!r}, no file below its folder", _AGAIN, f"line {number}")
            found.append((time, path.parent / name))
    if not found:
        raise DataError(path, "names no image", _AGAIN)
    found.sort()
    return np.array([time for time, _ in found]), [file for _, file in found]


def _trajectory(path: Path) -> tuple[Float64[np.ndarray, "poses"], list[list[float]]]:
    """Time stamps, and what stands behind each, sorted by time."""
    found = rows(path, _AGAIN)
    for number, row in found:
        if len(row) != 8:
            raise DataError(path, f"{len(row)} numbers where 8 belong", _AGAIN, f"line {number}")
    if not found:
        raise DataError(path, "holds no poses", _AGAIN)
    ordered = sorted(row for _, row in found)
    return np.array([row[0] for row in ordered]), [row[1:] for row in ordered]

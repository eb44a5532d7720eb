"""A user's point cloud as pre-training saw clouds: from a file, turned, centred, scaled, so many points."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Num
from torch import Tensor

from pointdistill import targets
from pointdistill.datasets.axes import Axis, to_z_up
from pointdistill.datasets.coordinates import usable
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_ARRAY
from pointdistill.geometry import to_unit_sphere
from pointdistill.io.columns import read_columns
from pointdistill.io.ply import read_vertices
from pointdistill.loader import draw_rows
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore

Frame = Literal["camera", "gravity"]
Z_UP_TO_CAMERA = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
"""Rotation from z up to a level camera that looks along y: x right, y down, z forward."""
COLUMNS = {".txt": None, ".xyz": None, ".pts": None, ".csv": ","}
"""Endings of text files of numbers, and what separates them (None: white space, or commas where there are any)."""


def read_cloud(path: str | Path) -> Float32[np.ndarray, "points 3"]:
    """The points of a file, in its own frame and unit; colours, normals and faces are left alone.

    Args:
        path: .ply, .npy of shape (points, 3 or more), or text with three or more columns (.txt, .xyz, .pts, .csv).

    Raises:
        DataError: no such file, an unknown ending, or something else in it.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".ply":
        vertices = read_vertices(path)
        return _single(np.stack([vertices[axis] for axis in "xyz"], 1))
    if ending == ".npy":
        return _read_npy(path)
    if ending in COLUMNS:
        return _read_text(path, COLUMNS[ending])
    raise DataError(path, "no known kind of point cloud", f"Give a .ply, .npy, {', '.join(COLUMNS)}")


def cloud_files(folder: Path) -> list[Path]:
    """The files of a folder that `read_cloud` reads, by their names; folders below it are left alone."""
    endings = {".ply", ".npy", *COLUMNS}
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file())


def open_store(path: Path) -> FrameStore:
    """A store whose clouds are wanted, whichever teachers' targets lie beside them."""
    found = targets.finished(path)
    return FrameStore.open(path, found[0].name if found else None)


def open_cloud(path: str | Path, frame: int | None, reference: Frame) -> Float32[np.ndarray, "points 3"]:
    """A cloud by what a command line names: a file, or a frame of a prepared store.

    Args:
        path: a file for `read_cloud`, or a store's folder.
        frame: which frame of the store, whose points come in metres, in the frame of reference `reference`.
        reference: that of the pre-training: "camera", or "gravity" (turned by the frame's pose, z up).

    Raises:
        DataError: as `read_cloud`; no such store, or no such frame in it.
    """
    path = Path(path)
    if frame is None and path.is_dir():
        raise DataError(path, "is a folder", "Name a file; or a frame of this store with --frame N")
    if frame is None:
        return read_cloud(path)
    return frame_cloud(open_store(path), frame, reference)


def frame_cloud(store: FrameStore, frame: int, reference: Frame) -> Float32[np.ndarray, "points 3"]:
    """A frame of a store, in metres; arguments and errors as `open_cloud`'s."""
    if not 0 <= frame < len(store):
        raise DataError(store.path, f"has no frame {frame}", f"Its frames are 0 to {len(store) - 1}")
    cloud = store.cloud(frame)
    return cloud @ store.pose(frame)[:3, :3].T if reference == "gravity" else cloud


def training_form(
    points: Num[np.ndarray, "points 3"],
    up: Axis | None,
    frame: Frame,
    count: int,
    least: int = 1,
    name: str | Path = "point cloud",
) -> tuple[Float[Tensor, "1 count 3"], Float[np.ndarray, "3"], float]:
    """A cloud as the loader hands clouds to pre-training: turned, its mean at the origin, in the unit sphere, a draw
    of `count` points (always the same one). Points that are not finite, or so far off that they were never measured
    (`datasets.coordinates.usable`), are left out.

    Args:
        points: any unit; one view of a depth camera is what pre-training knows.
        up: which of its axes points up; None takes it to be in the frame of pre-training already.
        frame: of the pre-training: "gravity" has z up; "camera" has x right, y down, z forward.
        count: points drawn, some of them more than once where there are fewer.
        least: fewer points than this are refused.
        name: what errors call the cloud.

    Returns:
        The cloud, and its centre and radius: `cloud * radius + centre` is in the frame of pre-training, in the input's
        unit.

    Raises:
        DataError: too few (finite) points, or all in one place.
    """
    rows = np.asarray(points)
    rows = rows[usable(rows)].astype(np.float32)
    if len(rows) < least:
        raise DataError(name, f"has {len(rows)} finite points", f"Give one of {least} or more")
    rows = rows @ turn(up, frame).T
    sphere = to_unit_sphere(torch.from_numpy(rows)[None])
    if float(sphere.radius) <= 1e-6:
        raise DataError(name, "has all its points in one place", "Give one with an extent")
    chosen = draw_rows(numpy_generator(0, "cloud"), len(rows), count)
    return sphere.points[:, torch.from_numpy(chosen)], sphere.centre[0, 0].numpy(), float(sphere.radius)


def turn(up: Axis | None, frame: Frame) -> Float32[np.ndarray, "3 3"]:
    """The rotation from a cloud whose axis `up` points up to the frame of pre-training."""
    if up is None:
        return np.eye(3, dtype=np.float32)
    to_z = to_z_up(up)[:3, :3]
    return to_z if frame == "gravity" else np.array(Z_UP_TO_CAMERA, np.float32) @ to_z


def _read_npy(path: Path) -> Float32[np.ndarray, "points 3"]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, it cannot be larger than the file
    except FileNotFoundError:
        raise DataError(path, "no such file", "Name an existing one") from None
    except UNREADABLE_ARRAY as error:
        raise DataError(path, f"not a readable .npy ({error})", "Write it with numpy.save") from None
    if not isinstance(array, np.ndarray):
        raise DataError(path, "an archive of arrays", "Give one array, written with numpy.save")
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise DataError(path, f"is {array.dtype} {array.shape}", "Give numbers of shape (points, 3 or more)")
    return _single(array[:, :3])


def _single(points: np.ndarray) -> Float32[np.ndarray, "points 3"]:
    """In single precision, where what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return points.astype(np.float32)


def _read_text(path: Path, delimiter: str | None) -> Float32[np.ndarray, "points 3"]:
    try:
        with path.open(encoding="utf-8") as file:
            first = next((line for line in file if line.strip()), "")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"not a readable text ({error})", "Name a text file of numbers in columns") from None
    delimiter = "," if "," in first else delimiter
    columns = len(first.split(delimiter))
    if columns < 3:
        raise DataError(path, f"{columns} columns where x, y, z belong", "Give three or more", "line 1")
    return read_columns(path, columns, delimiter)[:, :3]

"""A user's point cloud as pre-training saw clouds: from a file, turned, centred, scaled, so many points."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

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
from pointdistill.io.las import read_las
from pointdistill.io.obj import read_obj
from pointdistill.io.off import read_off
from pointdistill.io.pcd import read_pcd
from pointdistill.io.ply import read_vertices
from pointdistill.loader import draw_rows
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore

Frame = Literal["camera", "gravity"]
Z_UP_TO_CAMERA = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
"""Rotation from z up to a level camera that looks along y: x right, y down, z forward."""


def read_cloud(path: str | Path) -> Float[np.ndarray, "points 3"]:
    """The points of a file, in its own frame and unit; colours, normals and faces are left alone.

    Args:
        path: .ply, .pcd or .las; .npy of shape (points, 3 or more); text with three or more columns
            (.txt, .xyz, .pts, .csv); or a mesh, of which the vertices are taken (.obj, .off).

    Returns:
        In double precision where the file may have it: maps' coordinates are millions of metres.

    Raises:
        DataError: no such file, an unknown ending, or something else in it.
    """
    path = Path(path)
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(path, "no known kind of point cloud", f"Give a {', '.join(READERS)}")
    return read(path)


def cloud_files(folder: Path) -> list[Path]:
    """The files of a folder that `read_cloud` reads, by their names; folders below it are left alone."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in READERS and path.is_file())


def open_store(path: Path) -> FrameStore:
    """A store whose clouds are wanted, whichever teachers' targets lie beside them."""
    found = targets.finished(path)
    return FrameStore.open(path, found[0].name if found else None)


def open_cloud(path: str | Path, frame: int | None, reference: Frame) -> Float[np.ndarray, "points 3"]:
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


class UnitCloud(NamedTuple):
    """A cloud in the unit sphere, and the way back: `points * radius + centre` is in the frame of pre-training, in the
    input's unit."""

    points: Float[Tensor, "count 3"]
    centre: Float[np.ndarray, "3"]
    radius: float


def unit_cloud(
    points: Num[np.ndarray, "points 3"],
    up: Axis | None,
    frame: Frame,
    count: int | None = None,
    least: int = 1,
    name: str | Path = "point cloud",
) -> UnitCloud:
    """A cloud turned, its mean at the origin, in the unit sphere, and a draw of its points (always the same one).
    Points that are not finite, or so far off that they were never measured (`datasets.coordinates.usable`), are left
    out.

    Args:
        points: any unit; one view of a depth camera is what pre-training knows.
        up: which of its axes points up; None takes it to be in the frame of pre-training already.
        frame: of the pre-training: "gravity" has z up; "camera" has x right, y down, z forward.
        count: points drawn, some of them more than once where there are fewer; None takes all, in their order.
        least: fewer points than this are refused.
        name: what errors call the cloud.

    Raises:
        DataError: too few (finite) points, or all in one place.
    """
    rows = np.asarray(points)
    rows = rows[usable(rows)]
    if len(rows) < least:
        raise DataError(name, f"has {len(rows)} finite points", f"Give one of {least} or more")
    # Far from the origin single precision has no millimetres: what has more is centred before.
    origin = np.zeros(3) if rows.dtype == np.float32 else rows.mean(0, dtype=np.float64)
    rows = (rows if rows.dtype == np.float32 else rows - origin).astype(np.float32) @ turn(up, frame).T
    sphere = to_unit_sphere(torch.from_numpy(rows)[None])
    if float(sphere.radius) <= 1e-6:
        raise DataError(name, "has all its points in one place", "Give one with an extent")
    drawn = sphere.points[0]
    if count is not None:
        drawn = drawn[torch.from_numpy(draw_rows(numpy_generator(0, "cloud"), len(rows), count))]
    centre = sphere.centre[0, 0].numpy() + turn(up, frame).astype(np.float64) @ origin
    return UnitCloud(drawn, centre, float(sphere.radius))


def training_form(
    points: Num[np.ndarray, "points 3"],
    up: Axis | None,
    frame: Frame,
    count: int,
    least: int = 1,
    name: str | Path = "point cloud",
) -> tuple[Float[Tensor, "1 count 3"], Float[np.ndarray, "3"], float]:
    """A cloud as the loader hands clouds to pre-training, as a batch of one, with its centre and radius; arguments and
    errors as `unit_cloud`'s."""
    drawn, centre, radius = unit_cloud(points, up, frame, count, least, name)
    return drawn[None], centre, radius


def turn(up: Axis | None, frame: Frame) -> Float32[np.ndarray, "3 3"]:
    """The rotation from a cloud whose axis `up` points up to the frame of pre-training."""
    if up is None:
        return np.eye(3, dtype=np.float32)
    to_z = to_z_up(up)[:3, :3]
    return to_z if frame == "gravity" else np.array(Z_UP_TO_CAMERA, np.float32) @ to_z


def _read_ply(path: Path) -> Float[np.ndarray, "points 3"]:
    vertices = read_vertices(path)
    return _floats(np.stack([vertices[axis] for axis in "xyz"], 1))


def _read_off(path: Path) -> Float[np.ndarray, "points 3"]:
    return read_off(path).vertices


def _read_npy(path: Path) -> Float[np.ndarray, "points 3"]:
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
    return _floats(array[:, :3])


def _floats(points: np.ndarray) -> Float[np.ndarray, "points 3"]:
    """In single precision what fits into it, in double what may not."""
    return points.astype(np.float32 if np.can_cast(points.dtype, np.float32) else np.float64)


def _read_text(path: Path, delimiter: str | None = None) -> Float[np.ndarray, "points 3"]:
    try:
        with path.open(encoding="utf-8") as file:
            head = list(itertools.islice((line for line in file if line.strip()), 2))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"not a readable text ({error})", "Name a text file of numbers in columns") from None
    first = head[0] if head else ""
    counts = len(head) == 2 and first.strip().isdigit()  # .pts: how many points follow
    if counts:
        first = head[1]
    delimiter = "," if "," in first else delimiter
    columns = len(first.split(delimiter))
    if columns < 3:
        raise DataError(path, f"{columns} columns where x, y, z belong", "Give three or more", "line 1")
    return read_columns(path, columns, delimiter, skip=int(counts), kind=np.float64)[:, :3]


READERS: dict[str, Callable[[Path], Float[np.ndarray, "points 3"]]] = {
    ".ply": _read_ply,
    ".pcd": read_pcd,
    ".las": read_las,
    ".npy": _read_npy,
    ".txt": _read_text,
    ".xyz": _read_text,
    ".pts": _read_text,
    ".csv": _read_text,
    ".obj": read_obj,
    ".off": _read_off,
}
"""How files of each ending are read."""

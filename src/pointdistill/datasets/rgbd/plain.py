"""Recordings of any other shape, described by a recording.json beside them. Example and fields: docs/data.md."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pointdistill.datasets.axes import AXES, to_z_up
from pointdistill.datasets.coordinates import usable
from pointdistill.datasets.rgbd.cameras import Cameras, Pinhole, pinhole_of, positive
from pointdistill.datasets.rgbd.contents import NO_POSE, Contents, FolderRecording
from pointdistill.datasets.rgbd.images import Shot
from pointdistill.datasets.rgbd.pairing import in_order, pair, unpaired
from pointdistill.datasets.rgbd.poses import is_rigid, read_matrices
from pointdistill.errors import DataError
from pointdistill.files import is_below, read_json

DESCRIPTION = "recording.json"
_REQUIRED = ("colour", "depth", "depth_scale")
_INTRINSICS = ("intrinsics", "colour_intrinsics", "depth_intrinsics")
_OPTIONAL = ("invalid", "poses", "up", "colour_to_depth")
_SEE = 'Its fields are listed in docs/data.md, "Your own recordings".'
_WILD = "*?["


def is_recording(folder: Path) -> bool:
    return (folder / DESCRIPTION).is_file()


def recording(folder: Path, name: str) -> FolderRecording:
    """The recording that a recording.json describes.

    Raises:
        DataError: a field is missing, unknown or not what it should be.
    """
    described = _Description(folder)
    return FolderRecording(name, folder, contents, "z" if described.up else None, described.poses is not None)


def contents(folder: Path) -> Contents:
    """The frames that a recording.json describes.

    Raises:
        DataError: a field is missing, unknown or not what it should be; a pattern fits no file; files cannot be paired;
            lists differ in length; or there are not as many poses as frames.
    """
    described = _Description(folder)
    depth = described.files("depth")
    if described.lists:
        colour = described.files("colour")
        pairs = list(zip(colour, depth, strict=True))
    else:
        of_depth = {*depth}
        colour = [path for path in described.files("colour") if path not in of_depth]  # *.png may fit both
        pairs = pair(colour, depth, folder)
    poses, sources = described.poses_of([first for first, _ in pairs])
    shots = [Shot(first, second, pose) for (first, second), pose in zip(pairs, poses, strict=True)]
    turn = to_z_up(described.up or "z")
    left_out = unpaired(len(pairs), len(colour), len(depth))
    return Contents(described.cameras(), shots, (folder / DESCRIPTION, *sources), left_out, turn)


class _Description:
    """A checked recording.json.

    Attributes:
        up: the axis of its world that points up, or None.
        poses: a file, a pattern of files, a list of files and nulls, or None.
        lists: whether colour and depth are lists of files, which belong together by their place.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / DESCRIPTION
        content = read_json(self.path, _SEE)
        if not isinstance(content, dict):
            raise DataError(self.path, "is not a JSON object", _SEE)
        self._content: dict[str, Any] = content
        unknown = sorted({*content} - {*_REQUIRED, *_INTRINSICS, *_OPTIONAL})
        missing = [name for name in _REQUIRED if name not in content]
        if unknown or missing:
            problem = f"has no field {missing[0]!r}" if missing else f"has an unknown field {unknown[0]!r}"
            raise DataError(self.path, problem, _SEE)
        self.poses, self.up = content.get("poses"), content.get("up")
        self.lists = isinstance(content["colour"], list)
        for name in ("colour", "depth", "poses"):
            if name != "poses" or self.poses is not None:
                self._check_names(name)
        if self.up is not None and self.up not in AXES:
            raise self._wrong("up", f"{self.up!r} is none of {', '.join(AXES)}")
        if self.up is not None and self.poses is None:
            raise self._wrong("up", "an axis of a world, but there are no poses")
        self.cameras()

    def files(self, field: str) -> list[Path]:
        """The files that a field lists, or that its pattern fits, in order."""
        pattern = self._content[field]
        if isinstance(pattern, list):
            return [self.folder / name for name in pattern]
        try:
            found = in_order([path for path in self.folder.glob(pattern) if path.is_file()])
        except (ValueError, NotImplementedError, OSError) as error:
            raise self._wrong(field, f"{pattern[:40]!r} is no pattern below this folder ({error})") from None
        if not found:
            raise self._wrong(field, f"{pattern!r} fits no file")
        return found

    def poses_of(self, colour: list[Path]) -> tuple[list[Float32[np.ndarray, "4 4"] | Path | None], tuple[Path, ...]]:
        """The pose of each of these frames, and the file that holds all of them, if there is one."""
        if self.poses is None:
            return [NO_POSE] * len(colour), ()
        if isinstance(self.poses, list):
            return [None if name is None else self.folder / name for name in self.poses], ()
        files = self.files("poses")
        if any(sign in self.poses for sign in _WILD):
            of_image = dict(pair(colour, files, self.folder))
            return [of_image.get(image) for image in colour], ()
        poses = read_matrices(files[0])
        if len(poses) != len(colour):
            raise DataError(files[0], f"holds {len(poses)} poses, but there are {len(colour)} frames", _SEE)
        return list(poses), (files[0],)

    def cameras(self) -> Cameras:
        colour, depth = (self._pinhole(f"{which}_intrinsics") for which in ("colour", "depth"))
        scale = positive(self._content["depth_scale"], self.path, "depth_scale", _SEE)
        invalid = self._content.get("invalid", [])
        if not isinstance(invalid, list) or not all(type(value) is int for value in invalid):
            raise self._wrong("invalid", "is not a list of whole numbers")
        return Cameras(colour, depth, scale, tuple(invalid), self._colour_to_depth())

    def _pinhole(self, field: str) -> Pinhole:
        name = field if field in self._content else "intrinsics"
        if name not in self._content:
            raise DataError(self.path, f"has neither a field {field!r} nor 'intrinsics'", _SEE)
        return pinhole_of(self._content[name], self.path, name, _SEE)

    def _colour_to_depth(self) -> Float32[np.ndarray, "4 4"]:
        try:
            matrix = np.array(self._content.get("colour_to_depth", np.eye(4)), np.float64)
        except (ValueError, TypeError, OverflowError):
            matrix = np.zeros(0)
        if matrix.shape != (4, 4) or not (usable(matrix).all() and is_rigid(matrix.astype(np.float32))):
            raise self._wrong("colour_to_depth", "is not 4 rows of 4 numbers that turn and shift")
        return matrix.astype(np.float32)

    def _check_names(self, field: str) -> None:
        """A pattern; or, where colour is a list, one as long: of files, and of nulls where a frame has no pose."""
        value = self._content[field]
        if isinstance(value, list):
            if not value or not all((isinstance(v, str) and v) or (v is None and field == "poses") for v in value):
                raise self._wrong(field, "is not a list of file names")
            colour = self._content["colour"]
            if not self.lists or len(value) != len(colour):
                raise self._wrong(field, f"a list of {len(value)} files goes with one of as many in 'colour'")
        elif not isinstance(value, str) or not value or (self.lists and field == "depth"):
            expected = "a list of files, as 'colour' is" if self.lists else "a pattern of file names, or a list"
            raise self._wrong(field, f"{value!r} is not {expected}")
        for name in value if isinstance(value, list) else [value]:
            if name is not None and not is_below(name):
                what = "file" if isinstance(value, list) else "pattern"
                raise self._wrong(field, f"{name[:40]!r} is no {what} below this folder")

    def _wrong(self, field: str, problem: str) -> DataError:
        return DataError(self.path, problem, _SEE, field)

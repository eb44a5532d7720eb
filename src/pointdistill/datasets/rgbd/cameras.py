"""The cameras of recordings that are folders of images, and the camera.json by which a user names others."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pointdistill.datasets.coordinates import LARGEST
from pointdistill.errors import DataError
from pointdistill.files import read_json

CAMERA_FILE = "camera.json"
_FORM = (
    'It must be {"intrinsics": {"fx": 525, "fy": 525, "cx": 319.5, "cy": 239.5}}, with "depth_scale" (units a metre) '
    "if that differs too."
)


@dataclass(frozen=True)
class Pinhole:
    """Focal lengths and centre in pixels, pixel centres at integers: u = fx x / z + cx.

    Attributes:
        size: (width, height) of the images that these belong to, if known.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int] | None = None

    def matrix(self) -> Float32[np.ndarray, "4 4"]:
        matrix = np.eye(4, dtype=np.float32)
        matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = self.fx, self.fy, self.cx, self.cy
        return matrix


@dataclass(frozen=True)
class Cameras:
    """Both cameras of a recording.

    Attributes:
        colour, depth: the same where depth was registered to colour.
        depth_scale: depth units a metre.
        invalid: numbers in a depth image that mean "no depth", beside 0.
        colour_to_depth: from the colour camera's frame to the depth camera's, metres.
    """

    colour: Pinhole
    depth: Pinhole
    depth_scale: float
    invalid: tuple[int, ...] = ()
    colour_to_depth: Float32[np.ndarray, "4 4"] = field(default_factory=lambda: np.eye(4, dtype=np.float32), repr=False)


def camera_file(folder: Path) -> Path | None:
    """The camera.json of a recording: in its folder, or in the one above for all recordings there."""
    return next((place / CAMERA_FILE for place in (folder, folder.parent) if (place / CAMERA_FILE).is_file()), None)


def with_camera_file(cameras: Cameras, path: Path | None) -> Cameras:
    """The cameras as a user's camera.json names them; those given where there is none.

    Raises:
        DataError: the file is damaged, or a field of it is unknown or not what it should be.
    """
    if path is None:
        return cameras
    content = read_json(path, _FORM)
    if not isinstance(content, dict) or not {*content} <= {"intrinsics", "depth_scale"}:
        raise DataError(path, "is not of a camera", _FORM)
    if "intrinsics" in content:
        pinhole = pinhole_of(content["intrinsics"], path, "intrinsics", _FORM)
        cameras = replace(cameras, colour=pinhole, depth=pinhole)
    if "depth_scale" in content:
        cameras = replace(cameras, depth_scale=positive(content["depth_scale"], path, "depth_scale", _FORM))
    return cameras


def pinhole_of(value: Any, path: Path, place: str, remedy: str) -> Pinhole:
    """Raises DataError, naming the field, unless the value holds fx, fy, cx and cy."""
    if not isinstance(value, dict) or {*value} != {"fx", "fy", "cx", "cy"}:
        raise DataError(path, "does not hold fx, fy, cx, cy and nothing else", remedy, place)
    fx, fy = (positive(value[name], path, f"{place}.{name}", remedy) for name in ("fx", "fy"))
    cx, cy = (_number(value[name], path, f"{place}.{name}", remedy) for name in ("cx", "cy"))
    return Pinhole(fx, fy, cx, cy)


def positive(value: Any, path: Path, place: str, remedy: str) -> float:
    """Raises DataError, naming the field, unless the value is a number above 0."""
    number = _number(value, path, place, remedy)
    if number <= 0:
        raise DataError(path, f"{value!r} is not above 0", remedy, place)
    return number


def _number(value: Any, path: Path, place: str, remedy: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise DataError(path, f"{str(value)[:40]!r} is not a number, or beyond {LARGEST:g}", remedy, place)
    return float(value)

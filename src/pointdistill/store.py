"""Prepared frames and one teacher's targets of them: memory-mapped arrays, one row a frame, and their manifests.

Written by prepare.py, or by prepare_shapes.py without cameras and targets; read by loader.py.
"""

import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int, Int16, Int32, Int64
from PIL import Image

from pointdistill import manifest, targets
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_ARRAY, is_plain

FORMAT = 2
HALF_RANGE = 1 << 15
"""Added to the int16 coordinates to make them count from the lower corner of the frame's box."""

FIELDS: dict[str, str] = {
    "points": "int16",
    "counts": "int32",
    "lower": "float32",
    "step": "float32",
    "centre": "float32",
    "scale": "float32",
    "colour_intrinsics": "float32",
    "depth_intrinsics": "float32",
    "colour_to_depth": "float32",
    "colour_size": "int32",
    "depth_size": "int32",
    "poses": "float32",
    "scans": "int32",
    "frames": "int32",
}
"""The arrays of a store's frames, one .npy each, and their types; the targets are `targets.DTYPE`."""
SHAPE_FIELDS = ("points", "counts", "lower", "step", "centre", "scale", "scans", "frames")
"""Those of them that a store of shapes has: no camera saw these, and no teacher."""
NO_TEACHER: dict[str, Any] = {"identity": "none", "weights_hash": "", "target_shape": [0, 0]}


@dataclass(frozen=True)
class FrameStore:
    """Frames of a store; all arrays have one row a frame. Metres; camera frame is x right, y down, z forward.

    A shape (`prepare_shapes`) is a frame of its own scan, z up, in its data set's unit. Its cameras and pose are
    identities, its images of no size, and its targets empty: for methods that need none.

    Attributes:
        path: the store's folder.
        manifest: what the frames were made from: settings, scans, skipped frames, hashes.
        targets_manifest: whose the targets are, the hashes of their file and of the frames they belong to.
        points: int16 coordinates; `lower + (points + 32768) * step` is in the depth camera's frame. Rows from
            `counts` on are filling.
        counts: how many points each frame has.
        lower, step: lower corner of the frame's box, and the size of one unit, along each axis.
        centre, scale: the mean of the points, and the distance of the farthest from it.
        colour_intrinsics, depth_intrinsics: of each camera, pixel centres at integers.
        colour_to_depth: from the colour camera's frame to the depth camera's.
        colour_size, depth_size: (width, height) of the images that the intrinsics belong to.
        poses: depth camera to world; z up where `up` says so.
        scans, frames: each frame's scan, an index into `scan_names`, and its number in the recording.
        targets: what the teacher said about the colour image.
    """

    path: Path
    manifest: dict[str, Any] = field(repr=False)
    targets_manifest: dict[str, Any] = field(repr=False)
    points: Int16[np.ndarray, "frames points 3"] = field(repr=False)
    counts: Int32[np.ndarray, "frames"] = field(repr=False)
    lower: Float32[np.ndarray, "frames 3"] = field(repr=False)
    step: Float32[np.ndarray, "frames 3"] = field(repr=False)
    centre: Float32[np.ndarray, "frames 3"] = field(repr=False)
    scale: Float32[np.ndarray, "frames"] = field(repr=False)
    colour_intrinsics: Float32[np.ndarray, "frames 4 4"] = field(repr=False)
    depth_intrinsics: Float32[np.ndarray, "frames 4 4"] = field(repr=False)
    colour_to_depth: Float32[np.ndarray, "frames 4 4"] = field(repr=False)
    colour_size: Int32[np.ndarray, "frames 2"] = field(repr=False)
    depth_size: Int32[np.ndarray, "frames 2"] = field(repr=False)
    poses: Float32[np.ndarray, "frames 4 4"] = field(repr=False)
    scans: Int32[np.ndarray, "frames"] = field(repr=False)
    frames: Int32[np.ndarray, "frames"] = field(repr=False)
    targets: Float16[np.ndarray, "frames prefix dim"] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path, teacher: str | None = None, verify: bool = False) -> "FrameStore":
        """Open a finished store; sizes and types of all arrays are checked against the manifests.

        Args:
            teacher: whose targets: an identity, its slug, or a beginning of one (`targets.choose`). It may be left out
                where there is one.
            verify: also compare the sha256 of every file with the manifests'.

        Raises:
            DataError: no manifest (preparation did not finish), another format, a file that differs from it, no targets
                of this teacher, or those of several to choose from.
        """
        path = Path(path)
        with manifest.reading(path):
            return cls._open(path, teacher, verify)

    @classmethod
    def _open(cls, path: Path, teacher: str | None, verify: bool) -> "FrameStore":
        content = frames_manifest(path)
        for name, entry in content["files"].items():
            if not is_plain(name):
                raise DataError(path / manifest.NAME, f"{name[:40]!r} is no file of a store", manifest.AGAIN)
            _check_file(path / name, entry, verify)
        fields = SHAPE_FIELDS if content["kind"] == "shapes" else FIELDS
        arrays = {name: _map(path / f"{name}.npy", content["files"][f"{name}.npy"]) for name in fields}
        if content["kind"] == "shapes":
            if teacher is not None:
                raise DataError(path, "holds shapes, which no teacher has seen", "Leave the teacher out.")
            return cls(path, content, {"teacher": NO_TEACHER}, **arrays, **_unseen(content["frames"]))
        folder = targets.choose(path, teacher)
        of_targets = _targets_manifest(path, folder)
        entry = of_targets["files"][targets.ARRAY]
        _check_file(folder / targets.ARRAY, entry, verify)
        return cls(path, content, of_targets, **arrays, targets=_map(folder / targets.ARRAY, entry))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def scan_names(self) -> list[str]:
        return self.manifest["scans"]

    @property
    def up(self) -> str | None:
        """ "z" if the poses lead into a world whose z points up, None if nobody knows. Stores that do not say are older
        than the question: of ScanNet's scans."""
        return self.manifest.get("up", "z")

    @property
    def has_targets(self) -> bool:
        """Whether a teacher said anything about the frames; none did about shapes."""
        return self.manifest["kind"] == "frames"

    @property
    def teacher(self) -> dict[str, Any]:
        """identity, weights_hash and target_shape of the teacher; `NO_TEACHER` of shapes."""
        return self.targets_manifest["teacher"]

    @property
    def targets_name(self) -> str:
        """Name of the folder of the targets: what another store calls the same teacher's."""
        return targets.folder_of(self.path, self.teacher).name

    @property
    def target_shape(self) -> tuple[int, int]:
        return self.targets.shape[1], self.targets.shape[2]

    @property
    def manifest_hash(self) -> str:
        """sha256 of the targets' manifest, and through the hashes in it of the frames and of these targets alone; of
        shapes, of their own."""
        if not self.has_targets:
            return manifest.file_sha256(self.path / manifest.NAME)
        return manifest.file_sha256(targets.folder_of(self.path, self.teacher) / manifest.NAME)

    def cloud(self, index: int) -> Float32[np.ndarray, "points 3"]:
        """All points of a frame, metres, in the depth camera's frame."""
        rows = self.points[index, : self.counts[index]].astype(np.float32)
        return self.lower[index] + (rows + HALF_RANGE) * self.step[index]

    def pose(self, index: int) -> Float32[np.ndarray, "4 4"]:
        """Depth camera to world, metres; z up where `up` says so."""
        return np.array(self.poses[index])

    def scan_of(self, index: int) -> str:
        return self.scan_names[int(self.scans[index])]

    def in_scans(self, names: set[str]) -> Bool[np.ndarray, "frames"]:
        """Which frames are of these scans: to hold out whole scans, never single frames of one."""
        return np.isin(self.scans, [i for i, name in enumerate(self.scan_names) if name in names])

    def image(self, index: int) -> Image.Image:
        """The frame's colour image, its shorter side as `keep_images` said.

        Raises:
            DataError: the store was prepared without images.
        """
        if "images.bin" not in self.manifest["files"]:
            raise DataError(self.path, "holds no images", "Prepare it with --keep-images 224.")
        offsets = self.image_offsets
        with (self.path / "images.bin").open("rb") as file:
            file.seek(int(offsets[index]))
            data = file.read(int(offsets[index + 1] - offsets[index]))
        return Image.open(io.BytesIO(data)).convert("RGB")

    @cached_property
    def image_offsets(self) -> Int64[np.ndarray, "frames_and_end"]:
        return np.load(self.path / "image_offsets.npy", mmap_mode="r", allow_pickle=False)

    def target_statistics(
        self, indices: Int[np.ndarray, "chosen"] | None = None
    ) -> tuple[Float32[np.ndarray, "prefix dim"], Float32[np.ndarray, "prefix dim"]]:
        """Mean and standard deviation of the targets over some frames (all, unless told).

        Raises:
            DataError: a frame has targets that are not finite.
        """
        chosen = np.arange(len(self)) if indices is None else np.asarray(indices)
        total = np.zeros(self.target_shape)
        squares = np.zeros(self.target_shape)
        # Two passes: the mean holds most of a prefix's energy, so subtracting squares would lose digits.
        for rows in np.array_split(chosen, -(-len(chosen) // 1024)):
            total += self.targets[rows].sum(0, dtype=np.float64)
        mean = total / len(chosen)
        if not np.isfinite(mean).all():
            self.require_finite_targets(chosen)
        for rows in np.array_split(chosen, -(-len(chosen) // 1024)):
            squares += ((self.targets[rows] - mean) ** 2).sum(0)
        return mean.astype(np.float32), np.sqrt(squares / len(chosen)).astype(np.float32)

    def require_finite_targets(self, indices: Int[np.ndarray, "chosen"]) -> None:
        """Raises DataError naming the first of these frames that has a target which is NaN or infinite."""
        for index in np.asarray(indices).tolist():
            if not np.isfinite(self.targets[index]).all():
                place = f"frame {index} ({self.scan_of(index)} {self.frames[index]})"
                path = targets.folder_of(self.path, self.teacher) / targets.ARRAY
                raise DataError(path, "its targets are not finite numbers", manifest.AGAIN, place)


def frames_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a store's finished frames.

    Raises:
        DataError: it is not there (preparation did not finish), damaged, or of another format.
    """
    content = manifest.read(path)
    if content.get("kind") not in ("frames", "shapes") or content.get("format") != FORMAT:
        raise DataError(path / manifest.NAME, f"is not of a frame store of format {FORMAT}", manifest.AGAIN)
    return content


def kept_frames(path: Path) -> dict[str, tuple[int, ...]]:
    """Numbers of the frames of each scan in a store whose frames are finished."""
    content = frames_manifest(path)
    scans, frames = (_map(path / f"{name}.npy", content["files"][f"{name}.npy"]) for name in ("scans", "frames"))
    return {name: tuple(frames[scans == number].tolist()) for number, name in enumerate(content["scans"])}


def _unseen(shapes: int) -> dict[str, np.ndarray]:
    """The fields of shapes that no camera saw; views of one row, whatever their number."""
    identity = np.broadcast_to(np.eye(4, dtype=np.float32), (shapes, 4, 4))
    size = np.broadcast_to(np.zeros(2, np.int32), (shapes, 2))
    matrices = ("colour_intrinsics", "depth_intrinsics", "colour_to_depth", "poses")
    targets_of_none = np.empty((shapes, *NO_TEACHER["target_shape"]), targets.DTYPE)
    return {**dict.fromkeys(matrices, identity), "colour_size": size, "depth_size": size, "targets": targets_of_none}


def _targets_manifest(path: Path, folder: Path) -> dict[str, Any]:
    content = manifest.read(folder)
    if content.get("kind") != "targets" or content.get("format") != FORMAT:
        raise DataError(folder / manifest.NAME, f"is not of targets of format {FORMAT}", manifest.AGAIN)
    if content["frames"] != manifest.file_sha256(path / manifest.NAME):
        raise DataError(folder, f"holds targets of other frames than {path} does", manifest.AGAIN)
    return content


def _check_file(path: Path, entry: dict[str, Any], verify: bool) -> None:
    if not path.is_file():
        raise DataError(path, "is missing from the store", manifest.AGAIN)
    remedy = f"Delete the store and prepare it again; {path.name} was changed or damaged."
    if path.stat().st_size != entry["bytes"]:
        raise DataError(path, f"has {path.stat().st_size} bytes where {entry['bytes']} belong", remedy)
    if verify and manifest.file_sha256(path) != entry["sha256"]:
        raise DataError(path, "differs from its sha256 in the manifest", remedy)


def _map(path: Path, entry: dict[str, Any]) -> np.ndarray:
    """The array as a plain view of the mapped file: numpy's memmap class would cost microseconds at every slice."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE_ARRAY as error:
        raise DataError(path, f"is not a readable array ({error})", manifest.AGAIN) from None
    if array.dtype != entry["dtype"] or list(array.shape) != entry["shape"]:
        found = f"{array.dtype} {array.shape}"
        raise DataError(path, f"is {found} where the manifest says {entry['dtype']} {entry['shape']}", manifest.AGAIN)
    return np.asarray(array)

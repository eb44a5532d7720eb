"""A data set's reader in a file of the user's own: a class made of the folder, in every worker process alike.

It has what its data set has, of these:

    recordings(split)      recordings to prepare frames from (`datasets.recording.Recording`)
    splits(), files(split), and one of
      walk(split, points)  labelled objects, with `classes` and `up` (`datasets.objects.ObjectSource`)
      parts(split)         part-labelled shapes, a `datasets.shapenetpart.PartSet`
      scans(split), scene(scan)  labelled scenes by their names, a `datasets.scannet.Scene` each; files(scan) then
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from jaxtyping import Float32

from pointdistill.datasets.objects import ObjectSource, Shape, Up
from pointdistill.datasets.recording import BrokenFrame, RecordedFrame, bytes_of
from pointdistill.datasets.scannet import Scene
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError
from pointdistill.files import is_plain
from pointdistill.user_code import UserCode, load_module

Kind = Literal["objects", "parts", "scenes"]
_MARKS: dict[Kind, tuple[str, ...]] = {
    "objects": ("walk", "classes", "up", "splits", "files"),
    "parts": ("parts", "splits", "files"),
    "scenes": ("scene", "scans", "splits", "files"),
}
"""What a reader of labelled data has; the first is by which it is known."""
_OF_A_READER = (
    "colour_intrinsics",
    "depth_intrinsics",
    "colour_extrinsics",
    "depth_extrinsics",
    "colour_size",
    "depth_size",
    "depth_shift",
    "frame_count",
    "every",
)


@dataclass(frozen=True)
class UserReader:
    """The reader of a folder, with what it gives looked at.

    Attributes:
        code: its file.
        root: the folder.
        reader: the object.
    """

    code: UserCode
    root: Path
    reader: Any

    @property
    def name(self) -> str:
        """What the data set is called: the class's `name`, or its own."""
        return str(getattr(self.reader, "name", self.code.name))

    def recordings(self, split: str) -> list["UserRecording"]:
        """The recordings of a split, sorted by name.

        Raises:
            DataError: it reads none, the split has none, two of the same name, or one without name or open().
        """
        if not hasattr(self.reader, "recordings"):
            raise self._wrong("has no method recordings", "Add --labels for labelled data.")
        with self._telling("recordings"):
            found = list(self.reader.recordings(split))
        if not found:
            raise DataError(self.root, f"{self.code.name} finds no recordings of the split {split!r}", "Name another.")
        for recording in found:
            if not isinstance(getattr(recording, "name", None), str) or not callable(getattr(recording, "open", None)):
                raise self._wrong(f"recordings gave {type(recording).__name__}, without name or open()")
            if not is_plain(recording.name):
                raise self._wrong(f"{recording.name[:40]!r} is no name that a file can have")
        found.sort(key=lambda recording: recording.name)
        names = [recording.name for recording in found]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise self._wrong(f"two recordings are called {twice!r}")
        return [UserRecording(self.code, recording) for recording in found]

    @property
    def kind(self) -> Kind:
        """Which labelled data it reads.

        Raises:
            DataError: none, or it lacks something of what such readers have.
        """
        for kind, members in _MARKS.items():
            if hasattr(self.reader, members[0]):
                missing = [member for member in members if not hasattr(self.reader, member)]
                if missing:
                    raise self._wrong(f"lacks {', '.join(missing)}, which readers of {kind} have")
                return kind
        raise self._wrong("reads no labelled data: it has none of walk, parts and scene", "Leave --labels out.")

    def splits(self) -> list[str]:
        """The splits that are there."""
        with self._telling("splits"):
            return [str(split) for split in self.reader.splits()]

    def files(self, of: str) -> list[Path]:
        """The files that a split (of scenes: a scan) is made from; by their sizes a change of them is known."""
        with self._telling("files"):
            found = [self.root / path for path in self.reader.files(of)]
        for path in found:
            if not path.is_file():
                raise DataError(path, f"no such file, which {self.code.name}.files({of!r}) names", "Restore it.")
            if not path.is_relative_to(self.root):
                raise self._wrong(f"files({of!r}) names {path}, which is not below {self.root}")
        return found

    def objects(self) -> ObjectSource:
        """The reader as a source of labelled objects."""
        return cast(ObjectSource, UserObjects(self))

    def scans(self, split: str) -> tuple[str, ...]:
        """Names of the scenes of a split."""
        with self._telling("scans"):
            found = tuple(self.reader.scans(split))
        wrong = next((name for name in found if not isinstance(name, str) or not is_plain(name)), None)
        if wrong is not None or not found:
            raise self._wrong(f"scans({split!r}) gave {'none' if not found else repr(wrong)}, not names of scans")
        return found

    def fingerprint(self, scan: str) -> str:
        """A hash of names and sizes of a scene's files."""
        sizes = [(path.relative_to(self.root).as_posix(), path.stat().st_size) for path in self.files(scan)]
        return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()

    def scene(self, scan: str) -> Scene:
        """A labelled scene, its arrays of the types that a `Scene` has."""
        with self._telling("scene"):
            found = self.reader.scene(scan)
        if not isinstance(found, Scene):
            raise self._wrong(f"scene({scan!r}) returned {type(found).__name__}, not a datasets.scannet.Scene")
        count, boxes = len(found.points), len(found.boxes)
        wanted: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "points": ((count, 3), np.float32),
            "colours": ((count, 3), np.uint8),
            "semantic": ((count,), np.int16),
            "instance": ((count,), np.int32),
            "boxes": ((boxes, 7), np.float32),
            "box_classes": ((boxes,), np.int16),
        }
        of = f"scene({scan!r})"
        arrays = {name: self._array(getattr(found, name), *want, f"{of}.{name}") for name, want in wanted.items()}
        return Scene(scan, **arrays)

    def part_set(self, split: str) -> PartSet:
        """The part-labelled shapes of a split."""
        with self._telling("parts"):
            found = self.reader.parts(split)
        if not isinstance(found, PartSet) or not len(found.names):
            raise self._wrong(f"parts({split!r}) returned no datasets.shapenetpart.PartSet with shapes in it")
        return found

    def _array(self, value: Any, shape: tuple[int, ...], kind: type[np.generic], what: str) -> np.ndarray:
        array = np.asarray(value)
        if array.shape != shape:
            raise self._wrong(f"{what} has the shape {array.shape} where {shape} belongs")
        if array.dtype.kind not in "iuf" or (np.issubdtype(kind, np.integer) and array.dtype.kind == "f"):
            raise self._wrong(f"{what} is of {array.dtype}, where {np.dtype(kind)} belongs")
        return array.astype(kind)

    def _telling(self, member: str) -> AbstractContextManager[None]:
        return self.code.telling(f"{self.code.name}.{member}")

    def _wrong(self, problem: str, remedy: str = "Mend the file.") -> DataError:
        return self.code.wrong(f"{self.code.name}: {problem}", remedy)


@dataclass(frozen=True)
class UserObjects:
    """Labelled objects of the user's reader: an `ObjectSource` whose shapes are looked at."""

    of: UserReader

    @property
    def root(self) -> Path:
        """The folder."""
        return self.of.root

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        found = self.of.reader.classes
        if isinstance(found, str) or not found or not all(isinstance(name, str) for name in found):
            raise self.of._wrong(f"classes is {found!r}, not names of classes")
        return tuple(found)

    @property
    def up(self) -> Up:
        """Which axis its clouds have up."""
        if self.of.reader.up not in get_args(Up):
            raise self.of._wrong(f"up is {self.of.reader.up!r}, not one of {', '.join(get_args(Up))}")
        return self.of.reader.up

    def splits(self) -> list[str]:
        """The splits that are there."""
        return self.of.splits()

    def files(self, split: str) -> list[Path]:
        """The files that a split is made from."""
        return self.of.files(split)

    def walk(self, split: str, points: int | None = None) -> Iterator[Shape | DataError]:
        """The reader's shapes and problems, each shape with float32 coordinates."""
        classes, count = self.classes, 0
        with self.of._telling("walk"):
            for found in self.of.reader.walk(split, points):
                if isinstance(found, Shape):
                    shape = np.shape(found.points)
                    if len(shape) != 2 or shape[1] != 3:
                        raise self.of._wrong(f"walk gave {found.name!r} points of the shape {shape}, not (points, 3)")
                    if not 0 <= found.label < len(classes):
                        raise self.of._wrong(
                            f"walk gave {found.name!r} the label {found.label} of {len(classes)} classes"
                        )
                    count += 1
                    yield found._replace(points=np.asarray(found.points, np.float32), label=int(found.label))
                elif isinstance(found, DataError):
                    yield found
                else:
                    raise self.of._wrong(f"walk gave {type(found).__name__}, not a datasets.objects.Shape")
        if count == 0:
            raise DataError(self.root, f"{self.of.code.name} finds no shapes of the split {split!r}", "Name another.")


class UserRecording:
    """A recording of the user's reader; pickles together with the file that its class is in.

    Args:
        code: the reader's file.
        recording: what the reader gave.
    """

    def __init__(self, code: UserCode, recording: Any):
        self.code, self.recording = code, recording
        self.name: str = recording.name
        self.up, self.has_poses = getattr(recording, "up", None), getattr(recording, "has_poses", True)

    def bytes(self) -> int:
        """Size of its files, where it knows it or is one file."""
        with self.code.telling(f"{type(self.recording).__name__}.bytes"):
            return int(bytes_of(self.recording))

    def open(self) -> "UserFrames":
        """Its frames; raises DataError for an error in the file."""
        with self.code.telling(f"{type(self.recording).__name__}.open"):
            reader: Any = self.recording.open()
        missing = [member for member in _OF_A_READER if not hasattr(reader, member)]
        if missing:
            name = type(reader).__name__
            raise self.code.wrong(f"{name} lacks {', '.join(missing)}", "See datasets.recording.FrameReader.")
        return UserFrames(self.code, reader)

    def __reduce__(self) -> tuple[Callable, tuple]:
        """A worker process loads the file before it makes the recording, whose class is in there."""
        return UserRecording, (_Code(self.code), self.recording)


class UserFrames:
    """An open recording of the user's, each frame looked at."""

    def __init__(self, code: UserCode, reader: Any):
        self.code, self.reader = code, reader
        self.colour_intrinsics, self.depth_intrinsics = (
            self._matrix("colour_intrinsics"),
            self._matrix("depth_intrinsics"),
        )
        self.colour_extrinsics, self.depth_extrinsics = (
            self._matrix("colour_extrinsics"),
            self._matrix("depth_extrinsics"),
        )
        self.colour_size, self.depth_size = self._size("colour_size"), self._size("depth_size")
        self.depth_shift, self.frame_count = float(reader.depth_shift), int(reader.frame_count)

    def _matrix(self, name: str) -> Float32[np.ndarray, "4 4"]:
        matrix = np.asarray(getattr(self.reader, name), np.float32)
        if matrix.shape != (4, 4):
            owner = type(self.reader).__name__
            raise self.code.wrong(f"{owner}.{name} has the shape {matrix.shape} where (4, 4) belongs")
        return matrix

    def _size(self, name: str) -> tuple[int, int]:
        width, height = getattr(self.reader, name)
        return int(width), int(height)

    def every(self, step: int, on_problem: Callable[[BrokenFrame], None] | None = None) -> Iterator[RecordedFrame]:
        """The reader's frames; raises DataError for one that is not what a frame should be."""
        with self.code.telling(f"{type(self.reader).__name__}.every"):
            for frame in self.reader.every(step, on_problem):
                yield self._looked_at(frame)

    def _looked_at(self, frame: Any) -> RecordedFrame:
        pose, depth = np.asarray(frame.pose, np.float32), np.asarray(frame.depth)
        name = f"{type(self.reader).__name__}, frame {frame.index}"
        if pose.shape != (4, 4):
            raise self.code.wrong(f"{name}: its pose has the shape {pose.shape} where (4, 4) belongs")
        if depth.dtype != np.uint16 or depth.shape != self.depth_size[::-1]:
            problem = f"{name}: its depth is {depth.dtype} of the shape {depth.shape}"
            raise self.code.wrong(f"{problem} where uint16 of {self.depth_size[::-1]} (height, width) belongs")
        if not isinstance(frame.colour, bytes):
            raise self.code.wrong(
                f"{name}: its colour is {type(frame.colour).__name__}, not the bytes of an image file"
            )
        return RecordedFrame(int(frame.index), pose, frame.colour, depth)

    def __enter__(self) -> "UserFrames":
        self.reader.__enter__() if hasattr(self.reader, "__enter__") else None
        return self

    def __exit__(self, *exception: object) -> None:
        if hasattr(self.reader, "__exit__"):
            self.reader.__exit__(*exception)


class _Code:
    """Stands for the file where a recording is pickled: unpickled, it loads it and is a `UserCode`."""

    def __init__(self, code: UserCode):
        self.code = code

    def __reduce__(self) -> tuple[Callable, tuple]:
        return _loaded, (str(self.code.file), self.code.name)


def _loaded(file: str, name: str) -> UserCode:
    load_module(Path(file))
    return UserCode(Path(file), name)


def load_user_reader(code: UserCode, root: str | Path) -> UserReader:
    """An object of the file's class, made of the folder.

    Raises:
        DataError: no such folder, no such class, or an error while the file is loaded or the object made.
    """
    root = Path(root).absolute()
    if not root.exists():
        raise DataError(root, "no such folder", "Name the folder of the data set.")
    made = code.load()
    if not isinstance(made, type):
        raise code.wrong(f"{code.name} is {type(made).__name__}, no class", "Name a class that takes the folder.")
    with code.telling(f"{code.name}({str(root)!r})"):
        return UserReader(code, root, made(root))

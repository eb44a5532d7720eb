"""Examples of what a run sees and says, for the report page: one .npz each (no pickle) under RUN/examples/.

A file's name is its kind and its place in the page: pipeline-000.npz, detection-003.npz, segmentation-000.npz,
parts-000.npz, attention-000.npz, sampling-000.npz, neighbours-000.npz. Its arrays are the fields below; texts are numpy
unicode arrays, the JPEG is an array of bytes.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import numpy as np
from jaxtyping import Float, Int, Integer, UInt8, UInt16

from pointdistill.errors import DataError
from pointdistill.files import read_arrays, write_arrays


@dataclass(frozen=True, eq=False)
class PipelineExample:
    """One frame on its way through the method.

    `colour` is the frame as JPEG bytes, `depth` millimetres (0 = invalid),
    `cloud` and `centres` in the camera frame (x right, y down, z forward; metres or unit sphere, the same for both),
    `patches` the indices into `cloud` of each patch's points. `truth` describes the frame, `teacher` is the frozen
    language model's caption from the teacher's prefix, `student` its caption from the prefix predicted from the cloud
    alone. The two prefixes themselves are optional.
    """

    kind: ClassVar[str] = "pipeline"
    title: str
    colour: bytes
    depth: UInt16[np.ndarray, "height width"]
    cloud: Float[np.ndarray, "points 3"]
    centres: Float[np.ndarray, "groups 3"]
    patches: Integer[np.ndarray, "groups size"]
    truth: str
    teacher: str
    student: str
    teacher_prefix: Float[np.ndarray, "prefix dim"] | None = None
    student_prefix: Float[np.ndarray, "prefix dim"] | None = None


@dataclass(frozen=True, eq=False)
class DetectionExample:
    """A scene with its true and predicted boxes: metres, z up, boxes are centre, size, heading."""

    kind: ClassVar[str] = "detection"
    title: str
    points: Float[np.ndarray, "points 3"]
    colours: UInt8[np.ndarray, "points 3"]
    true_boxes: Float[np.ndarray, "true 7"]
    true_names: list[str]
    predicted_boxes: Float[np.ndarray, "predicted 7"]
    predicted_names: list[str]
    scores: Float[np.ndarray, " predicted"]


@dataclass(frozen=True, eq=False)
class SegmentationExample:
    """A cloud (z up) with a true and a predicted class a point: indices into `names`, below 0 where there is none.

    `colours` are the picture's, where the data have any.
    """

    kind: ClassVar[str] = "segmentation"
    title: str
    points: Float[np.ndarray, "points 3"]
    truth: Int[np.ndarray, " points"]
    predicted: Int[np.ndarray, " points"]
    names: list[str]
    class_colours: UInt8[np.ndarray, "classes 3"] | None = None
    colours: UInt8[np.ndarray, "points 3"] | None = None


@dataclass(frozen=True, eq=False)
class PartExample(SegmentationExample):
    """The same for the parts of one object: `names` are the parts of its category."""

    kind: ClassVar[str] = "parts"


@dataclass(frozen=True, eq=False)
class AttentionExample:
    """How much each concept token reads of each patch of a frame (`report.analyses`).

    `points` in the camera frame (x right, y down, z forward), metres; `patches` the indices of each patch's points;
    each row of `attention` sums to 1.
    """

    kind: ClassVar[str] = "attention"
    title: str
    points: Float[np.ndarray, "points 3"]
    patches: Integer[np.ndarray, "groups size"]
    attention: Float[np.ndarray, "concepts groups"]


@dataclass(frozen=True, eq=False)
class SamplingExample:
    """A frame's cloud and draws of it (Figure 4).

    `points` are all, as in `AttentionExample`; draw i is of `counts[i]` points, whose numbers follow each other in
    `rows`, and `distances[i]` is the mean distance of all points to the nearest one drawn, metres.
    """

    kind: ClassVar[str] = "sampling"
    title: str
    points: Float[np.ndarray, "points 3"]
    counts: Int[np.ndarray, " draws"]
    rows: Int[np.ndarray, " drawn"]
    distances: Float[np.ndarray, " draws"]


@dataclass(frozen=True, eq=False)
class NeighboursExample:
    """A frame's cloud and those of other scans whose frozen features are most like its own, best first.

    `names` and `said` (a caption read from the teacher's prefix, or "") begin with the frame that is asked about, and
    so do `counts`, whose points follow each other in `points` (camera frame, metres); `likeness` is the cosine of the
    features, 1 for the first.
    """

    kind: ClassVar[str] = "neighbours"
    names: list[str]
    said: list[str]
    likeness: Float[np.ndarray, " clouds"]
    counts: Int[np.ndarray, " clouds"]
    points: Float[np.ndarray, "points 3"]


Example = (
    PipelineExample
    | DetectionExample
    | SegmentationExample
    | PartExample
    | AttentionExample
    | SamplingExample
    | NeighboursExample
)
KINDS: tuple[type, ...] = (
    PipelineExample,
    DetectionExample,
    SegmentationExample,
    PartExample,
    AttentionExample,
    SamplingExample,
    NeighboursExample,
)


@dataclass(frozen=True)
class Examples:
    """All examples of a run, each kind in the order of its files."""

    pipeline: list[PipelineExample] = field(default_factory=list)
    detection: list[DetectionExample] = field(default_factory=list)
    segmentation: list[SegmentationExample] = field(default_factory=list)
    parts: list[PartExample] = field(default_factory=list)
    attention: list[AttentionExample] = field(default_factory=list)
    sampling: list[SamplingExample] = field(default_factory=list)
    neighbours: list[NeighboursExample] = field(default_factory=list)


def save_examples(run_folder: Path, examples: Sequence[Example]) -> None:
    """Write examples to RUN/examples/, each kind numbered in its order; older examples of the same kinds go."""
    folder = run_folder / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for kind in {example.kind for example in examples}:
        for old in folder.glob(f"{kind}-*.npz"):
            old.unlink()
        for index, example in enumerate(example for example in examples if example.kind == kind):
            _write(folder / f"{kind}-{index:03d}.npz", example)


def load_examples(run_folder: Path) -> Examples:
    """Read RUN/examples/; kinds that are not there are empty lists. Raises DataError on a damaged file."""
    folder = run_folder / "examples"
    return Examples(
        **{kind.kind: [_read(kind, path) for path in sorted(folder.glob(f"{kind.kind}-*.npz"))] for kind in KINDS}
    )


def _write(path: Path, example: Example) -> None:
    arrays: dict[str, np.ndarray] = {}
    for entry in dataclasses.fields(example):
        value = getattr(example, entry.name)
        if value is None:
            continue
        if isinstance(value, bytes):
            value = np.frombuffer(value, dtype=np.uint8)
        elif isinstance(value, list):
            value = np.array(value, dtype=np.str_)
        arrays[entry.name] = np.asarray(value)
    write_arrays(path, arrays, compress=True)


def _read(kind: type, path: Path) -> Any:
    remedy = "Delete it to leave it out of the page, or run again."
    arrays = read_arrays(path, remedy)
    hints, given = get_type_hints(kind), {}
    for entry in dataclasses.fields(kind):
        if entry.name in arrays:
            given[entry.name] = _native(arrays[entry.name], hints[entry.name])
        elif entry.default is dataclasses.MISSING:
            raise DataError(path, "an array is missing", remedy, entry.name)
    return kind(**given)


def _native(array: np.ndarray, hint: Any) -> Any:
    if hint is bytes:
        return array.tobytes()
    if hint is str:
        return str(array)
    return array.tolist() if hint == list[str] else array

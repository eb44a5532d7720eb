"""ScanNet's labelled scenes: mesh vertices with semantic and instance labels, and the boxes of detection.

Labels are put together as ScanNet's own benchmark scripts do: vertices belong to segments (.segs.json), segments to
objects (.aggregation.json), an object's raw category to a NYU40 id (the label table). Boxes are those of VoteNet and
3DETR: axis aligned, around each instance's vertices, after `axisAlignment` has turned the scan into its room's axes.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int, Int16, Int32, UInt8

from pointdistill.datasets.scannet.labels import DETECTION_CLASSES, read_label_map
from pointdistill.datasets.scannet.layout import LABEL_TABLE, find_file, read_split, scan_folder
from pointdistill.errors import DataError
from pointdistill.files import read_text
from pointdistill.io.ply import read_vertices

__all__ = ["Scene", "read_axis_alignment", "read_scene", "read_split"]
_AGAIN = "Download or write this scan again."


@dataclass(frozen=True)
class Scene:
    """One scanned room.

    Attributes:
        name: the scan's name.
        points: vertices, metres, z up, axes along the room's (axis aligned).
        colours: red, green, blue of each vertex.
        semantic: NYU40 id of each vertex, 0 where unlabelled.
        instance: number of the object that a vertex belongs to, from 1; 0 where none.
        boxes: centre, size and heading (cx, cy, cz, dx, dy, dz, angle) of each instance of a class with boxes: metres,
            radians about z. ScanNet's are axis aligned: their headings are zero.
        box_classes: NYU40 id of each box.
    """

    name: str
    points: Float32[np.ndarray, "vertices 3"]
    colours: UInt8[np.ndarray, "vertices 3"]
    semantic: Int16[np.ndarray, "vertices"]
    instance: Int32[np.ndarray, "vertices"]
    boxes: Float32[np.ndarray, "boxes 7"]
    box_classes: Int16[np.ndarray, "boxes"]


BOX_CLASSES = tuple(c.nyu40 for c in DETECTION_CLASSES)
"""NYU40 ids of the benchmark's classes with boxes."""


def read_scene(
    root: str | Path,
    scan: str,
    labelled: bool = True,
    label_map: dict[str, int] | None = None,
    box_classes: Collection[int] = BOX_CLASSES,
) -> Scene:
    """Read a scan's mesh and labels.

    Args:
        root: the data set's folder.
        labelled: False for the hidden test scans: labels and boxes are then empty.
        label_map: raw category -> NYU40 id; read from the data set's label table unless given.
        box_classes: NYU40 ids of the classes that get boxes.

    Raises:
        DataError: a missing or damaged file, or mesh and labels that do not belong together (both are named).
    """
    folder = scan_folder(root, scan)
    mesh = folder / f"{scan}_vh_clean_2.ply"
    vertices = read_vertices(mesh, ("x", "y", "z", "red", "green", "blue"))
    alignment = read_axis_alignment(folder / f"{scan}.txt")
    raw = np.stack([vertices["x"], vertices["y"], vertices["z"]], 1).astype(np.float64)
    points = (raw @ alignment[:3, :3].T + alignment[:3, 3]).astype(np.float32)
    colours = np.stack([vertices["red"], vertices["green"], vertices["blue"]], 1).astype(np.uint8)
    semantic = np.zeros(len(points), np.int16)
    instance = np.zeros(len(points), np.int32)
    boxes, classes = np.zeros((0, 7), np.float32), np.zeros(0, np.int16)
    if labelled:
        if label_map is None:
            label_map = read_label_map(find_file(root, LABEL_TABLE))
        semantic, instance, objects = _labels(folder, scan, mesh, len(points), label_map)
        boxes, classes = _boxes(points, instance, objects, box_classes)
    return Scene(scan, points, colours, semantic, instance, boxes, classes)


def has_labels(root: str | Path, scan: str) -> bool:
    """Whether the scan comes with labels; ScanNet keeps those of its test split hidden."""
    return (scan_folder(root, scan) / f"{scan}.aggregation.json").is_file()


def read_axis_alignment(path: Path) -> Float[np.ndarray, "4 4"]:
    """Scan frame -> axis-aligned frame, from the scan's .txt; the identity where it holds none (test scans).

    Raises:
        DataError: no such file, or an alignment that is not 16 finite numbers, with the line.
    """
    lines = read_text(path, _AGAIN, "no such scan description").splitlines()
    for number, line in enumerate(lines, 1):
        key, _, value = line.partition("=")
        if key.strip() == "axisAlignment":
            try:
                matrix = np.array([float(x) for x in value.split()]).reshape(4, 4)
            except ValueError:
                raise DataError(path, "axisAlignment is not 16 numbers", _AGAIN, f"line {number}") from None
            if not np.isfinite(matrix).all():
                raise DataError(path, "axisAlignment is not finite", _AGAIN, f"line {number}")
            return matrix
    return np.eye(4)


def _labels(
    folder: Path, scan: str, mesh: Path, vertex_count: int, label_map: dict[str, int]
) -> tuple[Int16[np.ndarray, "vertices"], Int32[np.ndarray, "vertices"], dict[int, int]]:
    """Semantic and instance label of each vertex, and the NYU40 id of each instance."""
    segments_path = folder / f"{scan}_vh_clean_2.0.010000.segs.json"
    try:
        segments = np.asarray(_json_field(segments_path, "segIndices"), np.int64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise DataError(segments_path, "segIndices are not whole numbers", _AGAIN) from None
    if len(segments) != vertex_count:
        problem = f"has {len(segments)} labels for the {vertex_count} vertices of {mesh}"
        raise DataError(segments_path, problem, "Both must come from the same release; download both again.")
    # <scan>_vh_clean.aggregation.json, which lies beside it, speaks of the finer mesh's segments.
    aggregation_path = folder / f"{scan}.aggregation.json"
    # Segment ids are vertex numbers, sparse: give each its position among the ids that occur.
    ids, position = np.unique(segments, return_inverse=True)
    segment_instance = np.zeros(len(ids), np.int32)
    segment_semantic = np.zeros(len(ids), np.int16)
    objects = {}
    for group in _json_field(aggregation_path, "segGroups"):
        try:
            instance, label = int(group["objectId"]) + 1, str(group["label"])
            members = np.asarray(group["segments"], np.int64)
            if not 0 < instance <= np.iinfo(np.int32).max:
                raise ValueError
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(aggregation_path, "a segGroup lacks objectId, label or segments", _AGAIN) from None
        if label not in label_map:
            problem = f"label {label!r} is not in {LABEL_TABLE}"
            raise DataError(aggregation_path, problem, "Use the label table of the same release.", f"object {instance}")
        chosen = np.isin(ids, members)
        segment_instance[chosen] = instance
        segment_semantic[chosen] = label_map[label]
        objects[instance] = label_map[label]
    return segment_semantic[position], segment_instance[position], objects


def _boxes(
    points: Float32[np.ndarray, "vertices 3"],
    instance: Int[np.ndarray, "vertices"],
    objects: dict[int, int],
    box_classes: Collection[int],
) -> tuple[Float32[np.ndarray, "boxes 7"], Int16[np.ndarray, "boxes"]]:
    boxes, classes = [], []
    for number, nyu40 in sorted(objects.items()):
        if nyu40 not in box_classes:
            continue
        own = points[instance == number]
        if len(own):
            low, high = own.min(0), own.max(0)
            boxes.append(np.concatenate([(low + high) / 2, high - low, [0]]))
            classes.append(nyu40)
    return np.array(boxes, np.float32).reshape(-1, 7), np.array(classes, np.int16)


def _json_field(path: Path, field: str) -> list:
    if not path.is_file():
        remedy = f"{_AGAIN} Scans whose labels are hidden belong in the test split."
        raise DataError(path, "no such labels", remedy)
    try:
        return json.loads(read_text(path, _AGAIN))[field]
    except json.JSONDecodeError as error:
        raise DataError(path, f"not JSON ({error.msg})", _AGAIN, f"line {error.lineno}") from None
    except (KeyError, TypeError, RecursionError):
        raise DataError(path, f"has no field {field!r}", _AGAIN) from None

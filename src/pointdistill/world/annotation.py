"""ScanNet's annotation of a scan: which object each vertex and pixel belongs to (`.aggregation.json` over the segments
of `_vh_clean_2.0.010000.segs.json`, `label-filt` and `instance-filt` images)."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, Integer, UInt8, UInt16
from PIL import Image

from pointdistill.errors import PointdistillError
from pointdistill.seeding import numpy_generator
from pointdistill.world.classes import CEILING, FLOOR, WALL
from pointdistill.world.label_table import Label, raw_label
from pointdistill.world.mesh import Mesh, vertex_normals
from pointdistill.world.rooms import Room

SEGMENT_STEP = 0.4
"""Segments are cut on a grid of this many metres: ScanNet's have a few hundred vertices too."""
LEAST_AREA = 0.04
"""Square metres of surface; an object of which less was scanned is not annotated."""
_IMAGE_LIMIT = 255
_SHELL = {WALL: "wall", FLOOR: "floor", CEILING: "ceiling"}


@dataclass(frozen=True)
class Objects:
    """The annotated objects of a room: its furniture, then wall, floor and ceiling as one object each.

    `labels[objectId]` is the raw category. The lookup tables give objectId + 1 (0: none) for an instance number and,
    for the shell (instance 0), for a NYU40 id. `lower` and `upper` bound each number's object in the room's frame.
    """

    labels: tuple[Label, ...]
    by_instance: Int64[np.ndarray, "instances"]
    by_nyu40: Int64[np.ndarray, "41"]
    lower: Float[np.ndarray, "numbers 3"]
    upper: Float[np.ndarray, "numbers 3"]

    def numbers(
        self, nyu40: Integer[np.ndarray, "*shape"], instance: Integer[np.ndarray, "*shape"]
    ) -> Int64[np.ndarray, "*shape"]:
        """objectId + 1 of each vertex or pixel, 0 for none."""
        return np.where(instance > 0, self.by_instance[instance], self.by_nyu40[nyu40])

    def label_ids(self) -> UInt16[np.ndarray, "objects"]:
        """The label table's id for each number (number 0, no object, has id 0)."""
        return np.array([0, *(label.id for label in self.labels)], dtype=np.uint16)


def annotate(room: Room, seed: int) -> Objects:
    """Give each thing in a room its objectId and a raw category, the same for the same seed."""
    generator = numpy_generator(seed, "raw categories")
    things = sorted(room.instances, key=lambda thing: thing.id)
    if len(things) + len(_SHELL) > _IMAGE_LIMIT:
        raise PointdistillError(
            f"A room of {len(things)} things does not fit 8-bit instance images; take another seed."
        )
    by_instance = np.zeros(max([thing.id for thing in things], default=0) + 1, dtype=np.int64)
    by_nyu40 = np.zeros(41, dtype=np.int64)
    labels = []
    lower, upper = (
        np.full((1 + len(things) + len(_SHELL), 3), -np.inf),
        np.full((1 + len(things) + len(_SHELL), 3), np.inf),
    )
    for number, thing in enumerate(things, start=1):
        by_instance[thing.id] = number
        lower[number], upper[number] = thing.centre - thing.size / 2, thing.centre + thing.size / 2
        labels.append(raw_label(thing.class_name, room.kind, generator))
    for number, (nyu40, name) in enumerate(_SHELL.items(), start=len(things) + 1):
        by_nyu40[nyu40] = number
        labels.append(raw_label(name, room.kind, generator))
    return Objects(tuple(labels), by_instance, by_nyu40, lower, upper)


def vertex_objects(
    mesh: Mesh, scan_to_room: Float[np.ndarray, "4 4"], objects: Objects, voxel: float
) -> Int64[np.ndarray, "vertices"]:
    """objectId + 1 of each vertex; 0 for what is not annotated: objects that were hardly scanned at all, and labels
    that a slip between the two cameras put well outside their object, which no annotator would paint."""
    numbers = objects.numbers(mesh.nyu40, mesh.instance)
    places = mesh.vertices @ scan_to_room[:3, :3].T + scan_to_room[:3, 3]
    stray = (places < objects.lower[numbers] - 2 * voxel) | (places > objects.upper[numbers] + 2 * voxel)
    numbers = np.where(stray.any(axis=1), 0, numbers)
    counts = np.bincount(numbers, minlength=len(objects.labels) + 1)
    return np.where(counts[numbers] * voxel**2 >= LEAST_AREA, numbers, 0)


def over_segment(mesh: Mesh, numbers: Int64[np.ndarray, "vertices"]) -> Int64[np.ndarray, "vertices"]:
    """Segments of one object, one facing (of six) and one grid cell. A segment is named by its first vertex."""
    normals = vertex_normals(mesh)
    main = np.abs(normals).argmax(axis=1)
    facing = main * 2 + (normals[np.arange(len(mesh)), main] < 0)
    cells = np.floor(mesh.vertices / SEGMENT_STEP).astype(np.int64)
    keys = numbers * 6 + facing
    for axis in range(3):
        low, high = cells[:, axis].min(initial=0), cells[:, axis].max(initial=0)
        keys = keys * (high - low + 1) + cells[:, axis] - low
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    return first[member.reshape(-1)]


def write_annotation(
    folder: Path, name: str, mesh: Mesh, numbers: Int64[np.ndarray, "vertices"], objects: Objects
) -> None:
    """Write `NAME_vh_clean_2.0.010000.segs.json` and `NAME.aggregation.json`."""
    segments = over_segment(mesh, numbers)
    segments_file = f"{name}_vh_clean_2.0.010000.segs.json"
    groups = []
    for number in np.unique(numbers[numbers > 0]).tolist():
        own = np.unique(segments[numbers == number]).tolist()
        label = objects.labels[number - 1].raw_category
        groups.append({"id": number - 1, "objectId": number - 1, "segments": own, "label": label})
    _dump(
        folder / segments_file,
        {
            "params": {"kThresh": "0.0100000", "segMinVerts": "20"},
            "sceneId": name,
            "segIndices": segments.tolist(),
        },
    )
    _dump(
        folder / f"{name}.aggregation.json",
        {
            "sceneId": f"scannet.{name}",
            "appId": "Aggregator.v2",
            "segGroups": groups,
            "segmentsFile": f"scannet.{segments_file}",
        },
    )


def _dump(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


class LabelImages:
    """`NAME_2d-label-filt.zip` (label table ids, 16 bit) and `NAME_2d-instance-filt.zip` (objectId + 1, 8 bit), one png
    a frame at colour size. A context manager; images are added frame by frame."""

    def __init__(self, folder: Path, name: str, objects: Objects):
        self._objects, self._ids, self._count = objects, objects.label_ids(), 0
        self._labels = zipfile.ZipFile(folder / f"{name}_2d-label-filt.zip", "w")
        self._instances = zipfile.ZipFile(folder / f"{name}_2d-instance-filt.zip", "w")

    def __enter__(self) -> "LabelImages":
        return self

    def __exit__(self, *problem: object) -> None:
        self._labels.close()
        self._instances.close()

    def add(self, nyu40: UInt8[np.ndarray, "height width"], instance: UInt16[np.ndarray, "height width"]) -> None:
        """Append the labels of the next frame."""
        numbers = self._objects.numbers(nyu40, instance)
        _add_png(self._labels, f"label-filt/{self._count}.png", self._ids[numbers])
        _add_png(self._instances, f"instance-filt/{self._count}.png", numbers.astype(np.uint8))
        self._count += 1


def _add_png(archive: zipfile.ZipFile, name: str, image: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=4)
    # A fixed date: the same scan gives the same bytes.
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), buffer.getvalue())

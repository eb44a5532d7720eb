"""Writes rooms of the embedded world as ScanNetV2 scans, file for file (github.com/ScanNet/ScanNet): whoever reads the
original reads these."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from pointdistill.files import write_atomic, write_text
from pointdistill.parallel import parallel_map
from pointdistill.seeding import numpy_generator
from pointdistill.world.annotation import LabelImages, annotate, vertex_objects, write_annotation
from pointdistill.world.cameras import Rig, default_rig, walk
from pointdistill.world.files import claim
from pointdistill.world.fusion import Fusion
from pointdistill.world.label_table import FILE_NAME, class_colours, write_label_table
from pointdistill.world.mesh import write_labels_ply, write_ply
from pointdistill.world.render import Frame, record
from pointdistill.world.rooms import Room, make_room
from pointdistill.world.sens import write_sens

_SCENE_TYPES = {
    "bedroom": "Bedroom / Hotel",
    "living room": "Living room / Lounge",
    "kitchen": "Kitchen",
    "bathroom": "Bathroom",
    "office": "Office",
}


@dataclass(frozen=True)
class ScanNetSettings:
    """How rooms are scanned. Sizes are (width, height); ScanNet's own are 1296x968 and 640x480 at 30 Hz."""

    colour_size: tuple[int, int] = (160, 120)
    depth_size: tuple[int, int] = (96, 72)
    frames: int = 70
    rate_hz: float = 1.0
    voxel: float | None = None
    """Step of the fused mesh in metres; None: 2 to 3 cm by the room's size, which gives it 50,000 vertices and more."""
    frames_only: bool = False
    """Write `.sens` and `.txt` alone, which is all that pre-training reads: no mesh, no annotation."""


def write_scannet(
    root: str | Path,
    splits: Mapping[str, Sequence[int]],
    settings: ScanNetSettings,
    workers: int | None = None,
) -> None:
    """Write a data set: scans, split lists (`scannetv2_train.txt` ...) and the label table.

    Scans that lie there complete are kept; the split lists are written when all scans are there.

    Args:
        root: the folder; made if missing.
        splits: the room seeds of each split. Scenes are numbered through all splits, in this order.
        workers: processes; as many as there are cores by default.

    Raises:
        DataError: the folder holds scans of other settings or seeds.
    """
    root = Path(root)
    names: dict[str, list[str]] = {}
    jobs: list[tuple[str, int]] = []
    for split, seeds in splits.items():
        names[split] = [f"scene{len(jobs) + i:04d}_00" for i in range(len(seeds))]
        jobs += zip(names[split], seeds, strict=True)
    _claim(root, splits, settings)
    parallel_map(partial(_write_job, root, settings), jobs, f"scans in {root.name}", workers)
    write_atomic(root / FILE_NAME, write_label_table)
    for split, scans in names.items():
        write_text(root / f"scannetv2_{split}.txt", "".join(f"{scan}\n" for scan in scans))


def write_scan(root: str | Path, name: str, room_seed: int, settings: ScanNetSettings) -> Path:
    """Write the scan of one room to `root/scans/NAME` unless it lies there; the folder appears only when complete.

    The same seed and settings give the same bytes. Poses and vertices are in the scan's own frame, which
    `axisAlignment` in `NAME.txt` turns and shifts to the room's axes.
    """
    folder = Path(root) / "scans" / name
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f".{name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    room = make_room(room_seed)
    rig = default_rig(settings.colour_size, settings.depth_size)
    room_to_scan = scan_placement(room_seed)
    _write_info(unfinished / f"{name}.txt", room, rig, np.linalg.inv(room_to_scan), settings.frames)
    frames = _record(room, rig, room_to_scan, room_seed, settings)
    if settings.frames_only:
        write_sens(unfinished / f"{name}.sens", frames, rig, settings.rate_hz)
    else:
        _write_annotated(unfinished, name, room, room_seed, rig, frames, settings)
    os.replace(unfinished, folder)
    return folder


def scan_placement(room_seed: int) -> Float64[np.ndarray, "4 4"]:
    """Room frame to scan frame: a turn about z by 10 to 80 degrees, either way, and a shift of some metres."""
    generator = numpy_generator(room_seed, "scan frame")
    angle = np.radians(generator.uniform(10, 80)) * generator.choice([-1, 1])
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = generator.uniform(-3, 3, 3) * (1, 1, 0.1)
    return matrix


def _write_job(root: Path, settings: ScanNetSettings, job: tuple[str, int]) -> None:
    write_scan(root, *job, settings)


def _record(
    room: Room, rig: Rig, room_to_scan: Float64[np.ndarray, "4 4"], seed: int, settings: ScanNetSettings
) -> Iterator[Frame]:
    """The frames of a walk through the room, one by one, with poses in the scan's frame."""
    for index, pose in enumerate(walk(room, seed, settings.frames, settings.rate_hz)):
        frame = record(room, rig, pose, numpy_generator(seed, "frame", index))
        yield replace(frame, pose=(room_to_scan @ pose).astype(frame.pose.dtype))


def _write_annotated(
    folder: Path, name: str, room: Room, seed: int, rig: Rig, frames: Iterator[Frame], settings: ScanNetSettings
) -> None:
    """All files of an annotated scan, in one pass over its frames."""
    objects = annotate(room, seed)
    voxel = settings.voxel or _voxel(room)
    fusion = Fusion(rig, voxel)
    with LabelImages(folder, name, objects) as images:

        def passed_on() -> Iterator[Frame]:
            for frame in frames:
                fusion.add(frame)
                images.add(frame.nyu40, frame.instance)
                yield frame

        write_sens(folder / f"{name}.sens", passed_on(), rig, settings.rate_hz)
    mesh = fusion.mesh()
    numbers = vertex_objects(mesh, np.linalg.inv(scan_placement(seed)), objects, voxel)
    # Class and annotation never contradict each other: the class of a vertex is its object's.
    nyu40_of = np.array([0, *(label.nyu40 for label in objects.labels)], dtype=np.int16)
    mesh = replace(mesh, nyu40=nyu40_of[numbers])
    write_ply(folder / f"{name}_vh_clean_2.ply", mesh)
    write_labels_ply(folder / f"{name}_vh_clean_2.labels.ply", mesh, class_colours())
    write_annotation(folder, name, mesh, numbers, objects)


def _voxel(room: Room) -> float:
    """A step that suits the surface of this room. At least 0.6 of its floor and walls were seen in all rooms tried."""
    width, depth, height = (float(side) for side in room.size)
    seen = 0.6 * (width * depth + 2 * (width + depth) * height)
    return float(np.clip(np.sqrt(seen / 55_000), 0.02, 0.03))


def _write_info(path: Path, room: Room, rig: Rig, scan_to_room: Float64[np.ndarray, "4 4"], frames: int) -> None:
    """The scan's `.txt`: one `key = value` a line, matrices row by row."""
    colour, depth = rig.colour, rig.depth
    info: dict[str, object] = {
        "axisAlignment": " ".join(f"{x:.6f}" for x in scan_to_room.reshape(-1)),
        "colorHeight": colour.height,
        "colorToDepthExtrinsics": " ".join(f"{x:.6f}" for x in np.asarray(rig.colour_to_depth).reshape(-1)),
        "colorWidth": colour.width,
        "depthHeight": depth.height,
        "depthWidth": depth.width,
    }
    for key, attribute in (("fx", "fx"), ("fy", "fy"), ("mx", "cx"), ("my", "cy")):
        info[f"{key}_color"] = f"{getattr(colour, attribute):.6f}"
        info[f"{key}_depth"] = f"{getattr(depth, attribute):.6f}"
    info |= {"numColorFrames": frames, "numDepthFrames": frames, "numIMUmeasurements": 0}
    info["sceneType"] = _SCENE_TYPES.get(room.kind, room.kind.capitalize())
    path.write_text("".join(f"{key} = {value}\n" for key, value in info.items()), encoding="utf-8")


def _claim(root: Path, splits: Mapping[str, Sequence[int]], settings: ScanNetSettings) -> None:
    """Write down what this folder holds, or refuse to mix in something else."""
    content = {"format": "ScanNetV2", "settings": asdict(settings)}
    content["room_seeds"] = {split: [int(seed) for seed in seeds] for split, seeds in splits.items()}
    claim(root, content)

"""Writes captioned pictures of the embedded world's rooms, in the layout in which users bring their own: jpegs and
`captions.jsonl`; `truth.jsonl` beside it says which classes each picture shows, to measure captions by."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pointdistill.files import write_bytes, write_text
from pointdistill.parallel import parallel_map
from pointdistill.seeding import numpy_generator
from pointdistill.world.cameras import default_rig, walk
from pointdistill.world.classes import NYU40
from pointdistill.world.files import claim
from pointdistill.world.render import record
from pointdistill.world.rooms import make_room
from pointdistill.world.sens import encode_jpeg

VISIBLE_SHARE = 0.01
"""A class is in a picture if it covers at least this share of its pixels."""


def write_captioned_images(
    folder: str | Path,
    room_seeds: Sequence[int],
    frames_per_room: int,
    size: tuple[int, int] = (96, 72),
    workers: int | None = None,
) -> None:
    """Write `ROOM_FRAME.jpg` files, `captions.jsonl` ({"file_name", "text"} a line) and `truth.jsonl`
    ({"file_name", "classes"} a line). Rooms that are complete are kept; the two lists are written at the end.

    Args:
        folder: where to; made if missing.
        room_seeds: one room each.
        frames_per_room: pictures of each room, on one walk.
        size: width and height of the pictures.
        workers: processes; as many as there are cores by default.

    Raises:
        DataError: the folder holds pictures of other settings or seeds.
    """
    folder = Path(folder)
    seeds = [int(seed) for seed in room_seeds]
    content = {"format": "captioned images", "size": list(size), "frames_per_room": frames_per_room}
    claim(folder, {**content, "room_seeds": seeds})
    (folder / "rooms").mkdir(exist_ok=True)
    missing = [seed for seed in seeds if not _room_file(folder, seed).is_file()]
    parallel_map(partial(_write_room, folder, frames_per_room, size), missing, f"pictures in {folder.name}", workers)
    entries = [entry for seed in seeds for entry in json.loads(_room_file(folder, seed).read_text(encoding="utf-8"))]
    write_text(folder / "truth.jsonl", _lines(entries, "classes"))
    write_text(folder / "captions.jsonl", _lines(entries, "text"))


def visible_classes(nyu40: UInt8[np.ndarray, "height width"]) -> list[str]:
    """The classes of furniture that cover enough of a picture, in the world's order."""
    share = np.bincount(nyu40.reshape(-1), minlength=41) / nyu40.size
    return [name for name, number in NYU40.items() if share[number] >= VISIBLE_SHARE]


def _room_file(folder: Path, seed: int) -> Path:
    """What was written of one room: it appears when all its pictures are there."""
    return folder / "rooms" / f"{seed:06d}.json"


def _write_room(folder: Path, frames: int, size: tuple[int, int], seed: int) -> None:
    room, entries = make_room(seed), []
    # The depth image is not kept; at this size it costs nothing.
    rig = default_rig(size, (16, 12))
    for index, pose in enumerate(walk(room, seed, frames)):
        frame = record(room, rig, pose, numpy_generator(seed, "picture", index))
        name = f"{seed:06d}_{index:03d}.jpg"
        write_bytes(folder / name, encode_jpeg(frame.colour), sync=False)
        entries.append({"file_name": name, "text": frame.caption, "classes": visible_classes(frame.nyu40)})
    write_text(_room_file(folder, seed), json.dumps(entries))


def _lines(entries: list[dict[str, object]], field: str) -> str:
    return "".join(json.dumps({"file_name": entry["file_name"], field: entry[field]}) + "\n" for entry in entries)

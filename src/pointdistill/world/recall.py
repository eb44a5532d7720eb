"""What the world knows of a frame it wrote: for the report's "truth" line and for benchmarks, never for training."""

from pathlib import Path

from pointdistill.seeding import numpy_generator
from pointdistill.world.cameras import default_rig, walk
from pointdistill.world.files import read_claim
from pointdistill.world.render import Frame, record
from pointdistill.world.rooms import Room, make_room
from pointdistill.world.scannet import ScanNetSettings


def caption_of(root: Path, scan: str, frame: int) -> str:
    """The true caption of a frame of a world-written ScanNet folder."""
    return frame_of(root, scan, frame)[1].caption


def frame_of(root: Path, scan: str, frame: int) -> tuple[Room, Frame]:
    """A frame of a world-written ScanNet folder and its room, by rendering it again.

    Args:
        root: the folder `write_scannet` filled.
        scan: name of the scan.
        frame: number of the frame.
    """
    content = read_claim(root)
    seeds = [seed for split in content["room_seeds"].values() for seed in split]
    seed = seeds[int(scan.removeprefix("scene").partition("_")[0])]
    sizes = {name: tuple(content["settings"][name]) for name in ("colour_size", "depth_size")}
    settings = ScanNetSettings(**{**content["settings"], **sizes})
    room = make_room(seed)
    rig = default_rig(settings.colour_size, settings.depth_size)
    pose = walk(room, seed, settings.frames, settings.rate_hz)[frame]
    return room, record(room, rig, pose, numpy_generator(seed, "frame", frame))

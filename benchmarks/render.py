"""Frames a second of the embedded world's ray caster, colour and depth together, on one core.

`python benchmarks/render.py` prints a line a size; the first one, 80 x 60, is the quickstart's.
"""

import os
import time

import numpy as np
import tyro

from pointdistill.seeding import numpy_generator
from pointdistill.world.cameras import default_rig, walk
from pointdistill.world.render import record
from pointdistill.world.rooms import make_room
from pointdistill.world.seeds import SEEDS

SIZES = (((80, 60), (80, 60)), ((160, 120), (96, 72)), ((1296, 968), (640, 480)))
"""Colour and depth; the last are ScanNet's own."""


def main(rooms: int = 8, seconds: float = 5.0):
    """Render walks through rooms and print the rates.

    Args:
        rooms: rooms a size.
        seconds: stop a size after so many.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for colour, depth in SIZES:
        rig, rates = default_rig(colour, depth), []
        began = time.perf_counter()
        for seed in SEEDS["teacher_test"][:rooms]:
            room = make_room(seed)
            poses = walk(room, seed, 8)
            started = time.perf_counter()
            for index, pose in enumerate(poses):
                record(room, rig, pose, numpy_generator(seed, "frame", index))
            rates.append(len(poses) / (time.perf_counter() - started))
            if time.perf_counter() - began > seconds:
                break
        spread = f"{min(rates):.1f} to {max(rates):.1f}"
        print(
            f"colour {colour}, depth {depth}: {np.median(rates):.1f} frames/s (median of {len(rates)} rooms, {spread})"
        )


if __name__ == "__main__":
    tyro.cli(main)

"""The embedded world in the data sets' own layouts, by name, for the command line."""

from pathlib import Path
from typing import Literal

from pointdistill.files import exclusive
from pointdistill.world.captioned import write_captioned_images
from pointdistill.world.objects import write_modelnet40, write_shapenet55, write_shapenetpart
from pointdistill.world.scannet import ScanNetSettings, write_scannet
from pointdistill.world.seeds import SEEDS

Layout = Literal["scannet", "modelnet40", "shapenetpart", "shapenet55", "captions"]


def write_world(
    layout: Layout, out: Path, count: int, frames: int, rate: float, frames_only: bool, workers: int | None
) -> None:
    """Write `count` rooms or objects a class for training, a quarter as many for validation and for test.

    Raises:
        DataError: `out` holds a world of other settings.
    """
    with exclusive(out):
        _write(layout, out, count, frames, rate, frames_only, workers)


def _write(
    layout: Layout, out: Path, count: int, frames: int, rate: float, frames_only: bool, workers: int | None
) -> None:
    fewer = max(1, count // 4)
    if layout == "captions":
        write_captioned_images(out, SEEDS["teacher_train"][:count], frames, workers=workers)
    elif layout == "scannet":
        splits = {"train": SEEDS["train"][:count], "val": SEEDS["val"][:fewer], "test": SEEDS["test"][:fewer]}
        settings = ScanNetSettings(frames=frames, rate_hz=rate, frames_only=frames_only)
        write_scannet(out, splits, settings, workers)
    elif layout == "shapenet55":
        seeds = {"train": SEEDS["objects_pretrain"], "test": SEEDS["objects_heldout"]}
        write_shapenet55(out, seeds, {"train": count, "test": fewer}, workers=workers)
    else:
        write = write_modelnet40 if layout == "modelnet40" else write_shapenetpart
        seeds = {split: SEEDS[f"objects_{split}"] for split in ("train", "val", "test")}
        write(out, seeds, {"train": count, "val": fewer, "test": fewer}, workers=workers)

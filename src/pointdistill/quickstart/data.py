"""The quickstart's data: the embedded world written as files, then read and prepared as any data set would be."""

from pathlib import Path

from pointdistill.prepare import prepare_frames, prepare_objects, prepare_part_shapes, prepare_scenes
from pointdistill.quickstart.layout import Layout
from pointdistill.recipes.downstream.recipe import Kind
from pointdistill.recipes.quickstart import QuickstartRecipe, WorldRecipe
from pointdistill.teachers.small import load_small_teacher
from pointdistill.world.objects import write_modelnet40, write_shapenetpart
from pointdistill.world.scannet import write_scannet
from pointdistill.world.seeds import SEEDS

SPLITS = ("train", "val", "test")


def write_data(layout: Layout, world: WorldRecipe, workers: int | None) -> None:
    """Write every data set in its own format; what is there is kept.

    The rooms and objects of teacher, pre-training, training, validation and test come from disjoint seeds.
    """
    write_recordings(layout.recordings, world, workers)
    write_labelled(layout.scans, "scenes", world, workers)
    write_labelled(layout.modelnet, "objects", world, workers)
    write_labelled(layout.shapenetpart, "parts", world, workers)


def write_recordings(folder: Path, world: WorldRecipe, workers: int | None) -> None:
    """Rooms to pre-train on, and held-out ones as the split val."""
    frames = {
        "train": SEEDS["pretrain"][: world.pretrain_rooms],
        "val": SEEDS["pretrain_heldout"][: world.heldout_rooms],
    }
    write_scannet(folder, frames, world.recording, workers)


def write_labelled(folder: Path, kind: Kind, world: WorldRecipe, workers: int | None) -> None:
    """Annotated rooms, labelled objects, or objects with labelled parts."""
    if kind == "scenes":
        rooms = {"train": world.train_rooms, "val": world.val_rooms, "test": world.test_rooms}
        write_scannet(folder, {split: SEEDS[split][:count] for split, count in rooms.items()}, world.scanning, workers)
        return
    objects = {"train": world.train_objects, "val": world.val_objects, "test": world.test_objects}
    seeds = {split: SEEDS[f"objects_{split}"] for split in SPLITS}
    write = write_modelnet40 if kind == "objects" else write_shapenetpart
    write(folder, seeds, objects, world.object_points, workers)


def prepare_data(layout: Layout, recipe: QuickstartRecipe, workers: int | None) -> None:
    """Prepare the stores that training reads."""
    frames = recipe.pretrain.frames
    for name, split in (("frames", "train"), ("heldout", "val")):
        prepare_frames(
            layout.recordings,
            layout.store(name),
            load_small_teacher,
            split=split,
            every=frames.every,
            points=frames.stored_points,
            workers=workers,
        )
    prepare_scenes(layout.scans, layout.store("scenes"), SPLITS, workers=workers)
    prepare_objects(layout.modelnet, layout.store("objects"), SPLITS)
    prepare_part_shapes(layout.shapenetpart, layout.store("parts"), SPLITS)

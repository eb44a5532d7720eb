"""A tiny finished distillation whose student says, of every cloud, what the embedded teacher says of one picture."""

from dataclasses import replace
from pathlib import Path

import torch

from pointdistill.prepare import prepare_frames
from pointdistill.pretraining import run_pretrain
from pointdistill.recipes.quickstart import distillation
from pointdistill.store import FrameStore
from pointdistill.teachers.small import load_small_teacher
from pointdistill.tensors import load_tensors, save_tensors
from pointdistill.world.scannet import ScanNetSettings, write_scannet
from pointdistill.world.seeds import SEEDS

PICTURE = 4
"""The frame whose target is predicted."""


def write_store(root: Path) -> Path:
    """Six frames of two rooms, with the embedded teacher's targets."""
    settings = ScanNetSettings((80, 60), (64, 48), frames=3, frames_only=True)
    write_scannet(root, {"train": SEEDS["train"][:2]}, settings, workers=1)
    prepare_frames(root, root / "store", load_small_teacher, every=1, points=400, workers=1)
    return root / "store"


def write_run(store: Path, folder: Path) -> Path:
    """The run; its projector was set by hand."""
    recipe = distillation()
    engine = replace(recipe.engine, epochs=1, batch_size=3, warmup_epochs=0)
    recipe = replace(recipe, engine=engine, frames=replace(recipe.frames, points=300))
    run_pretrain(recipe, store, None, folder)
    tensors, metadata = load_tensors(folder / "method.safetensors")
    tensors["projector.last.weight"].zero_()
    said = (target_of(store)[0] - tensors["target_mean"]) / tensors["target_scale"]
    tensors["projector.last.bias"] = said.flatten()
    save_tensors(folder / "method.safetensors", tensors, metadata)
    return folder


def target_of(store: Path) -> torch.Tensor:
    """What the student predicts, (1, prefix, width)."""
    return torch.from_numpy(FrameStore.open(store).targets[PICTURE].copy()).float()[None]

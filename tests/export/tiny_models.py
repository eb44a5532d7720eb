"""Tiny models of every kind on disk, whose outputs depend on their inputs, and clouds for them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pointdistill.models.checkpoints import save_backbone
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.saved import SavedModel, load_task_model, save_task_model
from shrunk import shrunk
from task_samples import object_splits, room_splits, shape_splits, tiny_backbone

DATA = {"scenes": room_splits, "objects": object_splits, "parts": shape_splits}
KINDS = {
    "classification": "modelnet40",
    "part_segmentation": "shapenetpart",
    "semantic_segmentation": "scannet-segmentation-colour",
    "detection": "scannet-detection",
}
"""A recipe of each task."""


@dataclass(frozen=True)
class Built:
    """Attributes: folder: of the model. saved: what it holds. data: three splits."""

    folder: Path
    saved: SavedModel
    data: Any


def build(recipe: str, folder: Path, whole: bool = False, shallow: bool = False) -> Built:
    """A model of a recipe, as fine-tuning writes it: random weights, lively ones.

    Args:
        whole: at the recipe's own sizes.
        shallow: a detector of one layer each in backbone and decoder.
    """
    full = RECIPES[recipe]()
    chosen = full if whole else shrunk(full)
    if shallow:
        task = replace(chosen.task, decoder=replace(chosen.task.decoder, depth=1))
        chosen = replace(chosen, task=task, backbone=replace(chosen.backbone, depth=1))
    data = DATA[chosen.store]()
    facts = chosen.task.facts(data)
    torch.manual_seed(0)
    model = chosen.task.build(chosen.backbone.build(), facts)
    enliven(model)
    save_task_model(folder, chosen.task, facts, model, {"recipe": recipe, "version": "0", "seed": 0})
    return Built(folder, load_task_model(folder), data)


def build_backbone(folder: Path, **settings: object) -> Path:
    """A backbone as pre-training writes it."""
    backbone = tiny_backbone(**settings)
    enliven(backbone)
    frames = {"frame": "camera", "points": 64}
    data = {"source": "embedded", "terms": "those of their owner"}
    card = {"version": "0", "recipe": {"name": "tiny", "frames": frames}, "data": data}
    return save_backbone(backbone, folder, card)


def enliven(model: nn.Module) -> None:
    """Larger weights, and statistics that are not those of a layer that never saw anything."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Linear) and module.weight.std() < 0.1:
            nn.init.normal_(module.weight, std=0.7 * module.in_features**-0.5)


def clouds(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """(1, count, 3): a random cloud; one of which each point is there several times."""
    generator = np.random.default_rng(seed)
    spread = generator.uniform(0, [4, 3, 2.5], (count, 3)).astype(np.float32)
    return {"random": spread[None], "points several times": np.resize(spread[: count // 3], (1, count, 3))}

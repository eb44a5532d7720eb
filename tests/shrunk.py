"""Downstream recipes at a size for tests: everything that decides the form stays, numbers become tiny."""

import dataclasses
from dataclasses import replace
from typing import Any

from pointdistill.models.detr3d_encoder import SceneTransformerConfig
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.downstream.recipe import DownstreamRecipe

TINY: dict[str, Any] = {
    "points": 96,
    "group_count": 16,
    "group_size": 8,
    "propagation": (16, 16),
    "embedding": 4,
    "passes": 1,
    "probe_columns": 2,
    "probe_points": 16,
    "test_batch": 3,
    "votes": 2,
    "vote_repeats": 2,
    "width": 24,
    "depth": 2,
    "heads": 2,
    "ffn": 24,
    "queries": 12,
}


def shrunk(recipe: DownstreamRecipe, steps: int = 2) -> DownstreamRecipe:
    """The same recipe, so many steps, tiny clouds and networks."""
    backbone = recipe.backbone
    if isinstance(backbone, BackboneConfig):
        backbone = replace(backbone, width=24, depth=4, heads=2)
    elif isinstance(backbone, SceneTransformerConfig):
        backbone = replace(backbone, width=24, heads=2, ffn=12, tokens=24, radius=0.5, ball_size=8)
    elif isinstance(backbone, DGCNNConfig):
        backbone = replace(backbone, width=8, embedding=16, neighbours=8)
    optimisation = replace(
        recipe.optimisation, steps=steps, batch_size=3, warmup=1, eval_every=1, checkpoint_every=1, log_every=1
    )
    return replace(
        recipe, task=tiny(recipe.task), backbone=backbone, optimisation=optimisation, epochs=None, warmup_epochs=0
    )


def tiny(settings: Any) -> Any:
    """A dataclass with its numbers of points, patches and widths made tiny, and so those within it."""
    changes = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = tiny(value)
        elif field.name in TINY and value is not None:
            changes[field.name] = TINY[field.name]
        elif field.name == "hidden":
            changes[field.name] = 16 if isinstance(value, int) else tuple(16 for _ in value)
    return replace(settings, **changes)

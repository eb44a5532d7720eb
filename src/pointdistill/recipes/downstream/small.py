"""The quickstart's tasks as recipes of their own: for the embedded world, or for seeing on a CPU that everything works.

They count steps and not epochs, since the labelled data may be a handful of rooms or objects.
"""

from pointdistill.recipes.downstream.recipe import DownstreamRecipe, Kind
from pointdistill.recipes.quickstart import distillation, tasks

SOURCE = "recipes.quickstart_tasks"


def classification_small() -> DownstreamRecipe:
    """Object classification, 200 steps."""
    return _small("classification", "objects")


def part_segmentation_small() -> DownstreamRecipe:
    """Part segmentation, 250 steps."""
    return _small("part_segmentation", "parts")


def semantic_segmentation_small() -> DownstreamRecipe:
    """Semantic segmentation of rooms, 300 steps."""
    return _small("semantic_segmentation", "scenes")


def detection_small() -> DownstreamRecipe:
    """Object detection, 540 steps."""
    return _small("detection", "scenes")


def _small(task: str, store: Kind) -> DownstreamRecipe:
    chosen = tasks()[task]
    return DownstreamRecipe(
        name=f"{task.replace('_', '-')}-small",
        task=chosen.task,
        backbone=distillation().backbone,
        optimisation=chosen.finetune,
        epochs=None,
        warmup_epochs=0,
        eval_epochs=0,
        store=store,
        splits=("train", "val", "test"),
        source=SOURCE,
    )

"""The downstream tasks as the field trains and tests them, and small; `RECIPES` are those that `pointdistill finetune`
knows by name."""

from collections.abc import Callable

from pointdistill.recipes.downstream.part_segmentation import shapenetpart
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.downstream.small import (
    classification_small,
    detection_small,
    part_segmentation_small,
    semantic_segmentation_small,
)

RECIPES: dict[str, Callable[[], DownstreamRecipe]] = {
    "shapenetpart": shapenetpart,
    "classification-small": classification_small,
    "part-segmentation-small": part_segmentation_small,
    "semantic-segmentation-small": semantic_segmentation_small,
    "detection-small": detection_small,
}

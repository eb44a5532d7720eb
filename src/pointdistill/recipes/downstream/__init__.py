"""The downstream tasks as the field trains and tests them, and small; `RECIPES` are those that `pointdistill finetune`
knows by name."""

from collections.abc import Callable
from functools import partial

from pointdistill.recipes.downstream.classification import modelnet40, modelnet40_few_shot, scanobjectnn
from pointdistill.recipes.downstream.detection import (
    scannet_3detr,
    scannet_3detr_m,
    scannet_detection,
    scannet_detection_set_abstraction,
)
from pointdistill.recipes.downstream.part_segmentation import shapenetpart
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.downstream.semantic_segmentation import (
    scannet_dgcnn,
    scannet_segmentation,
    scannet_segmentation_colour,
)
from pointdistill.recipes.downstream.small import (
    classification_small,
    detection_small,
    part_segmentation_small,
    semantic_segmentation_small,
)

RECIPES: dict[str, Callable[[], DownstreamRecipe]] = {
    "scannet-detection": scannet_detection,
    "scannet-detection-set-abstraction": scannet_detection_set_abstraction,
    "scannet-3detr": scannet_3detr,
    "scannet-3detr-m": scannet_3detr_m,
    "scannet-segmentation": scannet_segmentation,
    "scannet-segmentation-colour": scannet_segmentation_colour,
    "scannet-dgcnn": scannet_dgcnn,
    "modelnet40": modelnet40,
    "modelnet40-few-shot": modelnet40_few_shot,
    "scanobjectnn-obj-only": partial(scanobjectnn, "obj_only"),
    "scanobjectnn-obj-bg": partial(scanobjectnn, "obj_bg"),
    "scanobjectnn-pb-t50-rs": partial(scanobjectnn, "pb_t50_rs"),
    "shapenetpart": shapenetpart,
    "classification-small": classification_small,
    "part-segmentation-small": part_segmentation_small,
    "semantic-segmentation-small": semantic_segmentation_small,
    "detection-small": detection_small,
}

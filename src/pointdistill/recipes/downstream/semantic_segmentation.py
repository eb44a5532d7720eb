"""Semantic segmentation as published: ScanNetV2 (Table 2, Appendix A.2), figures on its validation split."""

from dataclasses import replace

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation


def scannet_segmentation() -> DownstreamRecipe:
    """8192 points, 256 patches of 32, learning rate 1e-3, weight decay 0.01, 200 epochs (Appendix A.2).

    From the paper's pre-training it is Table 2's row "Distillation", from Point-MAE's the row of that name, and from
    random weights the row "Transformer-DGCNN". An epoch has one column of each scene. What the paper leaves open
    (docs/paper.md): batch size, DGCNN's own; schedule, a cosine after ten epochs of warm-up as in the pre-training.
    """
    return DownstreamRecipe(
        name="scannet-segmentation",
        task=SemanticSegmentation(points=8192, group_count=256, group_size=32),
        backbone=BackboneConfig(),
        optimisation=FinetuneConfig(batch_size=32, lr=1e-3, weight_decay=0.01, log_every=50, optimiser="adam"),
        epochs=200,
        warmup_epochs=10,
        eval_epochs=10,
        store="scenes",
        splits=("train", "val", "val"),
        source="Table 2, Appendix A.2",
    )


def scannet_segmentation_colour() -> DownstreamRecipe:
    """`scannet_segmentation` whose head also sees each point's colour: a row the paper does not have."""
    recipe = scannet_segmentation()
    return replace(
        recipe,
        name="scannet-segmentation-colour",
        task=SemanticSegmentation(points=8192, group_count=256, group_size=32, colour=True),
        source="as scannet-segmentation, with colour",
    )


def scannet_dgcnn() -> DownstreamRecipe:
    """Table 2's row "DGCNN": its authors' network on the same columns with the same training, always from scratch."""
    return replace(
        scannet_segmentation(),
        name="scannet-dgcnn",
        task=SemanticSegmentation(points=8192),
        backbone=DGCNNConfig(),
        source="Table 2; network: Wang et al. 2019, training: Appendix A.2",
    )

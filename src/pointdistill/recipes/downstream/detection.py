"""Object detection as published: ScanNetV2 with 3DETR (Tables 1 and 9, Appendix A.2)."""

from dataclasses import replace

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.models.detr3d import DecoderConfig
from pointdistill.models.detr3d_encoder import DETR3D, DETR3D_M
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.tasks.detection import Detection


def scannet_detection() -> DownstreamRecipe:
    """2048 mini-PointNet patches, the 12 x 384 backbone, 8 decoder layers of 256, 256 queries, 720 epochs: the whole
    backbone is pre-trained, its tokeniser too (form (b), docs/paper.md)."""
    peak, least = 5e-4, 1e-6
    return DownstreamRecipe(
        name="scannet-detection",
        task=Detection(),
        backbone=BackboneConfig(),
        optimisation=FinetuneConfig(
            batch_size=8,
            lr=peak,
            weight_decay=0.1,
            floor=least / peak,
            clip=0.1,
            log_every=50,
            decay_all=True,
            warmup_start=least / peak,
            cosine_from_start=True,
        ),
        epochs=720,
        warmup_epochs=9,
        eval_epochs=10,
        store="scenes",
        splits=("train", "val", "val"),
        source="Appendix A.2; optimisation, augmentation and evaluation: 3DETR",
    )


def scannet_detection_set_abstraction() -> DownstreamRecipe:
    """The same with 3DETR's set abstraction to 2048 tokens before the pre-trained blocks (form (a))."""
    recipe = scannet_detection()
    task = Detection(tokens="set_abstraction")
    return replace(recipe, name="scannet-detection-set-abstraction", task=task)


def scannet_3detr() -> DownstreamRecipe:
    """3DETR itself, 3 encoder layers of 256, from scratch: Table 1's row 61.1 / 40.2."""
    recipe = scannet_detection()
    return replace(recipe, name="scannet-3detr", backbone=DETR3D, source="3DETR's README: its model of 720 epochs")


def scannet_3detr_m() -> DownstreamRecipe:
    """3DETR-m: masked encoder that halves its tokens, more dropout, a shorter projection to the decoder."""
    recipe = scannet_3detr()
    task = Detection(decoder=DecoderConfig(projection_layers=2))
    return replace(recipe, name="scannet-3detr-m", backbone=DETR3D_M, task=task)

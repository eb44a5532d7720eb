"""The four downstream tasks at a size for one CPU core: protocol as in the paper, heads and clouds smaller.

Each function returns the task and how it is trained; both are the same for every initialisation of the backbone.
"""

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.models.detr3d import DecoderConfig
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.part_segmentation import PartSegmentation
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from pointdistill.tasks.set_loss import SetLossConfig


def classification_small() -> tuple[Classification, FinetuneConfig]:
    """Object classification, 64 patches of 16."""
    task = Classification(
        group_count=64, group_size=16, hidden=128, dropout=0.3, yaw=True, scale=(0.8, 1.25), test_sampling="random"
    )
    return task, FinetuneConfig(steps=300, batch_size=16, lr=5e-4, warmup=30, eval_every=50, checkpoint_every=100)


def part_segmentation_small() -> tuple[PartSegmentation, FinetuneConfig]:
    """Part segmentation, 64 patches of 32."""
    task = PartSegmentation(
        points=1024,
        group_count=64,
        group_size=16,
        propagation=(128, 128),
        hidden=(128, 64),
        embedding=32,
        dropout=0.3,
        yaw=True,
    )
    return task, FinetuneConfig(steps=300, batch_size=16, lr=5e-4, warmup=30, eval_every=50, checkpoint_every=100)


def semantic_segmentation_small() -> tuple[SemanticSegmentation, FinetuneConfig]:
    """Semantic segmentation, 64 patches of 32 from columns of 2048 points; the head also sees place and height."""
    task = SemanticSegmentation(
        points=2048,
        group_count=64,
        group_size=32,
        hidden=(128, 64),
        dropout=0.3,
        point_inputs=True,
        passes=1,
        probe_columns=6,
    )
    return task, FinetuneConfig(steps=400, batch_size=8, lr=1e-3, warmup=40, eval_every=100, checkpoint_every=100)


def detection_small() -> tuple[Detection, FinetuneConfig]:
    """Object detection: 3DETR with two narrow decoder layers, 256 patches of 16.

    Made for a short schedule: queries start from the token they sit on, sizes are relative to the mean size, several
    proposals are matched to each box (the NMS, part of 3DETR's evaluation, leaves one), and no dropout.
    """
    task = Detection(
        points=4096,
        group_count=256,
        group_size=16,
        decoder=DecoderConfig(
            width=96,
            depth=2,
            heads=4,
            ffn=192,
            dropout=0.0,
            queries=128,
            head_dropout=0.0,
            content="token",
            coding="log",
            prior=0.1,
        ),
        set_loss=SetLossConfig(cost_centre=5.0, repeats=4, final_repeats=4),
        quarter_turns=True,
        scale=(0.9, 1.1),
    )
    return task, FinetuneConfig(
        steps=600, batch_size=8, lr=1e-3, weight_decay=0.05, warmup=50, clip=1.0, eval_every=100, checkpoint_every=100
    )

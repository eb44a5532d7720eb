"""The paper's pre-training, Table 8 field for field; where it is silent, the decision is named in docs/paper.md."""

from pointdistill.augment import Augmentation
from pointdistill.engine.pretrain import PretrainConfig
from pointdistill.methods.distill import DistillConfig
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.models.projector import ProjectorConfig
from pointdistill.recipes.recipe import FrameRecipe, PretrainRecipe


def paper() -> PretrainRecipe:
    """Distillation from CLIP ViT-B/32 + ClipCap (Conceptual Captions) on ScanNetV2 (Table 8)."""
    return PretrainRecipe(
        name="paper",
        teacher="clipcap-conceptual",  # "2D Caption Model: Conceptual Captions", prefix (10, 768)
        backbone=BackboneConfig(width=384, depth=12, heads=6, groups=64, group_size=32),
        method=DistillConfig(
            concepts=ConceptConfig(count=32, heads=6),
            projector=ProjectorConfig(form="flat", hidden=3840),
        ),
        frames=FrameRecipe(
            dataset="ScanNetV2",
            split="train",
            every=25,  # "Sample Frame Rate 25"
            points=4096,
            frame="camera",
            augmentation=Augmentation(),  # "scale and translate"
        ),
        engine=PretrainConfig(epochs=250, batch_size=128, lr=1e-3, weight_decay=5e-2, warmup_epochs=10),
    )

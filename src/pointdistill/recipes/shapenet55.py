"""Pre-training on ShapeNet-55, as the rows of Tables 3 and 4 that the paper cites were: 1024 points, 64 patches of 32.

Source: Point-MAE's cfgs/pretrain.yaml (https://github.com/Pang-Yatian/Point-MAE); Point-BERT's cfgs/ShapeNet55_models
and cfgs/Mixup_models (https://github.com/lulutang0608/Point-BERT). One thing differs: they centre and
scale each draw of 1024 points; here all points of a shape are what is centred and scaled (docs/paper.md).
"""

from dataclasses import replace

from pointdistill.augment import Augmentation
from pointdistill.engine.pretrain import PretrainConfig
from pointdistill.methods.mask_point import MaskPointConfig
from pointdistill.methods.occo import OccoConfig
from pointdistill.methods.point_bert import PointBERTConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.models.completion import CompletionConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.recipe import AnyMethod, FrameRecipe, PretrainRecipe


def shapenet55(name: str, method: AnyMethod) -> PretrainRecipe:
    """A method that needs no teacher, on the training list of ShapeNet-55."""
    return PretrainRecipe(
        name=name,
        teacher="none",
        backbone=BackboneConfig(width=384, depth=12, heads=6, groups=64, group_size=32),
        method=method,
        frames=FrameRecipe(
            dataset="ShapeNet-55",
            split="train",
            every=1,
            stored_points=8192,
            points=1024,
            frame="gravity",  # z up, as the shapes of all downstream data
            augmentation=Augmentation(),
        ),
        engine=PretrainConfig(epochs=300, batch_size=128, lr=1e-3, weight_decay=5e-2, warmup_epochs=10),
    )


def point_mae_shapenet55() -> PretrainRecipe:
    """Point-MAE as it was published: 60 % of the patches hidden, a decoder of 4 blocks, l2 Chamfer."""
    return shapenet55("point-mae-shapenet55", PointMAEConfig(mask_ratio=0.6, decoder=DecoderConfig(depth=4, heads=6)))


def point_bert_shapenet55() -> PretrainRecipe:
    """Point-BERT as it was published: 300 epochs of its dVAE, then 300 of a backbone with the dVAE's mini-PointNet."""
    recipe = shapenet55("point-bert-shapenet55", PointBERTConfig())
    return replace(
        recipe,
        backbone=replace(recipe.backbone, class_token=True, patch_hidden=128, patch_pooled=256),
        engine=replace(recipe.engine, lr=5e-4, weight_decay=5e-2, warmup_epochs=3),
        first=replace(recipe.engine, batch_size=64, lr=5e-4, weight_decay=5e-4, warmup_epochs=10),
    )


def mask_point_shapenet55() -> PretrainRecipe:
    """MaskPoint by its authors' cfgs/pretrain_shapenet.yaml (https://github.com/haotian-liu/MaskPoint), but for the
    shapes of the test list, on which they train too."""
    recipe = shapenet55("mask-point-shapenet55", MaskPointConfig())
    return replace(recipe, engine=replace(recipe.engine, lr=5e-4, warmup_epochs=3, clip=10.0))


def occo_shapenet55() -> PretrainRecipe:
    """OcCo with its authors' train_completion.py (https://github.com/hansen7/OcCo): 1024 points seen, batches of 32,
    1e-4 without weight decay, the fine cloud's weight grown after 10,000, 20,000 and 50,000 steps (1,310 an epoch).

    What differs: all 8192 points of the release are completed, from 512 coarse ones (theirs: 16,384 from 1,024); a
    cosine instead of a factor of 0.7 every 20 epochs; 300 epochs of one view, about as many steps as their 50 on all
    views."""
    completion = CompletionConfig(coarse=512)
    recipe = shapenet55("occo-shapenet55", OccoConfig(completion, fine_from=(0.025, 0.051, 0.127)))
    engine = replace(recipe.engine, batch_size=32, lr=1e-4, weight_decay=0.0, warmup_epochs=0)
    return replace(recipe, frames=replace(recipe.frames, points=8192), engine=engine)

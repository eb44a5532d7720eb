"""Other methods of pre-training on the frames of a distillation, with its backbone and optimisation ("exactly the same
setting", Appendix A.1 of the paper): the self-supervised rows of Tables 1, 3 and 4."""

from dataclasses import replace

from pointdistill.methods.point_contrast import PointContrastConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.recipes.recipe import AnyMethod, PretrainRecipe


def with_method(recipe: PretrainRecipe, name: str, method: AnyMethod) -> PretrainRecipe:
    """All else as in `recipe`, called by its name and this one."""
    teacher = recipe.teacher if method.learns_from_teacher else "none"
    return replace(recipe, name=f"{recipe.name}-{name}", method=method, teacher=teacher)


def point_mae(recipe: PretrainRecipe) -> PretrainRecipe:
    """Point-MAE, its decoder a third as deep as the encoder (4 blocks at the paper's sizes), of two blocks at least."""
    backbone = recipe.backbone
    decoder = DecoderConfig(depth=max(2, backbone.depth // 3), heads=backbone.heads)
    return with_method(recipe, "point-mae", PointMAEConfig(decoder=decoder))


def point_contrast(recipe: PretrainRecipe) -> PretrainRecipe:
    """PointContrast: its 4096 matches a step at the paper's batch of 128 pairs, a thousand in smaller batches."""
    matches = max(PointContrastConfig.matches, 1024 // recipe.engine.batch_size)
    return with_method(recipe, "point-contrast", PointContrastConfig(matches=matches))

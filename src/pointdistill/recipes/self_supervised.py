"""Other methods of pre-training on the frames of a distillation, with its backbone and optimisation ("exactly the same
setting", Appendix A.1 of the paper): the self-supervised rows of Tables 1, 3 and 4."""

from dataclasses import replace

from pointdistill.methods.cross_point import CrossPointConfig
from pointdistill.methods.depth_contrast import DepthContrastConfig
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


def cross_point(recipe: PretrainRecipe) -> PretrainRecipe:
    """CrossPoint, its image branch the teacher of the distillation; its heads are of the authors' sizes everywhere."""
    return with_method(recipe, "cross-point", CrossPointConfig())


def depth_contrast(recipe: PretrainRecipe) -> PretrainRecipe:
    """DepthContrast, whose queue holds 128 batches, as its authors' does: keys of the same age."""
    return with_method(recipe, "depth-contrast", DepthContrastConfig(queue=128 * recipe.engine.batch_size))

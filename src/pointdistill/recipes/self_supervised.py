"""Other methods of pre-training on the frames of a distillation, with its backbone and optimisation ("exactly the same
setting", Appendix A.1 of the paper): the self-supervised rows of Tables 1, 3 and 4."""

from dataclasses import replace

from pointdistill.methods.cross_point import CrossPointConfig
from pointdistill.methods.depth_contrast import DepthContrastConfig
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.methods.mask_point import MaskPointConfig
from pointdistill.methods.occo import OccoConfig
from pointdistill.methods.point_bert import PointBERTConfig
from pointdistill.methods.point_contrast import PointContrastConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.models.completion import CompletionConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.query_decoder import QueryDecoderConfig
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


def point_bert(recipe: PretrainRecipe) -> PretrainRecipe:
    """Point-BERT, whose backbone has a class token, its dVAE trained for as many epochs before.

    At the paper's width of 384 the sizes are Point-BERT's. At others the width of what is contrasted keeps its
    proportion, the dVAE's widths shrink with the power 1.5 of the backbone's, and codebook and queue with its square:
    at the quickstart's 96 to an eighth and a sixteenth, 32 wide with 512 tokens and 1024 keys. The dVAE's learning rate
    and weight decay are Point-BERT's, all else is the backbone's optimisation.
    """
    width = recipe.backbone.width
    narrower, fewer = (width / 384) ** 1.5, (width / 384) ** 2
    tokenizer = DVAEConfig(
        tokens=4 * round(2048 * fewer),  # four groups are normalised each by itself
        token_width=4 * round(64 * narrower),
        graph_width=4 * round(32 * narrower),
    )
    method = PointBERTConfig(tokenizer, contrast_width=4 * width // 3, queue=round(16384 * fewer))
    return replace(
        with_method(recipe, "point-bert", method),
        backbone=replace(recipe.backbone, class_token=True),
        first=replace(recipe.engine, lr=5e-4, weight_decay=5e-4),
    )


def mask_point(recipe: PretrainRecipe) -> PretrainRecipe:
    """MaskPoint, 90 % of the patches hidden (57 of 64) and 256 + 256 queries a cloud; torch's start, since with
    the authors' positions hardly matter at first, and the small recipe is short."""
    return with_method(
        recipe, "mask-point", MaskPointConfig(decoder=QueryDecoderConfig(heads=recipe.backbone.heads), start="torch")
    )


def occo(recipe: PretrainRecipe) -> PretrainRecipe:
    """OcCo: half as many points read and made as a cloud has; the decoder as wide to the backbone as at the paper's
    sizes. The fine cloud's weight grows at the shares of training at which it did on ModelNet40 (10,000, 20,000 and
    50,000 steps, of 50 epochs of 98,430 views in batches of 32)."""
    width, points = recipe.backbone.width, recipe.frames.points
    completion = CompletionConfig(feature=1024 * width // 384, coarse=points // 32, hidden=512 * width // 384)
    return with_method(recipe, "occo", OccoConfig(completion, input_points=points // 2))


def point_contrast(recipe: PretrainRecipe) -> PretrainRecipe:
    """PointContrast: its 4096 matches a step at the paper's batch of 128 pairs, a thousand in smaller batches."""
    matches = max(PointContrastConfig.matches, 1024 // recipe.engine.batch_size)
    return with_method(recipe, "point-contrast", PointContrastConfig(matches=matches))


def cross_point(recipe: PretrainRecipe) -> PretrainRecipe:
    """CrossPoint, its image branch the teacher of the distillation; its heads are of the authors' sizes everywhere."""
    return with_method(recipe, "cross-point", CrossPointConfig())


def depth_contrast(recipe: PretrainRecipe) -> PretrainRecipe:
    """DepthContrast, whose queue holds 128 batches, as its authors' does: keys of the same age."""
    return with_method(recipe, "depth-contrast", DepthContrastConfig(queue=128 * recipe.engine.batch_size))

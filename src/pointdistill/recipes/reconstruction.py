"""The paper's reconstruction ablation (section 4.3.2, Tables 6 and 7), beside any distillation."""

from dataclasses import replace
from typing import Literal

from pointdistill.methods.distill import DistillConfig
from pointdistill.methods.distill_reconstruction import MASKED_FEATURES, DistillReconstructionConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.recipes.recipe import PretrainRecipe

MaskAt = Literal["input", "output"]


def reconstruction(recipe: PretrainRecipe, mask_at: MaskAt = "output") -> PretrainRecipe:
    """Only reconstruction, all else as in a distillation.

    Args:
        recipe: the distillation, `recipes.paper.paper` or `recipes.quickstart.distillation`.
        mask_at: "output" masks what is encoded, to the letter; "input" is Point-MAE's form with the same decoder.
    """
    return replace(recipe, name=f"{recipe.name}-reconstruction-{mask_at}", method=_masking(recipe, mask_at))


def distillation_with_reconstruction(recipe: PretrainRecipe, mask_at: MaskAt = "output") -> PretrainRecipe:
    """Both losses at weight 1, all else as in a distillation; see `reconstruction`."""
    assert isinstance(recipe.method, DistillConfig)
    method = DistillReconstructionConfig(recipe.method, _masking(recipe, mask_at))
    return replace(recipe, name=f"{recipe.name}-both-{mask_at}", method=method)


def _masking(recipe: PretrainRecipe, mask_at: MaskAt) -> PointMAEConfig:
    decoder = replace(MASKED_FEATURES.decoder, heads=recipe.backbone.heads)
    return replace(MASKED_FEATURES, decoder=decoder, mask_at=mask_at)

"""The pre-trainings that the command line knows by name."""

from collections.abc import Callable
from functools import partial

from pointdistill.recipes.ablations import local_alignment, mixed_projector, untied, without_captions, without_concepts
from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import distillation
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.recipes.reconstruction import distillation_with_reconstruction, reconstruction
from pointdistill.recipes.self_supervised import cross_point, depth_contrast, point_mae
from pointdistill.recipes.shapenet55 import point_mae_shapenet55

_BASES: tuple[Callable[[], PretrainRecipe], ...] = (paper, distillation)
_VARIANTS: dict[str, Callable[[PretrainRecipe], PretrainRecipe]] = {
    "tokens": partial(without_concepts, reads="tokens"),
    "pooled": partial(without_concepts, reads="pooled"),
    "no-captions": without_captions,
    "local": local_alignment,
    "untied": untied,
    "mix": mixed_projector,
    "point-mae": point_mae,
    "cross-point": cross_point,
    "depth-contrast": depth_contrast,
    "reconstruction-input": partial(reconstruction, mask_at="input"),
    "reconstruction-output": partial(reconstruction, mask_at="output"),
    "both-input": partial(distillation_with_reconstruction, mask_at="input"),
    "both-output": partial(distillation_with_reconstruction, mask_at="output"),
}
_OTHERS: tuple[Callable[[], PretrainRecipe], ...] = (point_mae_shapenet55,)


def pretraining_recipes() -> dict[str, PretrainRecipe]:
    """Two distillations, each of them with one thing changed, and recipes of other data, by their names."""
    bases = [make() for make in _BASES]
    variants = [vary(base) for base in bases for vary in _VARIANTS.values()]
    return {recipe.name: recipe for recipe in (*bases, *variants, *(make() for make in _OTHERS))}

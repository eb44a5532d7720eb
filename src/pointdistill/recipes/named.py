"""The pre-trainings that the command line knows by name."""

from collections.abc import Callable
from functools import partial

from pointdistill.recipes.ablations import (
    imagenet,
    local_alignment,
    mixed_projector,
    random_teacher,
    untied,
    without_captions,
    without_concepts,
)
from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import distillation
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.recipes.reconstruction import distillation_with_reconstruction, reconstruction
from pointdistill.recipes.self_supervised import (
    cross_point,
    depth_contrast,
    mask_point,
    occo,
    point_bert,
    point_contrast,
    point_mae,
)
from pointdistill.recipes.shapenet55 import (
    mask_point_shapenet55,
    occo_shapenet55,
    point_bert_shapenet55,
    point_mae_shapenet55,
)

_BASES: tuple[Callable[[], PretrainRecipe], ...] = (paper, distillation)
_VARIANTS: dict[str, Callable[[PretrainRecipe], PretrainRecipe]] = {
    "tokens": partial(without_concepts, reads="tokens"),
    "pooled": partial(without_concepts, reads="pooled"),
    "no-captions": without_captions,
    "local": local_alignment,
    "imagenet": imagenet,
    "untied": untied,
    "mix": mixed_projector,
    "point-mae": point_mae,
    "point-bert": point_bert,
    "mask-point": mask_point,
    "occo": occo,
    "cross-point": cross_point,
    "point-contrast": point_contrast,
    "depth-contrast": depth_contrast,
    "reconstruction-input": partial(reconstruction, mask_at="input"),
    "reconstruction-output": partial(reconstruction, mask_at="output"),
    "both-input": partial(distillation_with_reconstruction, mask_at="input"),
    "both-output": partial(distillation_with_reconstruction, mask_at="output"),
}
_OF_THE_EMBEDDED_TEACHER = {"random-teacher": random_teacher}
_OTHERS: tuple[Callable[[], PretrainRecipe], ...] = (
    point_mae_shapenet55,
    point_bert_shapenet55,
    mask_point_shapenet55,
    occo_shapenet55,
    lambda: random_teacher(distillation()),
)


def varied(recipe: PretrainRecipe, kind: str) -> PretrainRecipe:
    """A distillation with one thing changed, by the end of the changed recipe's name.

    Raises:
        ValueError: it has no such variant.
    """
    return (_VARIANTS | _OF_THE_EMBEDDED_TEACHER)[kind](recipe)


def pretraining_recipes() -> dict[str, PretrainRecipe]:
    """Two distillations, each with one thing changed, and recipes of one base or of other data, by their names."""
    bases = [make() for make in _BASES]
    variants = [vary(base) for base in bases for vary in _VARIANTS.values()]
    return {recipe.name: recipe for recipe in (*bases, *variants, *(make() for make in _OTHERS))}

"""The paper's ablations of the distillation (Table 5) as variants of a recipe: all else stays as it is."""

from dataclasses import dataclass, replace
from typing import Literal

from pointdistill.methods.distill import DistillConfig
from pointdistill.methods.local_alignment import LocalAlignmentConfig
from pointdistill.recipes.recipe import PretrainRecipe

CLIP_FEATURE = "clip-feature-vit-768x12x12-patch32-224px-quick_gelu-512"
"""Identity of the teacher `clip-feature:` with CLIP ViT-B/32."""
CLIP_PATCHES = CLIP_FEATURE.replace("feature", "patches")
"""Identity of the teacher `clip-patches:` with the same."""
IMAGENET = "imagenet-efficientnet-lite0-pooled-1"
"""Identity of the teacher `imagenet`."""


@dataclass(frozen=True)
class _Teachers:
    """Those of a base's ablations: of the same 2D model as its own.

    Attributes:
        feature: its image feature.
        patches: its features of places.
        image_side: of the image that those see (`LocalAlignmentConfig.image_side`).
        imagenet: the one of other knowledge.
    """

    feature: str
    patches: str
    image_side: int
    imagenet: str


_CLIP = _Teachers(CLIP_FEATURE, CLIP_PATCHES, 224, IMAGENET)
_SMALL = _Teachers("small-feature", "small-patches", 64, "imagenet")
"""As `--teacher` spells them, since "small" is the name of the embedded teacher in recipes."""


def _teachers(recipe: PretrainRecipe) -> _Teachers:
    return _SMALL if recipe.teacher == "small" else _CLIP


def without_concepts(recipe: PretrainRecipe, reads: Literal["tokens", "pooled"] = "pooled") -> PretrainRecipe:
    """Table 5, "w/o concept extraction": the encoder's tokens go to the projector.

    The flattened tokens ("tokens") depend on the order of farthest point sampling and are an easy opponent; their mean
    and maximum ("pooled") are the fair one (docs/paper.md). Without concepts all blocks run, and the final LayerNorm
    learns.
    """
    return replace(recipe, name=f"{recipe.name}-{reads}", method=replace(_method(recipe), reads=reads))


def without_captions(recipe: PretrainRecipe) -> PretrainRecipe:
    """Table 5, "w/o caption model": the target is CLIP's image feature, one vector: prepare the frames
    with `--teacher clip-feature:CLIP`; in small the embedded teacher's, `--teacher small-feature`."""
    return replace(recipe, name=f"{recipe.name}-no-captions", teacher=_teachers(recipe).feature)


def local_alignment(recipe: PretrainRecipe) -> PretrainRecipe:
    """Table 5, "direct local alignment": patch tokens to CLIP's patch tokens, 7 x 7: prepare the frames with `--teacher
    clip-patches:CLIP` (or `imagenet-map`); in small to the embedded teacher's 4 x 4, `--teacher small-patches`."""
    teachers = _teachers(recipe)
    method = LocalAlignmentConfig(
        image_side=teachers.image_side,
        standardise="none" if _method(recipe).standardise == "none" else "scalar",
    )
    return replace(recipe, name=f"{recipe.name}-local", teacher=teachers.patches, method=method)


def imagenet(recipe: PretrainRecipe) -> PretrainRecipe:
    """Distillation from a teacher that has seen photographs and no caption: `--teacher imagenet`, (1, 1280)."""
    return replace(recipe, name=f"{recipe.name}-imagenet", teacher=_teachers(recipe).imagenet)


def random_teacher(recipe: PretrainRecipe) -> PretrainRecipe:
    """Distillation from the embedded teacher's networks with random weights, `--teacher random`: the control for every
    claim that 2D knowledge was transferred. Of CLIP's there is none.

    Raises:
        ValueError: the recipe's teacher is not the embedded one.
    """
    if recipe.teacher != "small":
        raise ValueError(f"the recipe {recipe.name} learns from {recipe.teacher}: it has no teacher of random weights")
    return replace(recipe, name=f"{recipe.name}-random-teacher", teacher="random")


def untied(recipe: PretrainRecipe) -> PretrainRecipe:
    """Cross-attention with parameters of its own in every layer (Appendix A.1 shares them)."""
    method = _method(recipe)
    return replace(
        recipe,
        name=f"{recipe.name}-untied",
        method=replace(method, concepts=replace(method.concepts, tie_layers=False)),
    )


def mixed_projector(recipe: PretrainRecipe) -> PretrainRecipe:
    """The small projector, which mixes tokens first: 0.3 M parameters where the flat one has 76.7 M, at the paper's
    sizes."""
    method = _method(recipe)
    hidden = recipe.backbone.width
    return replace(
        recipe,
        name=f"{recipe.name}-mix",
        method=replace(method, projector=replace(method.projector, form="mix", hidden=hidden)),
    )


def _method(recipe: PretrainRecipe) -> DistillConfig:
    if not isinstance(recipe.method, DistillConfig):
        raise ValueError(f"the recipe {recipe.name} does not distil: it has no such ablation")
    return recipe.method

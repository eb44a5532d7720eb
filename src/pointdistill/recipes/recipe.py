"""What a pre-training recipe is made of."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pointdistill.augment import Augmentation
from pointdistill.engine.pretrain import PretrainConfig
from pointdistill.errors import RecipeError
from pointdistill.methods.base import MethodConfig
from pointdistill.methods.cross_point import CrossPointConfig
from pointdistill.methods.depth_contrast import DepthContrastConfig
from pointdistill.methods.distill import DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.methods.local_alignment import LocalAlignmentConfig
from pointdistill.methods.mask_point import MaskPointConfig
from pointdistill.methods.occo import OccoConfig
from pointdistill.methods.point_bert import PointBERTConfig
from pointdistill.methods.point_contrast import PointContrastConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.typed_json import read_typed

AnyMethod = (
    DistillConfig
    | PointMAEConfig
    | DistillReconstructionConfig
    | LocalAlignmentConfig
    | DVAEConfig
    | PointBERTConfig
    | MaskPointConfig
    | OccoConfig
    | CrossPointConfig
    | DepthContrastConfig
    | PointContrastConfig
)
"""The methods that a recipe can be read back with."""


@dataclass(frozen=True)
class FrameRecipe:
    """Which frames are prepared and how a cloud is drawn from one.

    Attributes:
        dataset: name of the data set, for records.
        split: split list to take scans from.
        every: every n-th frame of a scan.
        stored_points: points kept a frame in the store.
        points: points drawn afresh each epoch.
        frame: "camera" as the paper has it, or "gravity" (turned by the pose, z up, as downstream data are).
        augmentation: of the drawn cloud.
    """

    dataset: str = "ScanNetV2"
    split: str = "train"
    every: int = 25
    stored_points: int = 16384
    points: int = 4096
    frame: Literal["camera", "gravity"] = "camera"
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class PretrainRecipe:
    """One pre-training, from frames to backbone.

    Attributes:
        name: what it is called.
        teacher: whose targets it learns from, "none" where it needs none.
        backbone: what is trained.
        method: how; another than the package's own is that of a file of the user's (`recipes.user`).
        frames: on what.
        engine: optimisation.
        first: optimisation of what the method needs trained before, on the same frames: Point-BERT's tokenizer
            (`first_stage`). None for all other methods.
    """

    name: str
    teacher: str
    backbone: BackboneConfig
    method: AnyMethod | MethodConfig
    frames: FrameRecipe
    engine: PretrainConfig
    first: PretrainConfig | None = None


def first_stage(recipe: PretrainRecipe) -> PretrainRecipe | None:
    """The pre-training that comes before; None for methods of one stage.

    Raises:
        RecipeError: the method has two stages and the recipe does not say how the first is trained, or the reverse.
    """
    tokenizer = recipe.method.tokenizer if isinstance(recipe.method, PointBERTConfig) else None
    if (tokenizer is None) != (recipe.first is None):
        raise RecipeError(
            f"recipe {recipe.name}: `first` is the optimisation of Point-BERT's tokenizer. "
            f"{'Leave it out for other methods' if recipe.first else 'Give one'}"
        )
    if tokenizer is None or recipe.first is None:
        return None
    return replace(recipe, name=f"{recipe.name}-tokenizer", method=tokenizer, engine=recipe.first, first=None)


def with_optimisation(recipe: PretrainRecipe, **changes: Any) -> PretrainRecipe:
    """The recipe with these settings of `PretrainConfig` in every stage."""
    first = recipe.first and replace(recipe.first, **changes)
    return replace(recipe, engine=replace(recipe.engine, **changes), first=first)


def as_json(recipe: object) -> dict:
    """A recipe (any frozen dataclass) as plain JSON values, its class named."""
    return {"recipe": type(recipe).__name__, **json.loads(json.dumps(dataclasses.asdict(recipe)))}  # type: ignore[call-overload]


def read_pretrain_recipe(content: dict) -> PretrainRecipe:
    """The pre-training recipe that `as_json` wrote down.

    Raises:
        TypeError: it is none of this version's.
    """
    return read_typed(PretrainRecipe, {name: value for name, value in content.items() if name != "recipe"})


def recipe_hash(*parts: object) -> str:
    """Twelve hexadecimal digits that change when any setting does. Dataclasses, dicts, strings and numbers."""
    plain = [as_json(part) if dataclasses.is_dataclass(part) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]

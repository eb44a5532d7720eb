"""A finished distillation, read back from its folder alone: what turns a cloud into a predicted prefix."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from pointdistill.errors import CheckpointError
from pointdistill.files import read_json
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.recipe import PretrainRecipe, read_pretrain_recipe
from pointdistill.tensors import load_tensors

MEAN_TARGET = "mean_target"
"""Name of the mean of the training targets in method.safetensors, where the method's own target_mean is not it."""
_REMEDY = "Give the folder of a finished pre-training (`pointdistill pretrain ... --out RUN`)"


@dataclass(frozen=True)
class Distilled:
    """A distillation that is ready to predict.

    Attributes:
        method: backbone, concepts and projector, in evaluation mode.
        recipe: what it was trained by; `recipe.frames` says how many points a cloud has, and in which frame.
        teacher: identity, weights_hash and target_shape of whose targets it predicts.
        mean_target: the mean of the targets it was trained on: what a prediction without information would be.
    """

    method: Distill
    recipe: PretrainRecipe
    teacher: dict
    mean_target: Float[Tensor, "prefix prefix_width"]


def load_distilled(folder: str | Path) -> Distilled:
    """Read a finished pre-training back; its store is not needed.

    Raises:
        CheckpointError: no such run, an unfinished one, one of a method that predicts no target, or damaged.
    """
    folder = Path(folder)
    path = folder / "method.safetensors"
    if not (folder / "result.json").is_file() or not path.is_file():
        raise CheckpointError(folder, "holds no finished pre-training", _REMEDY)
    run = read_json(folder / "run.json", _REMEDY)
    try:
        recipe = read_pretrain_recipe(run["recipe"])
        teacher = dict(run["teacher"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(folder / "run.json", f"its recipe cannot be read ({error})", _REMEDY) from error
    if not isinstance(recipe.method, DistillConfig):
        raise CheckpointError(folder, f"its method ({recipe.name}) predicts no teacher's target", _REMEDY)
    tensors, _ = load_tensors(path)
    shape = tuple(teacher["target_shape"])
    method = Distill(recipe.method, PointTransformer(recipe.backbone), torch.zeros(shape), torch.ones(shape))
    mean = tensors.pop(MEAN_TARGET, tensors.get("target_mean", torch.zeros(shape)))
    try:
        method.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(path, "does not fit the recipe in run.json beside it", "Pre-train again") from error
    return Distilled(method.eval(), recipe, teacher, mean)

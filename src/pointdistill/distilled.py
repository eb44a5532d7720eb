"""A finished distillation, read back from its folder alone: what turns a cloud into a predicted prefix."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.errors import CheckpointError
from pointdistill.files import read_json
from pointdistill.hub import RUN, located
from pointdistill.methods.base import TargetStatistics
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig
from pointdistill.models.fitting import fitted
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.recipe import PretrainRecipe, read_pretrain_recipe
from pointdistill.tensors import load_tensors

METHOD = "method.safetensors"
"""All of a method's weights, in the folder of its pre-training."""
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


def read_finished(folder: str | Path) -> tuple[PretrainRecipe, dict]:
    """The recipe of a finished pre-training, and the whole of its run.json.

    Raises:
        CheckpointError: no such run, an unfinished one, one of another version's recipe, or of a method of a file of
            the user's.
    """
    folder = Path(folder)
    if not (folder / "result.json").is_file() or not (folder / METHOD).is_file():
        raise CheckpointError(folder, "holds no finished pre-training", _REMEDY)
    run = read_json(folder / "run.json", _REMEDY)
    code = run.get("code")
    if isinstance(code, dict) and code.get("method"):  # nothing that a run's folder names is ever run
        problem = f"its method, {code['method']}, is of a file of its owner's, {code.get('file')}"
        remedy = "Its backbone alone can be used: embed --backbone, finetune and probe --init."
        raise CheckpointError(folder, problem, remedy)
    try:
        return read_pretrain_recipe(run["recipe"]), {**run, "teacher": dict(run["teacher"])}
    except (KeyError, TypeError) as error:
        raise CheckpointError(folder / "run.json", f"its recipe cannot be read ({error})", _REMEDY) from error


def fill_method(method: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Give a method the weights that its file held.

    Raises:
        CheckpointError: they are another recipe's.
    """
    try:
        method.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(path, "does not fit the recipe in run.json beside it", "Pre-train again") from error


def load_distilled(folder: str | Path) -> Distilled:
    """Read a finished pre-training back; its store is not needed.

    Args:
        folder: of the run, or OWNER/NAME[@REVISION] on the model hub.

    Raises:
        CheckpointError: no such run, an unfinished one, one of a method that predicts no target, or damaged.
    """
    folder = located(folder, RUN)
    recipe, run = read_finished(folder)
    if not isinstance(recipe.method, DistillConfig | DistillReconstructionConfig):
        raise CheckpointError(folder, f"its method ({recipe.name}) predicts no teacher's target", _REMEDY)
    teacher = run["teacher"]
    tensors, _ = load_tensors(folder / METHOD)
    configured = recipe.method
    shape = _shape(teacher.get("target_shape"), folder / "run.json")

    def build() -> Distill:
        statistics = TargetStatistics(torch.zeros(shape), torch.ones(shape))  # what they were is among the weights
        return configured.build(PointTransformer(recipe.backbone), statistics)

    mean = tensors.pop(MEAN_TARGET, tensors.get("target_mean"))
    settings, path = (recipe.backbone, configured), folder / METHOD
    method = fitted(build, settings, tensors, path, "the recipe in run.json beside it", "Pre-train again")
    mean = torch.zeros(shape) if mean is None else mean
    return Distilled(method.eval(), recipe, teacher, mean)


def _shape(told: object, path: Path) -> tuple[int, int]:
    match told:
        case [int(tokens), int(width)] if tokens > 0 and width > 0:
            return tokens, width
    raise CheckpointError(path, f"its teacher's targets cannot be of shape {told}", _REMEDY)

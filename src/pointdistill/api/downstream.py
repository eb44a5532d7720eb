"""A downstream task in one call: a task, a backbone, labelled data -> figures and a model."""

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.engine.log import Report
from pointdistill.files import exclusive
from pointdistill.finetuning import SCRATCH, named_recipe, run_finetuning
from pointdistill.hub import BACKBONE, located
from pointdistill.models.backbone import Backbone
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.user import own_task
from pointdistill.tasks.base import Figures, Splits, Task, TaskModel
from pointdistill.tasks.saved import SavedModel, load_task_model
from pointdistill.user_code import UserCode


@dataclass(frozen=True)
class FineTuned:
    """What came of a fine-tuning.

    Attributes:
        figures: of the test split, shares in [0, 1] by name; per-class ones as a dictionary of names.
        saved: the model in evaluation mode, its task, and what it took from its data (names of the classes).
        result: all of result.json: also the curve, steps, seconds, settings.
    """

    figures: Figures
    saved: SavedModel
    result: dict[str, Any]

    @property
    def model(self) -> TaskModel:
        """The network: `model.backbone`, fine-tuned, and the task's head."""
        return self.saved.model


def finetune(
    task: str | DownstreamRecipe | Task,
    backbone: Backbone | str | Path | None,
    data: str | Path | Splits,
    out: str | Path | None = None,
    *,
    config: FinetuneConfig | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    labels: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    report: Report = lambda done, total, note: None,
    say: Callable[[str], None] = lambda line: None,
) -> FineTuned:
    """Train a downstream task from a backbone's weights, and test it once, at the end.

    Args:
        task: a recipe or its name (docs/downstream.md: its data's splits and optimisation are taken with it), or
            FILE.py:NAME of one of your own; or a task, from `pointdistill.tasks` or your own, with `config` for its
            optimisation.
        backbone: starting weights, left as they are: a backbone, backbone.safetensors, the folder of a pre-training or
            OWNER/NAME on the model hub; None or "scratch" for random ones of the recipe's size.
        data: a folder written by `pointdistill prepare --labels`, or splits (`tasks.base.Splits`).
        out: folder of log, checkpoint, model and result; the same call goes on from what is there. None keeps nothing.
        config: optimisation, in steps, instead of the recipe's.
        epochs, batch_size: instead of the recipe's.
        labels: train on so many labelled rooms, or objects a class, drawn by the seed.
        seed: of head, order, subsets, augmentation, dropout, and of the labels chosen.
        device: where to train.
        report: called after every step with (steps done, all steps, a note).
        say: is told what a user should know.

    Raises:
        RecipeError: no such recipe, data of another kind, weights that the recipe cannot start from, or `out` holds
            another run.
        DataError: no such data, or data that the task cannot use.
        CheckpointError: a missing or damaged checkpoint.
        HubError: no such repository, or the hub cannot be reached and the cache has it not.
        TrainingDiverged: the loss became NaN or infinite.
    """
    recipe, code = _recipe(task)
    if config is not None:
        recipe = replace(recipe, optimisation=config, epochs=None)
    init = None if backbone is None or backbone == SCRATCH else backbone
    start = init if isinstance(init, Backbone) or init is None else located(init, BACKBONE)
    with nullcontext(out) if out is not None else tempfile.TemporaryDirectory() as folder:
        with exclusive(Path(folder)), code.telling("the recipe") if code else nullcontext():
            result = run_finetuning(
                recipe,
                data if isinstance(data, Splits) else Path(data),
                Path(folder),
                start,
                epochs=epochs,
                batch_size=batch_size,
                labels=labels,
                seed=seed,
                device=device,
                report=report,
                say=say,
                code=code,
            )
        own = recipe.task if own_task(recipe.task) else None
        return FineTuned(result["test"], load_task_model(folder, own), result)


def _recipe(task: str | DownstreamRecipe | Task) -> tuple[DownstreamRecipe, UserCode | None]:
    """The recipe itself, by its name, or one around a task; and the user's file, where it is from one."""
    if isinstance(task, str):
        return named_recipe(task)
    if isinstance(task, DownstreamRecipe):
        return task, None
    splits = ("train", "val", "test")
    store: Any = task.store
    recipe = DownstreamRecipe(task.name, task, BackboneConfig(), FinetuneConfig(), None, 0, 0, store, splits, "own")
    return recipe, None

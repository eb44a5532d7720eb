"""What a frozen backbone's features hold, by a protocol that trains at most a linear model on them."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

from pointdistill import distributed
from pointdistill.console import answering, console, say
from pointdistill.errors import RecipeError
from pointdistill.files import write_json
from pointdistill.finetuning import SCRATCH, named_recipe, require_kind, starting_backbone
from pointdistill.hub import BACKBONE, located
from pointdistill.labelled import open_splits
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.report.figures import figure_table, in_words, print_figures
from pointdistill.tasks.base import Figures
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.frozen import linear_svm, nearest_neighbours

Protocol = Literal["linear", "nearest-neighbours", "svm", "svm-one-vs-rest"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
_DEFAULT = "linear"


def run_probe(
    recipe: DownstreamRecipe,
    data: Path,
    init: Path | None = None,
    protocol: str = _DEFAULT,
    *,
    labels: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> Figures:
    """The figures of a frozen backbone on the recipe's test split.

    Args:
        recipe: task, patches and splits; its optimisation is not used.
        data: a store of labelled data of the recipe's kind.
        init: backbone.safetensors or the folder of one; None: random weights.
        protocol: "linear" for every task; for classification also "nearest-neighbours" (k = 20, weighted cosine),
            "svm" (CrossPoint's: a machine a pair of classes, C = 0.1) and "svm-one-vs-rest" (Point-BERT's and
            Point-MAE's: a machine a class, C = 1); see `tasks.frozen`.
        labels: only so many labelled rooms, or objects a class, drawn by the seed.
        seed: of random weights and of the draws of points.
        say: is told what a user should know.

    Raises:
        RecipeError: no such protocol, or one that the task does not have; a store of another kind.
        DataError: no such store or split, or data that the task cannot use.
        CheckpointError: a missing or damaged checkpoint.
        MissingPackage: the SVM without scikit-learn.
    """
    if protocol not in PROTOCOLS:
        raise RecipeError(f"there is no protocol {protocol!r}. Choose one of {', '.join(PROTOCOLS)}")
    require_kind(recipe, data)
    backbone = starting_backbone(recipe.backbone, init, seed, say).to(device)
    splits = open_splits(data, recipe.splits, labels, seed)
    recipe.task.check(splits)
    if protocol == _DEFAULT:
        return recipe.task.probe(backbone, splits, seed)
    task = recipe.task
    if not isinstance(task, Classification) or not isinstance(backbone, PointTransformer):
        raise RecipeError(f"the protocol {protocol} is for classification; {recipe.name} has {_DEFAULT}")
    if protocol == "nearest-neighbours":
        return nearest_neighbours(backbone, splits, seed, task)
    one_vs_rest = protocol == "svm-one-vs-rest"
    return linear_svm(backbone, splits, seed, task, c=1.0 if one_vs_rest else 0.1, one_vs_rest=one_vs_rest)


def run_named_probe(
    name: str, data: Path, init: str, protocol: str, out: Path | None, seed: int, labels: int | None, device: str
) -> dict[str, Any]:
    """`pointdistill probe NAME`: print one table, and write it where asked; settings and figures."""
    recipe, code = named_recipe(name)
    with code.telling("the recipe") if code else nullcontext():
        return _run_recipe(recipe, name, data, init, protocol, out, seed, labels, device)


def _run_recipe(
    recipe: DownstreamRecipe,
    name: str,
    data: Path,
    init: str,
    protocol: str,
    out: Path | None,
    seed: int,
    labels: int | None,
    device: str,
) -> dict[str, Any]:
    distributed.require_device(device)
    start = None if init == SCRATCH else located(init, BACKBONE)
    figures = run_probe(
        recipe,
        data,
        start,
        protocol,
        labels=labels,
        seed=seed,
        device=device,
        say=say,
    )
    main = recipe.task.metric if recipe.task.metric in figures else next(iter(figures))
    title = f"{in_words(recipe.task.name)}, frozen backbone, {protocol}, {'+'.join(recipe.splits[2:])} split, in %"
    with answering():
        print_figures(title, figure_table(figures, main), console)
    settings: dict[str, Any] = {"recipe": name, "protocol": protocol, "init": init, "labels": labels, "seed": seed}
    content = {**settings, "figures": figures}
    if out is not None:
        write_json(out, content)
        say(f"{out}: the figures")
    return content

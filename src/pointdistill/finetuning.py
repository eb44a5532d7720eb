"""A downstream recipe on a prepared store: from scratch or from pre-trained weights, trained, tested, written."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pointdistill import distributed
from pointdistill.console import answering, console, progress, say
from pointdistill.engine.few_shot import few_shot
from pointdistill.engine.finetune import finetune
from pointdistill.engine.log import Report
from pointdistill.errors import RecipeError, choose
from pointdistill.files import exclusive, read_json
from pointdistill.hub import BACKBONE, located
from pointdistill.labelled import few_labels, kind_of, open_splits
from pointdistill.manifest import NAME as MANIFEST
from pointdistill.manifest import file_sha256
from pointdistill.models.backbone import Backbone, Config
from pointdistill.models.checkpoints import load_backbone, read_backbone_config
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.user import load_downstream_recipe, own_task
from pointdistill.report.figures import figure_table, in_words, print_figures
from pointdistill.seeding import torch_generator
from pointdistill.tasks.base import Splits
from pointdistill.tasks.classification import Classification
from pointdistill.trackers import tracked
from pointdistill.user_code import UserCode, user_code

SCRATCH = "scratch"
FEW_SHOT = "few-shot"
"""How the names of recipes end that are trained on episodes."""
_OF_SHAPE = ("width", "depth", "heads")


class Episodes(NamedTuple):
    """The draws of a few-shot protocol."""

    way: int
    """Classes a draw."""
    shot: int
    """Training clouds a class."""
    count: int = 10
    """Draws, each fine-tuned by itself."""


def run_few_shot(
    recipe: DownstreamRecipe,
    data: Path,
    out: Path,
    episodes: Episodes,
    init: Path | None = None,
    *,
    queries: int = 20,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    report: Report = lambda done, total, note: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """A classification recipe on few-shot episodes (`engine.few_shot`); arguments and errors as `run_finetuning`'s.

    Args:
        queries: test clouds a class and episode.

    Returns:
        The content of result.json: the accuracy of each episode, their mean and standard deviation.
    """
    require_kind(recipe, data)
    task = recipe.task
    if not isinstance(task, Classification):
        raise RecipeError(f"few-shot episodes are for classification, the recipe {recipe.name} is not")
    backbone = starting_backbone(recipe.backbone, init, seed, say)
    splits = open_splits(data, recipe.splits, None, seed)
    config = _with_batches(recipe, batch_size).schedule(episodes.way * episodes.shot, epochs)
    return few_shot(
        task,
        backbone,
        splits,
        config,
        seed,
        Path(out),
        way=episodes.way,
        shot=episodes.shot,
        episodes=episodes.count,
        queries=queries,
        report=report,
        device=device,
    )


def _few_shot_title(result: dict[str, Any]) -> str:
    return f"classification, {result['way']}-way {result['shot']}-shot, {len(result['episodes'])} episodes, in %"


def _few_shot_figures(result: dict[str, Any]) -> dict[str, Any]:
    figures = {"accuracy": result["mean"], "standard deviation over episodes": result["std"]}
    best = {"best points of the curves": result["best_mean"]} if "best_mean" in result else {}
    return {**figures, **best}


def run_finetuning(
    recipe: DownstreamRecipe,
    data: Path | Splits,
    out: Path,
    init: Path | Backbone | None = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    labels: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    report: Report = lambda done, total, note: None,
    say: Callable[[str], None] = lambda line: None,
    code: UserCode | None = None,
) -> dict[str, Any]:
    """Fine-tune and test by a recipe, going on from the last checkpoint in `out`; a finished run is returned as it is.

    Args:
        recipe: task, optimisation, splits.
        data: a store of labelled data (`prepare.prepare_labels`) of the recipe's kind, or its splits.
        out: folder for log.jsonl, checkpoint, model.safetensors, model.json, result.json (`engine.finetune`).
        init: backbone.safetensors or the folder of one (a pre-training's, a conversion's), or a backbone itself, which
            is left as it is; None: random weights.
        epochs: instead of the recipe's.
        batch_size: instead of the recipe's.
        labels: only so many labelled rooms, or objects a class, drawn by the seed.
        seed: of everything random.
        device: where to train.
        report: called after every step.
        say: is told what a user should know.
        code: the user's own file that the recipe is from, if it is: another content of it is another run.

    Returns:
        The content of result.json.

    Raises:
        RecipeError: a store of another kind, weights that the recipe cannot start from, or `out` holds another run.
        DataError: no such store or split, or data that the task cannot use.
        CheckpointError: a missing or damaged checkpoint.
    """
    if isinstance(data, Splits):
        splits = replace(data, train=few_labels(data.train, labels, seed))
        backbone = starting_backbone(recipe.backbone, init, seed, say)
    else:
        require_kind(recipe, data)
        backbone = starting_backbone(recipe.backbone, init, seed, say)
        splits = open_splits(data, recipe.splits, labels, seed)
    config = _with_batches(recipe, batch_size).schedule(recipe.task.size(splits.train), epochs)
    card = {
        "recipe": recipe.name,
        "source": recipe.source,
        "splits": list(recipe.splits),
        "labels": labels,
        "init": _origin(init),
        "store": None if isinstance(data, Splits) else file_sha256(Path(data) / MANIFEST),
    }
    of_code = code.described if code else None
    if of_code is not None:
        card["code"] = {**of_code, "task": own_task(recipe.task)}
    return finetune(
        recipe.task,
        backbone,
        splits,
        config,
        seed,
        Path(out),
        report=report,
        device=device,
        card=card,
        code=of_code["sha256"] if of_code else None,
    )


def _with_batches(recipe: DownstreamRecipe, batch_size: int | None) -> DownstreamRecipe:
    """The recipe with batches of another size, where one is given."""
    if batch_size is None:
        return recipe
    return replace(recipe, optimisation=replace(recipe.optimisation, batch_size=batch_size))


def require_kind(recipe: DownstreamRecipe, data: Path) -> None:
    """Raises RecipeError for a store of another kind than the recipe's."""
    kind = kind_of(data)
    if kind != recipe.store:
        raise RecipeError(f"{data}: is a store of {kind}, the recipe {recipe.name} trains on {recipe.store}")


def starting_backbone(
    config: Config, init: Path | Backbone | None, seed: int, say: Callable[[str], None] = lambda line: None
) -> Backbone:
    """Random weights drawn by the seed, those of a file, or a backbone as it is; of other sizes than `config`, those of
    the file or the backbone are taken.

    Raises:
        RecipeError: `config` is of another architecture than what backbone files hold.
        CheckpointError: a missing or damaged file.
    """
    if init is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_generator(seed, "backbone").initial_seed())
            return config.build()
    named = f"a {type(init).__name__}" if isinstance(init, Backbone) else init
    found = init.config if isinstance(init, Backbone) else read_backbone_config(init)
    if not isinstance(config, BackboneConfig) or not isinstance(found, BackboneConfig):
        if isinstance(init, Backbone) and type(found) is type(config):
            return init
        holds = "is no point transformer" if isinstance(config, BackboneConfig) else "holds a point transformer"
        raise RecipeError(f"{named}: {holds}, the recipe's backbone is another: start it from scratch")
    differing = [name for name in _OF_SHAPE if getattr(found, name) != getattr(config, name)]
    if differing:
        sizes = ", ".join(f"{name} {getattr(found, name)} (not {getattr(config, name)})" for name in differing)
        say(f"note: {named} has another size than the recipe's backbone, and keeps it: {sizes}")
    return init if isinstance(init, Backbone) else load_backbone(init)


def _origin(init: Path | Backbone | None) -> str | dict[str, Any]:
    """Where the weights come from, as far as the card beside them says."""
    if init is None:
        return SCRATCH
    if isinstance(init, Backbone):
        return {"config": asdict(init.config), "identity": None, "recipe": None}
    path = init / "backbone.json" if init.is_dir() else init.with_suffix(".json")
    card = read_json(path) if path.is_file() else {}
    recipe = card.get("recipe")
    return {
        "config": asdict(read_backbone_config(init)),
        "identity": card.get("identity"),
        "recipe": recipe.get("name") if isinstance(recipe, dict) else recipe,
    }


def named_recipe(name: str) -> tuple[DownstreamRecipe, UserCode | None]:
    """The recipe of this name, or that FILE.py:NAME is, and then the file.

    Raises:
        RecipeError: there is none; those that there are, are named.
        DataError: an error in the file, or no recipe there.
    """
    code = user_code(name, "recipe")
    if code is not None:
        return load_downstream_recipe(code), code
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r} (FILE.py:NAME is one of your own). {choose(name, RECIPES)}")
    return RECIPES[name](), None


def run_named_finetuning(
    name: str,
    data: Path,
    init: str,
    out: Path | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    labels: int | None,
    device: str,
    episodes: Episodes | None,
    track: Sequence[str] = (),
) -> dict[str, Any]:
    """`pointdistill finetune NAME`: train with a progress bar, print one table; the content of result.json."""
    recipe, code = named_recipe(name)
    with code.telling("the recipe") if code else nullcontext():
        name = recipe.name
        if (episodes is not None) != name.endswith(FEW_SHOT):
            needs = "needs --way and --shot" if episodes is None else "is not few-shot. Leave out --way and --shot"
            raise RecipeError(f"the recipe {name} {needs}")
        distributed.require_device(device)
        if distributed.started_by_torchrun():
            raise RecipeError("finetune trains on one process. Start it without torchrun (evaluate takes several)")
        require_kind(recipe, data)
        out = out or Path(f"finetuned-{name}")
        start = None if init == SCRATCH else located(init, BACKBONE)
        told = {"recipe": name, "data": data, "init": init, "labels": labels, "seed": seed}
        with exclusive(out), tracked(track, out, told), progress() as bars:
            task = bars.add_task(f"fine-tuning, recipe {name}", total=None, note="")
            settings: dict[str, Any] = {
                "epochs": epochs,
                "batch_size": batch_size,
                "seed": seed,
                "device": device,
                "report": lambda done, total, note: bars.update(task, completed=done, total=total, note=note),
                "say": say,
            }
            if episodes is not None:
                result = run_few_shot(recipe, data, out, episodes, start, **settings)
            else:
                result = run_finetuning(recipe, data, out, start, labels=labels, code=code, **settings)
        if episodes is not None:
            with answering():
                print_figures(_few_shot_title(result), figure_table(_few_shot_figures(result), "accuracy"), console)
            return {"out": out, **result}
        title = f"{in_words(result['task'])}, {'+'.join(recipe.splits[2:])} split, {result['steps']} steps, in %"
        with answering():
            print_figures(title, figure_table(_with_best(result), result["metric"]), console)
        say(f"{out}: {result['seconds']:.0f} s of training")
        return {"out": out, **result}


def _with_best(result: dict[str, Any]) -> dict[str, Any]:
    """The test's figures, and the highest point of the curve."""
    best = result["best"]
    return {**result["test"], **({f"best {in_words(result['metric'])} of the curve": best["value"]} if best else {})}

"""The quickstart's pieces of training as jobs: each reads stores and a backbone, and writes a folder of its own."""

from dataclasses import replace
from pathlib import Path

from pointdistill.engine.finetune import finetune
from pointdistill.engine.log import Report
from pointdistill.files import read_json, write_json
from pointdistill.finetuning import starting_backbone
from pointdistill.labelled import open_splits
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.pretraining import run_pretrain, summary
from pointdistill.quickstart.layout import Layout
from pointdistill.recipes.quickstart import TaskRecipe
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.tasks.base import Splits


def load_splits(layout: Layout, task: str, labels: int | None, seed: int, developing: bool = False) -> Splits:
    """A task's data, the training split cut to `labels` rooms, or objects a class, drawn by the seed; None: all.

    While `developing`, the validation split stands in for the test split: settings are chosen without the test data.
    """
    names = ("train", "val", "val" if developing else "test")
    store = {"classification": "objects", "part_segmentation": "parts"}.get(task, "scenes")
    return open_splits(layout.store(store), names, labels, seed)


def pretrain_job(folder: Path, report: Report, recipe: PretrainRecipe, layout: Layout, permuted: bool) -> str:
    """One pre-training."""
    return summary(run_pretrain(recipe, layout.store("frames"), layout.store("heldout"), folder, report, permuted))


def finetune_job(
    folder: Path,
    report: Report,
    recipe: TaskRecipe,
    layout: Layout,
    backbone: BackboneConfig,
    pretrained: Path | None,
    labels: int | None,
    seed: int,
    developing: bool = False,
) -> str:
    """One fine-tuning, tested at its end."""
    data = load_splits(layout, recipe.task.name, labels, seed, developing)
    result = finetune(
        recipe.task, starting_backbone(backbone, pretrained, seed), data, recipe.finetune, seed, folder, report=report
    )
    return f"{result['metric']} {100 * result['value']:.1f} % ({result['seconds']:.0f} s)"


def probe_job(
    folder: Path,
    report: Report,
    recipe: TaskRecipe,
    layout: Layout,
    backbone: BackboneConfig,
    pretrained: Path | None,
    labels: int | None,
    seed: int,
    developing: bool = False,
) -> str:
    """A linear model on frozen features."""
    path = folder / "result.json"
    if not path.exists():
        data = load_splits(layout, recipe.task.name, labels, seed, developing)
        figures = recipe.task.probe(starting_backbone(backbone, pretrained, seed), data, seed)
        write_json(path, figures)
    return _line(read_json(path))


def baseline_job(folder: Path, report: Report, recipe: TaskRecipe, layout: Layout) -> str:
    """What a prediction that learns nothing from the points scores."""
    path = folder / "result.json"
    if not path.exists():
        write_json(path, recipe.task.baseline(load_splits(layout, recipe.task.name, None, 0)))
    return _line(read_json(path))


def _line(figures: dict) -> str:
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in figures.items() if isinstance(value, float))


def with_seed(recipe: PretrainRecipe, seed: int) -> PretrainRecipe:
    """The recipe under another pre-training seed."""
    return replace(recipe, engine=replace(recipe.engine, seed=seed))

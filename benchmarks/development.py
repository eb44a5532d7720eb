"""What the benchmarks of settings share: data to choose on, one distillation, and the downstream jobs.

The folder holds the quickstart's training data and more validation rooms and objects than the quickstart uses; nobody
here reads its test seeds. Several benchmarks can share one folder.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pointdistill.engine.jobs import Job
from pointdistill.quickstart.data import prepare_data, write_data
from pointdistill.quickstart.downstream import finetune_job, pretrain_job, probe_job
from pointdistill.quickstart.layout import Layout
from pointdistill.recipes.quickstart import QuickstartRecipe, TaskRecipe
from pointdistill.recipes.recipe import PretrainRecipe

JOBS = {"fine-tuned": finetune_job, "probed": probe_job}


def write_development_data(out: Path, recipe: QuickstartRecipe, workers: int | None) -> Layout:
    """The folder with its data written and prepared; what is there is kept."""
    layout = Layout(out.absolute())
    write_data(layout, replace(recipe.world, val_rooms=24, val_objects=40, test_rooms=1, test_objects=1), workers)
    prepare_data(layout, recipe, workers)
    return layout


def name_of(variant: str) -> str:
    """A variant's name as that of a folder."""
    return variant.replace("=", "-").replace(" ", "-")


def pretraining(layout: Layout, variant: str, recipe: PretrainRecipe) -> Job:
    """The job that distils a variant; it is called as the variant is."""
    arguments = {"recipe": recipe, "layout": layout, "permuted": False}
    return Job(variant, pretrain_job, layout.root / "pretrain" / name_of(variant), arguments)


def downstream(
    layout: Layout, how: str, recipe: TaskRecipe, variant: str, source: Job | None, seed: int, backbone: object
) -> Job:
    """Fine-tuning or probing one task on the validation data, from a pre-training or (None) from scratch."""
    task = recipe.task.name
    arguments = {
        # Curves would cost as much as the training.
        "recipe": replace(recipe, finetune=replace(recipe.finetune, eval_every=0)),
        "layout": layout,
        "backbone": backbone,
        "pretrained": source and source.folder,
        "labels": recipe.labels,
        "seed": seed,
        "developing": True,
    }
    folder = layout.root / how / task / f"{name_of(variant)}-seed{seed}"
    needs = () if source is None else (source.name,)
    return Job(f"{task}, {variant}, {how}, seed {seed}", JOBS[how], folder, arguments, needs)


def mean_and_deviation(values: list[float]) -> str:
    """Such as "71.2 ± 1.3"; without deviation where there is but one."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"

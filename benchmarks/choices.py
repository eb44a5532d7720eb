"""What a choice in the quickstart's distillation is worth downstream: one setting put back to the paper's, four tasks.

`python benchmarks/choices.py choices` writes development data (validation seeds, more of them than the quickstart
uses, and never its test seeds) into the folder, distils each variant, fine-tunes and probes it on the four tasks with
several seeds, and prints a Markdown table of validation figures. What is finished is not run again.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from pointdistill.augment import Augmentation
from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.files import read_json
from pointdistill.quickstart.data import prepare_data, write_data
from pointdistill.quickstart.downstream import finetune_job, pretrain_job, probe_job
from pointdistill.quickstart.layout import Layout
from pointdistill.quickstart.results import METRICS
from pointdistill.recipes.quickstart import QuickstartRecipe, quickstart
from pointdistill.recipes.recipe import PretrainRecipe

WAYS = {"fine-tuned": finetune_job, "probed": probe_job}


def variants(base: PretrainRecipe) -> dict[str, PretrainRecipe]:
    """The quickstart's distillation, and what it would be with one of the paper's settings."""
    concepts = replace(base.method.concepts, attend="block_input")  # type: ignore[union-attr]
    camera = replace(base.frames, frame="camera", augmentation=Augmentation())
    return {
        "quickstart": base,
        "attend=block_input": replace(base, method=replace(base.method, concepts=concepts)),
        "frame=camera": replace(base, frames=camera),
    }


def place(layout: Layout, task: str, variant: str, way: str, seed: int) -> Path:
    """Where a downstream run lies."""
    return layout.root / way / task / f"{variant.replace('=', '-')}-seed{seed}"


def plan(recipe: QuickstartRecipe, layout: Layout, seeds: int) -> list[Job]:
    """Pre-trainings, then every task from each of them and from scratch."""
    jobs, sources = [], {"scratch": (recipe.pretrain.backbone, None)}
    for name, variant in variants(recipe.pretrain).items():
        folder = layout.root / "pretrain" / name.replace("=", "-")
        jobs.append(Job(name, pretrain_job, folder, {"recipe": variant, "layout": layout, "permuted": False}))
        sources[name] = (variant.backbone, folder)
    for seed, (name, (backbone, pretrained)), task, way in product(range(seeds), sources.items(), METRICS, WAYS):
        uncurved = replace(recipe.tasks[task].finetune, eval_every=0)
        arguments = {
            "recipe": replace(recipe.tasks[task], finetune=uncurved),
            "layout": layout,
            "backbone": backbone,
            "pretrained": pretrained,
            "labels": recipe.tasks[task].labels,
            "seed": seed,
            "developing": True,
        }
        needs = () if pretrained is None else (name,)
        folder = place(layout, task, name, way, seed)
        jobs.append(Job(f"{task}, {name}, {way}, seed {seed}", WAYS[way], folder, arguments, needs))
    return jobs


def print_table(layout: Layout, recipe: QuickstartRecipe, seeds: int) -> None:
    """A row a variant: held-out R^2, then mean and deviation of each task's figures."""
    heads = [f"{task.replace('_', ' ')}, {how}" for task in METRICS for how in WAYS]
    print("| | R² | " + " | ".join(heads) + " |\n|---|---:|" + "---:|" * len(heads))
    for name in ("scratch", *variants(recipe.pretrain)):
        label = name.replace("=", "-")
        fit = "" if name == "scratch" else read_json(layout.root / "pretrain" / label / "result.json")["heldout"]["r2"]
        cells = [fit if isinstance(fit, str) else f"{fit:.3f}"]
        for task, way in product(METRICS, WAYS):
            figures = [read_json(place(layout, task, name, way, seed) / "result.json") for seed in range(seeds)]
            tested = [one.get("test", one) for one in figures]
            key = next(key for key in METRICS[task] if key in tested[0])
            values = [100 * one[key] for one in tested]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=1) if seeds > 1 else 0:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main(
    out: Annotated[Path, tyro.conf.Positional], seeds: int = 2, epochs: int | None = None, workers: int | None = None
):
    """Measure and print.

    Args:
        out: folder of data, runs and figures.
        seeds: fine-tuning seeds.
        epochs: of each pre-training, instead of the quickstart's.
        workers: processes.
    """
    recipe, layout = quickstart("full"), Layout(out.absolute())
    if epochs is not None:
        pretrain = replace(recipe.pretrain, engine=replace(recipe.pretrain.engine, epochs=epochs))
        recipe = replace(recipe, pretrain=pretrain)
    world = replace(recipe.world, val_rooms=24, val_objects=40, test_rooms=1, test_objects=1)
    write_data(layout, world, workers)
    prepare_data(layout, recipe, workers)
    run_jobs(plan(recipe, layout, seeds), "choices", workers)
    print_table(layout, recipe, seeds)


if __name__ == "__main__":
    tyro.cli(main)

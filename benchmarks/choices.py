"""What a choice in the quickstart's distillation is worth downstream: one setting put back to the paper's, four tasks.

`python benchmarks/choices.py choices` writes development data (validation seeds, more of them than the quickstart
uses, and never its test seeds) into the folder, distils each variant, fine-tunes and probes it on the four tasks with
several seeds, and prints a Markdown table of validation figures. What is finished is not run again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from pointdistill.augment import Augmentation
from pointdistill.engine.finetune import finetune
from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.engine.log import Report
from pointdistill.files import read_json, write_json
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.quickstart.data import prepare_data, write_data
from pointdistill.quickstart.downstream import load_splits, pretrain_job, starting_backbone
from pointdistill.quickstart.layout import Layout
from pointdistill.quickstart.results import METRICS
from pointdistill.recipes.quickstart import QuickstartRecipe, TaskRecipe, quickstart
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.tasks.base import Splits

WAYS = ("fine-tuned", "probed")


def variants(base: PretrainRecipe) -> dict[str, PretrainRecipe]:
    """The quickstart's distillation, and what it would be with one of the paper's settings."""
    concepts = replace(base.method.concepts, attend="block_input")  # type: ignore[union-attr]
    camera = replace(base.frames, frame="camera", augmentation=Augmentation())
    return {
        "quickstart": base,
        "attend=block_input": replace(base, method=replace(base.method, concepts=concepts)),
        "frame=camera": replace(base, frames=camera),
    }


def downstream_job(
    folder: Path,
    report: Report,
    recipe: TaskRecipe,
    layout: Layout,
    backbone: BackboneConfig,
    pretrained: Path | None,
    seed: int,
) -> str:
    """Fine-tune and probe, both measured on the validation split."""
    data = load_splits(layout, recipe.task.name, recipe.labels, seed)
    data = Splits(data.train, data.validation, data.validation)
    start = starting_backbone(backbone, pretrained, seed)
    tuned = finetune(recipe.task, start, data, replace(recipe.finetune, eval_every=0), seed, folder, report=report)
    path = folder / "figures.json"
    if not path.exists():
        write_json(path, dict(zip(WAYS, (tuned["test"], recipe.task.probe(start, data, seed)), strict=True)))
    return f"{tuned['metric']} {100 * tuned['value']:.1f} % ({tuned['seconds']:.0f} s)"


def plan(recipe: QuickstartRecipe, layout: Layout, seeds: int) -> list[Job]:
    """Pre-trainings, then every task from each of them and from scratch."""
    jobs, sources = [], {"scratch": (recipe.pretrain.backbone, None)}
    for name, variant in variants(recipe.pretrain).items():
        folder = layout.root / "pretrain" / name.replace("=", "-")
        jobs.append(Job(name, pretrain_job, folder, {"recipe": variant, "layout": layout, "permuted": False}))
        sources[name] = (variant.backbone, folder)
    for seed in range(seeds):
        for name, (backbone, pretrained) in sources.items():
            for task, task_recipe in recipe.tasks.items():
                folder = layout.root / "downstream" / task / f"{name.replace('=', '-')}-seed{seed}"
                arguments = {"recipe": task_recipe, "layout": layout, "backbone": backbone, "seed": seed}
                needs = () if pretrained is None else (name,)
                arguments["pretrained"] = pretrained
                jobs.append(Job(f"{task}, {name}, seed {seed}", downstream_job, folder, arguments, needs))
    return jobs


def print_table(layout: Layout, recipe: QuickstartRecipe, seeds: int) -> None:
    """A row a variant: held-out R^2, then mean and deviation of each task's figures."""
    heads = [f"{task.replace('_', ' ')}, {how}" for task in METRICS for how in WAYS]
    print("| | R² | " + " | ".join(heads) + " |\n|---|---:|" + "---:|" * len(heads))
    for name in ("scratch", *variants(recipe.pretrain)):
        label = name.replace("=", "-")
        fit = "" if name == "scratch" else read_json(layout.root / "pretrain" / label / "result.json")["heldout"]["r2"]
        cells = [fit if isinstance(fit, str) else f"{fit:.3f}"]
        for task in METRICS:
            folders = [layout.root / "downstream" / task / f"{label}-seed{seed}" for seed in range(seeds)]
            figures = [read_json(folder / "figures.json") for folder in folders]
            for how in WAYS:
                key = next(key for key in METRICS[task] if key in figures[0][how])
                values = [100 * one[how][key] for one in figures]
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

"""What a choice in the quickstart's distillation is worth downstream: one setting put back to the paper's, four tasks.

`python benchmarks/choices.py development` writes development data into the folder (see development.py), distils each
variant, fine-tunes and probes it on the four tasks with several seeds, and prints a Markdown table of validation
figures. What is finished is not run again.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import development
import tyro

from pointdistill.augment import Augmentation
from pointdistill.engine.jobs import run_jobs
from pointdistill.files import read_json
from pointdistill.quickstart.results import METRICS
from pointdistill.recipes.quickstart import quickstart
from pointdistill.recipes.recipe import PretrainRecipe


def variants(base: PretrainRecipe) -> dict[str, PretrainRecipe]:
    """The quickstart's distillation, and what it would be with one of the paper's settings."""
    concepts = replace(base.method.concepts, attend="block_input")  # type: ignore[union-attr]
    camera = replace(base.frames, frame="camera", augmentation=Augmentation())
    return {
        "quickstart": base,
        "attend=block_input": replace(base, method=replace(base.method, concepts=concepts)),
        "frame=camera": replace(base, frames=camera),
    }


def main(out: Annotated[Path, tyro.conf.Positional], seeds: int = 3, workers: int | None = None):
    """Measure and print.

    Args:
        out: folder of data, runs and figures.
        seeds: fine-tuning seeds.
        workers: processes.
    """
    recipe = quickstart("full")
    layout = development.write_development_data(out, recipe, workers)
    sources = {name: development.pretraining(layout, name, one) for name, one in variants(recipe.pretrain).items()}
    columns = list(product(METRICS, development.JOBS))
    jobs = {
        (name, task, how, seed): development.downstream(
            layout, how, recipe.tasks[task], name, source, seed, recipe.pretrain.backbone
        )
        for seed in range(seeds)
        for name, source in {"scratch": None, **sources}.items()
        for task, how in columns
    }
    run_jobs([*sources.values(), *jobs.values()], "choices", workers)
    heads = [f"{task.replace('_', ' ')}, {how}" for task, how in columns]
    print("| | R² | " + " | ".join(heads) + " |\n|---|---:|" + "---:|" * len(heads))
    for name, source in {"scratch": None, **sources}.items():
        cells = [f"{read_json(source.folder / 'result.json')['heldout']['r2']:.3f}" if source else ""]
        for task, how in columns:
            found = [read_json(jobs[name, task, how, seed].folder / "result.json") for seed in range(seeds)]
            tested = [one.get("test", one) for one in found]
            key = next(key for key in METRICS[task] if key in tested[0])
            cells.append(development.mean_and_deviation([100 * one[key] for one in tested]))
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    tyro.cli(main)

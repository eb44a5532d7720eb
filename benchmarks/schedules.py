"""Is a gap between distilled and scratch only convergence speed? Both fine-tuned longer, and at other learning rates.

`python benchmarks/schedules.py development` works on development data (see development.py) and prints a Markdown table
of validation figures: a row a task and schedule. What is finished is not run again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import development
import numpy as np
import tyro

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.engine.jobs import run_jobs
from pointdistill.files import read_json
from pointdistill.recipes.quickstart import quickstart

RATES = (0.05, 0.1, 0.25, 0.5)
"""The backbone's learning rate as a share of the head's."""


def schedules(base: FinetuneConfig) -> dict[str, FinetuneConfig]:
    """The recipe's schedule, twice as long, and with other rates of the backbone or of everything."""
    others = {
        f"backbone at {rate} of the head's rate": replace(base, backbone_lr_scale=rate)
        for rate in RATES
        if rate != base.backbone_lr_scale
    }
    return {
        f"recipe (backbone at {base.backbone_lr_scale})": base,
        "twice the steps": replace(base, steps=2 * base.steps),
        "half the rates": replace(base, lr=base.lr / 2),
        **others,
    }


def main(
    out: Annotated[Path, tyro.conf.Positional],
    seeds: int = 3,
    tasks: tuple[str, ...] = (),
    workers: int | None = None,
):
    """Measure and print.

    Args:
        out: folder of data, runs and figures.
        seeds: fine-tuning seeds.
        tasks: these tasks; all unless told.
        workers: processes.
    """
    recipe = quickstart("full")
    layout = development.write_development_data(out, recipe, workers)
    distillation = development.pretraining(layout, "quickstart", recipe.pretrain)
    sources = {"scratch": None, "distilled": distillation}
    jobs = {
        (task, name, init, seed): development.downstream(
            layout,
            "fine-tuned",
            replace(task_recipe, finetune=config),
            f"{init} {name}".replace("'", ""),
            source,
            seed,
            recipe.pretrain.backbone,
        )
        for seed in range(seeds)
        for task, task_recipe in recipe.tasks.items()
        if not tasks or task in tasks
        for name, config in schedules(task_recipe.finetune).items()
        for init, source in sources.items()
    }
    run_jobs([distillation, *jobs.values()], "schedules", workers)
    print("| task | schedule | scratch | distilled | diff. |\n|---|---|---:|---:|---:|")
    for task, name in dict.fromkeys((task, name) for task, name, _, _ in jobs):
        figures = {
            init: [
                100 * read_json(jobs[task, name, init, seed].folder / "result.json")["value"] for seed in range(seeds)
            ]
            for init in sources
        }
        cells = " | ".join(development.mean_and_deviation(values) for values in figures.values())
        difference = np.mean(figures["distilled"]) - np.mean(figures["scratch"])
        print(f"| {task.replace('_', ' ')} | {name} | {cells} | {difference:+.1f} |")


if __name__ == "__main__":
    tyro.cli(main)

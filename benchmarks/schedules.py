"""Is a gap between distilled and scratch only convergence speed? Both fine-tuned longer, and at other learning rates.

Run on a finished quickstart: `python benchmarks/schedules.py quickstart`. Prints a Markdown table of validation
figures: a row a task and schedule. Test data are never read. What is finished is not run again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.files import read_json
from pointdistill.quickstart.downstream import finetune_job
from pointdistill.quickstart.layout import Layout
from pointdistill.recipes.quickstart import quickstart


def schedules(base: FinetuneConfig) -> dict[str, FinetuneConfig]:
    """The recipe's schedule and others; curves are not needed."""
    base = replace(base, eval_every=0)
    return {
        "as in the recipe": base,
        "twice the steps": replace(base, steps=2 * base.steps),
        "half the rate": replace(base, lr=base.lr / 2),
        "twice the rate": replace(base, lr=2 * base.lr),
    }


def main(
    run: Annotated[Path, tyro.conf.Positional],
    seeds: int = 2,
    only: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    workers: int | None = None,
):
    """Measure and print.

    Args:
        run: folder of a finished quickstart.
        seeds: fine-tuning seeds.
        only: these schedules; all unless told.
        tasks: these tasks; all unless told.
        workers: processes.
    """
    recipe, layout = quickstart("full"), Layout(run.absolute())
    sources = {"scratch": None, "distilled": layout.pretraining("distilled", recipe.pretrain_seeds[0])}
    chosen = {name: task for name, task in recipe.tasks.items() if not tasks or name in tasks}
    places: dict[tuple[str, str, str], list[Path]] = {}
    jobs = []
    for seed in range(seeds):
        for task, task_recipe in chosen.items():
            for name, config in schedules(task_recipe.finetune).items():
                for init, pretrained in sources.items() if not only or name in only else ():
                    folder = layout.root / "benchmarks" / "schedules" / task / f"{init}-{name}-seed{seed}"
                    places.setdefault((task, name, init), []).append(folder)
                    arguments = {
                        "recipe": replace(task_recipe, finetune=config),
                        "layout": layout,
                        "backbone": recipe.pretrain.backbone,
                        "pretrained": pretrained,
                        "labels": task_recipe.labels,
                        "seed": seed,
                        "developing": True,
                    }
                    jobs.append(Job(f"{task}, {init}, {name}, seed {seed}", finetune_job, folder, arguments))
    run_jobs(jobs, "schedules", workers)
    print("| task | schedule | steps | scratch | distilled | diff. |\n|---|---|---:|---:|---:|---:|")
    for task, name in dict.fromkeys((task, name) for task, name, _ in places):
        results = {init: [read_json(path / "result.json") for path in places[task, name, init]] for init in sources}
        figures = {init: [100 * one["value"] for one in found] for init, found in results.items()}
        means = {init: np.mean(values) for init, values in figures.items()}
        cells = [
            f"{means[init]:.1f} ± {np.std(values, ddof=1):.1f}" if seeds > 1 else f"{means[init]:.1f}"
            for init, values in figures.items()
        ]
        steps = results["scratch"][0]["steps"]
        print(
            f"| {task.replace('_', ' ')} | {name} | {steps} | {' | '.join(cells)} | "
            f"{means['distilled'] - means['scratch']:+.1f} |"
        )


if __name__ == "__main__":
    tyro.cli(main)

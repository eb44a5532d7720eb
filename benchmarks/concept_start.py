"""What lets the concept head leave the mean predictor: short distillations, one setting changed at a time.

Run on the stores of a finished quickstart: `python benchmarks/concept_start.py quickstart --steps 720`. Prints a
Markdown table: one row a variant, the held-out R^2 along the way. Each variant is trained from the same seed with the
same schedule; finished variants are not run again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.files import read_json
from pointdistill.quickstart.downstream import pretrain_job
from pointdistill.quickstart.layout import Layout
from pointdistill.recipes.quickstart import distillation
from pointdistill.recipes.recipe import PretrainRecipe


def variants(base: PretrainRecipe) -> dict[str, PretrainRecipe]:
    """The quickstart's distillation with one setting put back to the paper's letter, and with all of them."""

    def with_concepts(**changes: object) -> PretrainRecipe:
        concepts = replace(base.method.concepts, **changes)  # type: ignore[union-attr, arg-type]
        return replace(base, method=replace(base.method, concepts=concepts))

    letter = {"prototype_std": 1.0, "norm_output": False, "unit_start": False}
    everything = with_concepts(**letter, attend="block_input")
    return {
        "quickstart": base,
        "attend=block_input": with_concepts(attend="block_input"),
        "prototype_std=1": with_concepts(prototype_std=1.0),
        "unit_start=False": with_concepts(unit_start=False),
        "norm_output=False": with_concepts(norm_output=False),
        "standardise=none": replace(base, method=replace(base.method, standardise="none")),
        "all five": replace(everything, method=replace(everything.method, standardise="none")),
        "frame=camera": replace(
            base,
            frames=replace(
                base.frames, frame="camera", augmentation=replace(base.frames.augmentation, yaw=False, flip=False)
            ),
        ),
    }


def main(run: Annotated[Path, tyro.conf.Positional], steps: int = 720, points: int = 6, workers: int | None = None):
    """Train each variant for some steps and print the table.

    Args:
        run: folder of a quickstart whose data are prepared.
        steps: optimiser steps a variant (rounded to whole epochs).
        points: held-out validations along the way.
        workers: processes.
    """
    base, layout = distillation(), Layout(run.absolute())
    per_epoch = read_json(layout.store("frames") / "manifest.json")["frames"] // base.engine.batch_size
    epochs = max(1, round(steps / per_epoch))
    every = epochs * per_epoch // points
    engine = replace(base.engine, epochs=epochs, validate_every=every, checkpoint_every=every)
    jobs = [
        Job(
            name,
            pretrain_job,
            layout.root / "benchmarks" / f"concept_start-{epochs}" / name.replace("=", "-").replace(" ", "-"),
            {"recipe": replace(recipe, engine=engine), "layout": layout, "permuted": False},
        )
        for name, recipe in variants(base).items()
    ]
    run_jobs(jobs, "concept start", workers)
    curves = {job.name: read_json(job.folder / "result.json")["curve"] for job in jobs}
    shown = [row["step"] for row in curves["quickstart"]]
    print("| changed | " + " | ".join(f"step {step}" for step in shown) + " |")
    print("|---|" + "---:|" * len(shown))
    for name, rows in curves.items():
        print(f"| {name} | " + " | ".join(f"{row['heldout_r2']:.3f}" for row in rows) + " |")


if __name__ == "__main__":
    tyro.cli(main)

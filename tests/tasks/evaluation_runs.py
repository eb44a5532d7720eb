"""Saved models and stores for tests of evaluation; as a script, by torchrun's rules, it evaluates them all."""

import sys
from dataclasses import replace
from pathlib import Path

import build_labelled
from pointdistill import distributed
from pointdistill.evaluation import Evaluation, run_evaluation
from pointdistill.finetuning import run_finetuning
from pointdistill.prepare import prepare_labels
from pointdistill.recipes.downstream import RECIPES
from shrunk import shrunk
from task_samples import room

NAMES = ("classification-small", "part-segmentation-small", "semantic-segmentation-small", "detection-small")


def write(folder: Path) -> None:
    """Raw data as published, stores, and a model of each task that was trained for two steps."""
    rooms = {"train": [room(0), room(1)], "val": [room(2)], "test": [room(3), room(4), room(5)]}
    raw = {
        "objects": build_labelled.write_modelnet(folder / "raw-objects"),
        "parts": build_labelled.write_shapenetpart(folder / "raw-parts"),
        "scenes": build_labelled.write_scannet(folder / "raw-scenes", rooms),
    }
    for kind, root in raw.items():
        prepare_labels(root, folder / kind, workers=1)
    for name in NAMES:
        recipe = shrunk(RECIPES[name]())
        changes = {"votes": 2} if name.startswith("classification") else {}
        recipe = replace(recipe, task=replace(recipe.task, **changes))
        run_finetuning(recipe, folder / recipe.store, folder / name)


def evaluate_all(folder: Path, out: Path, workers: int | None) -> dict[str, dict]:
    """Every model on its test split."""
    tests = {name: Evaluation(folder / name, folder / RECIPES[name]().store, "test", out / name) for name in NAMES}
    return {name: run_evaluation(test, workers) for name, test in tests.items()}


if __name__ == "__main__":
    with distributed.processes("cpu"):
        evaluate_all(Path(sys.argv[1]), Path(sys.argv[2]), None)

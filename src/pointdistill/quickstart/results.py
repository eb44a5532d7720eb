"""What a quickstart's folder holds, as one `Results`: figures, curves, controls, verdicts, host and times."""

import math
from dataclasses import replace

import numpy as np

from pointdistill import __version__
from pointdistill.files import read_json
from pointdistill.host import host_facts
from pointdistill.metrics.significance import holm, mean_std, paired
from pointdistill.quickstart.layout import Layout
from pointdistill.quickstart.plan import Run, inits, labels_of, pretraining_seeds, runs
from pointdistill.recipes.quickstart import QuickstartRecipe, TaskRecipe
from pointdistill.recipes.recipe import as_json
from pointdistill.report.comparison import p_text
from pointdistill.report.schema import (
    Comparison,
    CurvePoint,
    Init,
    PretrainingPoint,
    PretrainingRun,
    Results,
    Row,
    TaskResult,
)
from pointdistill.store import FrameStore
from pointdistill.teachers.small import PACKAGED, load_small_teacher

LEVEL = 0.05
"""A task is won only below this; see `with_verdicts`."""

CONTROLS: tuple[Init, ...] = ("scratch", "permuted")
"""What distilled must beat."""

METRICS = {
    "classification": {"accuracy": "accuracy"},
    "semantic_segmentation": {"miou": "mIoU"},
    "detection": {"ap25": "AP25", "ap50": "AP50", "box_accuracy": "class in true boxes"},
    "part_segmentation": {"instance_miou": "instance mIoU"},
}
"""The figures of each task that the table shows, by the name the task gives them; the main one first."""


def collect(layout: Layout, recipe: QuickstartRecipe) -> Results:
    """Read every result in the folder.

    Raises:
        DataError: a result is missing or damaged.
    """
    tasks = {name: _task(layout, recipe, name, task) for name, task in recipe.tasks.items()}
    if recipe.mode == "thorough":
        tasks = with_verdicts(tasks)
    teacher = load_small_teacher()
    frames = FrameStore.open(layout.store("frames"))
    return Results(
        version=__version__,
        mode=recipe.mode,
        recipe=as_json(recipe),
        host=host_facts(),
        seconds=read_json(layout.stages),
        data={
            "pre-training frames": len(frames),
            "pre-training rooms": recipe.world.pretrain_rooms,
            "store": frames.manifest_hash,
            "skipped frames": len(frames.manifest["skipped"]),
            "training / validation / test rooms": f"{recipe.world.train_rooms} / {recipe.world.val_rooms} / "
            f"{recipe.world.test_rooms}",
            "training / validation / test objects a class": f"{recipe.world.train_objects} / "
            f"{recipe.world.val_objects} / {recipe.world.test_objects}",
        },
        teacher={
            "identity": teacher.identity,
            "weights_hash": teacher.weights_hash,
            "quality": read_json(PACKAGED / "quality.json")["quality"],
        },
        pretraining=_pretraining(layout, recipe),
        tasks=tasks,
    )


def _pretraining(layout: Layout, recipe: QuickstartRecipe) -> list[PretrainingRun]:
    found = []
    for method in inits(recipe):
        for seed in pretraining_seeds(recipe, method):
            result = read_json(layout.pretraining(method, seed) / "result.json")
            curve = [PretrainingPoint(row["step"], row["loss"], row.get("heldout_r2")) for row in result["curve"]]
            found.append(
                PretrainingRun(method, seed, result["steps"], result["seconds"], result["heldout"].get("r2"), curve)
            )
    return found


def _task(layout: Layout, recipe: QuickstartRecipe, name: str, task: TaskRecipe) -> TaskResult:
    rows = []
    planned = [run for run in runs(recipe) if run.task == name]
    for protocol, labels, init in dict.fromkeys((run.protocol, run.labels, run.init) for run in planned):
        group = [run for run in planned if (run.protocol, run.labels, run.init) == (protocol, labels, init)]
        rows.append(_row(layout, recipe, task, group))
    main = label_text(recipe, task, labels_of(recipe, task))
    metric = next(iter(METRICS[name].values()))
    figures = {row.init: row.metrics[metric] for row in rows if row.protocol == "fine-tuning" and row.labels == main}
    baseline = read_json(layout.root / "baseline" / name / "result.json")
    return TaskResult(
        metric=metric,
        unit="%",
        label_fraction=f"{100 * task.labels / _all_labels(recipe, task):.0f} %",
        labels=main,
        seeds=list(recipe.seeds),
        scratch=figures["scratch"],
        distilled=figures["distilled"],
        rows=rows,
        no_learning=100 * baseline[task.task.metric],
    )


def _row(layout: Layout, recipe: QuickstartRecipe, task: TaskRecipe, group: list[Run]) -> Row:
    results = [read_json(run.folder(layout) / "result.json") for run in group]
    first = group[0]
    fine_tuned = first.protocol == "finetune"
    tested = [result["test"] if fine_tuned else result for result in results]
    metrics = {
        shown: [round(100 * figures[key], 3) for figures in tested]
        for key, shown in METRICS[first.task].items()
        if key in tested[0]
    }
    curves = [[CurvePoint(step, 100 * value) for step, value in result["curve"]] for result in results if fine_tuned]
    return Row(
        protocol="fine-tuning" if fine_tuned else "linear probe",
        labels=label_text(recipe, task, first.labels),
        init=first.init,
        metrics=metrics,
        curves=curves,
    )


def _all_labels(recipe: QuickstartRecipe, task: TaskRecipe) -> int:
    return recipe.world.train_rooms if task.labels_of == "rooms" else recipe.world.train_objects


def label_text(recipe: QuickstartRecipe, task: TaskRecipe, labels: int | None) -> str:
    """A label budget as a reader sees it, for instance "2 objects a class"."""
    everything = _all_labels(recipe, task)
    return f"{labels if labels is not None else everything} {task.labels_of}"


def with_verdicts(tasks: dict[str, TaskResult]) -> dict[str, TaskResult]:
    """Each task's tests, and whether it counts as won.

    Runs of one seed share labels, order and the head's starting weights, so they are pairs. A task claims that
    distilled beats scratch AND the permuted control: such a claim is as good as the weaker of its two tests (an
    intersection-union test), so the larger p is the task's, and Holm corrects these over the tasks.
    """
    tests = {name: {init: _compare(task, init) for init in CONTROLS} for name, task in tasks.items()}
    weaker = [float(np.max([test.p for test in found.values()])) for found in tests.values()]  # NaN if either is
    adjusted = dict(zip(tasks, holm(weaker), strict=True))
    return {
        name: replace(
            task,
            significance=tests[name],
            won=_won(task, tests[name], adjusted[name]),
            note=_note(tests[name], adjusted[name]),
        )
        for name, task in tasks.items()
    }


def _compare(task: TaskResult, init: Init) -> Comparison:
    found = paired(task.distilled, _main_figures(task, init))
    low, high = (None if math.isnan(bound) else bound for bound in (found.low, found.high))
    return Comparison("paired t, two-sided", found.difference, found.p, low, high)


def _main_figures(task: TaskResult, init: Init) -> list[float]:
    chosen = next(
        row for row in task.rows if (row.protocol, row.labels, row.init) == ("fine-tuning", task.labels, init)
    )
    return chosen.metrics[task.metric]


def _won(task: TaskResult, tests: dict[str, Comparison], p: float) -> bool:
    clears = task.no_learning is not None and mean_std(task.distilled).mean > task.no_learning
    return clears and p < LEVEL and all(test.difference > 0 for test in tests.values())


def _note(tests: dict[str, Comparison], p: float) -> str:
    behind = [init for init, test in tests.items() if not test.difference > 0]
    said = f"larger p of both tests, Holm over the tasks: {p_text(p).removeprefix('p = ').removeprefix('p ')}"
    return said + (f"; not ahead of {' and of '.join(behind)}" if behind else "")

"""What a quickstart trains, as jobs, and how their results are named."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointdistill.engine.jobs import Job
from pointdistill.quickstart.downstream import baseline_job, finetune_job, pretrain_job, probe_job, with_seed
from pointdistill.quickstart.layout import Layout
from pointdistill.recipes.quickstart import QuickstartRecipe, TaskRecipe
from pointdistill.report.schema import Init


@dataclass(frozen=True)
class Run:
    """One downstream run: a protocol ("finetune" or "probe"), a task, where the weights come from, labels, a seed."""

    protocol: str
    task: str
    init: Init
    labels: int | None
    seed: int

    def folder(self, layout: Layout) -> Path:
        """Where its result lies."""
        return layout.downstream(self.protocol, self.task, self.init, self.label_name, self.seed)

    @property
    def label_name(self) -> str:
        """The label fraction as a folder name."""
        return "all" if self.labels is None else str(self.labels)


def inits(recipe: QuickstartRecipe) -> list[Init]:
    """Where backbones come from in this recipe, scratch first."""
    chosen: list[Init] = ["scratch", "distilled"]
    if recipe.permuted:
        chosen.append("permuted")
    if recipe.point_mae is not None:
        chosen.append("point_mae")
    return chosen


def pretraining_seeds(recipe: QuickstartRecipe, init: Init) -> tuple[int, ...]:
    """The seeds of an initialisation's pre-trainings."""
    return {"scratch": (), "distilled": recipe.pretrain_seeds}.get(init, recipe.control_seeds)


def labels_of(recipe: QuickstartRecipe, task: TaskRecipe) -> int | None:
    """The main label budget of a task; None where that is all there is."""
    world = recipe.world
    everything = world.train_rooms if task.labels_of == "rooms" else world.train_objects
    return task.labels if task.labels < everything else None


def runs(recipe: QuickstartRecipe) -> list[Run]:
    """Every downstream run of the recipe."""
    planned = []
    for seed in recipe.seeds:
        for init in inits(recipe):
            for name, task in recipe.tasks.items():
                main = labels_of(recipe, task)
                planned.append(Run("finetune", name, init, main, seed))
                planned.append(Run("probe", name, init, main, seed))
                if recipe.full_labels and main is not None and init in ("scratch", "distilled"):
                    planned.append(Run("finetune", name, init, None, seed))
    return planned


def plan(recipe: QuickstartRecipe, layout: Layout) -> list[Job]:
    """All jobs, those that others wait for first."""
    pretraining = list(_pretraining(recipe, layout))
    return pretraining + list(_baselines(recipe, layout)) + [_downstream(run, recipe, layout) for run in runs(recipe)]


def _pretraining(recipe: QuickstartRecipe, layout: Layout) -> Iterator[Job]:
    # By seed first: what fine-tuning starts from is there early.
    for seed in sorted({*recipe.pretrain_seeds, *recipe.control_seeds}):
        for method in inits(recipe):
            if seed not in pretraining_seeds(recipe, method):
                continue
            chosen = recipe.point_mae if method == "point_mae" else recipe.pretrain
            assert chosen is not None
            arguments = {"recipe": with_seed(chosen, seed), "layout": layout, "permuted": method == "permuted"}
            yield Job(_pretraining_name(method, seed), pretrain_job, layout.pretraining(method, seed), arguments)


def _pretraining_name(method: Init, seed: int) -> str:
    return f"pre-training, {method.replace('_', '-')}, seed {seed}"


def _baselines(recipe: QuickstartRecipe, layout: Layout) -> Iterator[Job]:
    for name, task in recipe.tasks.items():
        folder = layout.root / "baseline" / name
        yield Job(f"no learning, {name.replace('_', ' ')}", baseline_job, folder, {"recipe": task, "layout": layout})


def _downstream(run: Run, recipe: QuickstartRecipe, layout: Layout) -> Job:
    seeds = pretraining_seeds(recipe, run.init)
    seed = seeds[recipe.seeds.index(run.seed) % len(seeds)] if seeds else 0
    scratch = run.init == "scratch"
    arguments = {
        "recipe": recipe.tasks[run.task],
        "layout": layout,
        "backbone": recipe.pretrain.backbone,
        "pretrained": None if scratch else layout.pretraining(run.init, seed),
        "labels": run.labels,
        "seed": run.seed,
    }
    doing = "fine-tuning" if run.protocol == "finetune" else "linear probe"
    labels = "" if run.labels is not None else ", all labels"
    name = f"{doing}, {run.task.replace('_', ' ')}, {run.init.replace('_', '-')}{labels}, seed {run.seed}"
    needs = () if scratch else (_pretraining_name(run.init, seed),)
    return Job(name, finetune_job if run.protocol == "finetune" else probe_job, run.folder(layout), arguments, needs)

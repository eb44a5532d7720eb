"""What a table needs, as jobs: each run has a folder of its own, named after what decides it, and is done once for all
tables that want it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointdistill.engine.checkpoint import delete_checkpoints
from pointdistill.engine.jobs import Job
from pointdistill.engine.log import Report
from pointdistill.engine.pretrain import CHECKPOINT
from pointdistill.files import read_json, write_json
from pointdistill.finetuning import run_finetuning
from pointdistill.labelled import open_splits
from pointdistill.pretraining import run_pretrain, summary
from pointdistill.probing import run_probe
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.recipe import PretrainRecipe, recipe_hash
from pointdistill.reconstruction import table_7
from pointdistill.reproduce.published import SCRATCH, Row, Table
from pointdistill.reproduce.scales import Scale
from pointdistill.reproduce.stores import LABELLED, Stores
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.saved import load_task_model

RESULT = "result.json"
_APART = 1000
"""What is added to a seed for the second fine-tuning."""


@dataclass(frozen=True)
class Pretraining:
    """One pre-training.

    Attributes:
        start: which, by the name that rows use.
        seed: of everything random in it.
        recipe: what it is.
    """

    start: str
    seed: int
    recipe: PretrainRecipe

    @property
    def key(self) -> str:
        """Its folder's name: readable, and another one where any setting is another."""
        return f"{self.recipe.name}-seed{self.seed}-{recipe_hash(self.recipe)[:8]}"


@dataclass(frozen=True)
class Downstream:
    """One fine-tuning, or what the frozen backbone says ("probe"), or a fine-tuned model's votes ("vote").

    Attributes:
        protocol: "finetune", "probe" or "vote".
        recipe: task and training.
        pretraining: what it starts from; None: random weights.
        labels: labelled rooms, or objects a class; None: all.
        seed: of head, order, labels.
    """

    protocol: str
    recipe: DownstreamRecipe
    pretraining: Pretraining | None
    labels: int | None
    seed: int

    @property
    def key(self) -> str:
        """Its folder's name, as `Pretraining.key`."""
        origin = SCRATCH if self.pretraining is None else self.pretraining.key
        labels = "all" if self.labels is None else str(self.labels)
        told = recipe_hash(self.recipe, {"from": origin, "labels": labels})[:8]
        kind = SCRATCH if self.pretraining is None else self.pretraining.recipe.name
        of = "" if self.pretraining is None else f"-seed{self.pretraining.seed}"
        return f"{self.recipe.name}-{kind}{of}-{labels}-seed{self.seed}-{told}"


@dataclass(frozen=True)
class Comparison:
    """Table 7's measurement on a pair of pre-trainings (`reconstruction.table_7`)."""

    reconstruction: Pretraining
    distillation: Pretraining

    @property
    def key(self) -> str:
        """Its folder's name."""
        return f"{self.reconstruction.key}-{self.distillation.key}"


Run = Pretraining | Downstream | Comparison


@dataclass(frozen=True)
class Place:
    """Where runs lie and what they read.

    Attributes:
        out: folder of everything that is written.
        stores: the prepared data.
        scale: the sizes.
        device: where to train.
    """

    out: Path
    stores: Stores
    scale: Scale
    device: str = "cpu"

    def folder(self, run: Run) -> Path:
        """A run's folder."""
        return self.out / "runs" / _kind(run) / run.key

    def result(self, run: Run) -> dict[str, Any] | None:
        """What came out of it; None while it is not finished."""
        path = self.folder(run) / RESULT
        return read_json(path) if path.exists() else None

    def job(self, run: Run) -> Job:
        """The run as a job."""
        folder = self.folder(run)
        if isinstance(run, Pretraining):
            return Job(_name(run), pretrain_job, folder, {"run": run, "place": self})
        if isinstance(run, Comparison):
            needs = (_name(run.reconstruction), _name(run.distillation))
            return Job(_name(run), comparison_job, folder, {"run": run, "place": self}, needs)
        needs = ()
        if run.protocol == "vote":
            needs = (_name(tuned(run)),)
        elif run.pretraining is not None:
            needs = (_name(run.pretraining),)
        function = {"finetune": finetune_job, "probe": probe_job, "vote": vote_job}[run.protocol]
        return Job(_name(run), function, folder, {"run": run, "place": self}, needs)


def _kind(run: Run) -> str:
    if isinstance(run, Downstream):
        return run.protocol
    return "pretrain" if isinstance(run, Pretraining) else "table7"


def _name(run: Run) -> str:
    if isinstance(run, Comparison):
        return f"reconstruction losses, seed {run.distillation.seed}"
    if isinstance(run, Pretraining):
        return f"pre-training {run.recipe.name}, seed {run.seed}"
    doing = {"finetune": "fine-tuning", "probe": "linear probe", "vote": "votes"}[run.protocol]
    origin = SCRATCH if run.pretraining is None else f"{run.pretraining.recipe.name} {run.pretraining.seed}"
    labels = "" if run.labels is None else f", {run.labels} labels"
    return f"{doing} {run.recipe.name}, {origin}{labels}, seed {run.seed}"


def tuned(vote: Downstream) -> Downstream:
    """The fine-tuning whose model votes."""
    task = vote.recipe.task
    assert isinstance(task, Classification)
    return replace(vote, protocol="finetune", recipe=replace(vote.recipe, task=replace(task, votes=1, vote_repeats=1)))


@dataclass(frozen=True)
class RowRuns:
    """The runs behind a row, one of each kind a seed.

    Attributes:
        row: the row.
        pretrainings: none from scratch.
        finetunings: the row's figures.
        second: another fine-tuning of the first pre-trainings, which only tells the spreads apart.
        probes: linear models on the frozen backbones; none for networks of their own.
        votes: where the table is voted.
    """

    row: Row
    pretrainings: tuple[Pretraining, ...]
    finetunings: tuple[Downstream, ...]
    second: tuple[Downstream, ...]
    probes: tuple[Downstream, ...]
    votes: tuple[Downstream, ...]

    def all(self) -> tuple[Run, ...]:
        """All of them, those that others need first."""
        return (*self.pretrainings, *self.finetunings, *self.second, *self.probes, *self.votes)


def row_runs(table: Table, row: Row, scale: Scale, seeds: int) -> RowRuns:
    """What a row needs: with seed s a pre-training and a fine-tuning of that seed, on labels drawn by it."""
    assert row.start is not None
    recipe = scale.networks[row.network] if row.network else scale.tasks[table.task]
    labels, scratch = scale.labels[table.task], row.start == SCRATCH
    pretrainings = () if scratch else tuple(pretraining(scale, row.start, seed) for seed in range(seeds))
    origins = pretrainings or (None,) * seeds
    finetunings = tuple(Downstream("finetune", recipe, origin, labels, seed) for seed, origin in enumerate(origins))
    again = () if scratch else finetunings[: scale.second[table.task]]
    probed = () if row.network else finetunings
    votes = finetunings if table.voted else ()
    return RowRuns(
        row,
        pretrainings,
        finetunings,
        tuple(replace(run, seed=run.seed + _APART) for run in again),
        tuple(replace(run, protocol="probe") for run in probed),
        tuple(replace(run, protocol="vote", recipe=replace(recipe, task=scale.votes)) for run in votes),
    )


def pretraining(scale: Scale, start: str, seed: int) -> Pretraining:
    """The pre-training of a start."""
    return Pretraining(start, seed, scale.pretraining(start, seed))


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Each run once: seed by seed, so that whole columns of figures are there early, and what others need first."""
    kinds = {"finetune": 1, "vote": 2, "probe": 3}

    def rank(run: Run) -> tuple[int, int]:
        if isinstance(run, Pretraining):
            return run.seed, 0
        if isinstance(run, Comparison):
            return run.distillation.seed, 4
        first = run.seed if run.pretraining is None else run.pretraining.seed
        return first, kinds[run.protocol]

    return sorted(dict.fromkeys(runs), key=rank)


def pretrain_job(folder: Path, report: Report, run: Pretraining, place: Place) -> str:
    """One pre-training; its checkpoint goes when it is finished, the weights stay."""
    stores, scale = place.stores, place.scale
    teacher = scale.teacher_of(run.start)
    data, heldout = stores.frames(teacher)
    identity = None if teacher is None else stores.identity(teacher)
    told = None if teacher is None else stores.identity(scale.teacher)  # the same for all rows
    probes = replace(scale.probes, objects=stores.root / LABELLED["objects"], teacher=told)
    result = run_pretrain(
        run.recipe, data, heldout, folder, report, device=place.device, teacher=identity, probes=probes
    )
    delete_checkpoints(folder / CHECKPOINT)
    return summary(result)


def comparison_job(folder: Path, report: Report, run: Comparison, place: Place) -> str:
    """Table 7's rows on one pair of pre-trainings."""
    path = folder / RESULT
    if not path.exists():
        teacher = place.scale.teacher_of(run.distillation.start)
        assert teacher is not None
        table_7(
            place.stores.frames(teacher)[0],
            place.folder(run.reconstruction),
            place.folder(run.distillation),
            folder,
            device=place.device,
            report=report,
            teacher=place.stores.identity(teacher),
        )
        write_json(path, read_json(folder / "table7.json"))
    return read_json(path)["verdict"]


def finetune_job(folder: Path, report: Report, run: Downstream, place: Place) -> str:
    """One fine-tuning, tested at its end."""
    result = run_finetuning(
        run.recipe,
        place.stores.labelled(run.recipe),
        folder,
        None if run.pretraining is None else place.folder(run.pretraining),
        labels=run.labels,
        seed=run.seed,
        device=place.device,
        report=report,
    )
    return f"{result['metric']} {100 * result['value']:.1f} % ({result['seconds']:.0f} s)"


def probe_job(folder: Path, report: Report, run: Downstream, place: Place) -> str:
    """A linear model on the frozen backbone."""
    path = folder / RESULT
    if not path.exists():
        figures = run_probe(
            run.recipe,
            place.stores.labelled(run.recipe),
            None if run.pretraining is None else place.folder(run.pretraining),
            labels=run.labels,
            seed=run.seed,
            device=place.device,
        )
        write_json(path, {"test": figures, "metric": run.recipe.task.metric})
    return _line(read_json(path)["test"])


def vote_job(folder: Path, report: Report, run: Downstream, place: Place) -> str:
    """A fine-tuned classifier's votes over augmented draws of the test clouds."""
    path = folder / RESULT
    if not path.exists():
        saved = load_task_model(place.folder(tuned(run)))
        test = open_splits(place.stores.labelled(run.recipe), run.recipe.splits, run.labels, run.seed).test
        figures = run.recipe.task.evaluate(saved.model.to(place.device), test, run.seed)
        write_json(path, {"test": figures, "metric": run.recipe.task.metric})
    return _line(read_json(path)["test"])


def _line(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in figures.items() if isinstance(value, float))

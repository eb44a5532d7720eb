"""The paper's tables, each by one command: what is missing is run, and printed beside what the paper prints."""

from dataclasses import dataclass
from pathlib import Path

from pointdistill import distributed
from pointdistill.cluster import cluster_executor, worker_count
from pointdistill.console import say
from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.errors import RecipeError
from pointdistill.files import exclusive
from pointdistill.reproduce.estimate import Estimate, print_estimate
from pointdistill.reproduce.named import target_of
from pointdistill.reproduce.runs import Place, in_order
from pointdistill.reproduce.scales import Scale, ScaleName, scale_of
from pointdistill.reproduce.stores import Stores
from pointdistill.reproduce.targets import Target


@dataclass(frozen=True)
class Machines:
    """Where runs are done.

    Attributes:
        workers: local processes; None: the usable cores, or one where `device` is a GPU.
        scheduler: address of a dask scheduler whose workers do them instead.
        device: where each trains.
    """

    workers: int | None = None
    scheduler: str | None = None
    device: str = "cpu"


def run_reproduce(
    name: str,
    out: Path,
    data: Path | None = None,
    scale: ScaleName = "small",
    seeds: int | None = None,
    estimate: bool = False,
    machines: Machines = Machines(),
) -> Path | Estimate:
    """Run what a table or figure lacks, write it, print it.

    Args:
        name: table1 to table10, figure3, figure4, or one of ours (`named.names`).
        out: folder of all runs, shared by all tables, and of what is written of each.
        data: folder of prepared stores (`stores.Stores`); at the small scale the embedded world's, by default out/data,
            written where it lacks.
        scale: paper or small.
        seeds: instead of the scale's.
        estimate: only say what it would take.
        machines: where to run.

    Returns:
        The JSON file, or the estimate.

    Raises:
        DataError: a store that it needs is not there, with the command that prepares it.
        RecipeError: no such target, or `data` is missing at the paper's scale.
    """
    chosen = scale_of(scale)
    if data is None and chosen.world is None:
        raise RecipeError("--scale paper needs --data, a folder of prepared stores (docs/reproduce.md)")
    target = target_of(name, chosen, seeds or chosen.seeds)
    return reproduce(target, chosen, out, data, estimate, machines)


def reproduce(
    target: Target,
    scale: Scale,
    out: Path,
    data: Path | None = None,
    estimate: bool = False,
    machines: Machines = Machines(),
) -> Path | Estimate:
    """`run_reproduce` at any scale."""
    distributed.require_device(machines.device)
    out = Path(out).absolute()
    stores = Stores((data or out / "data").absolute(), scale)
    place = Place(out, stores, scale, machines.device)
    runs = in_order(target.runs())
    if estimate:
        return print_estimate(target.name, place, runs, machines.workers)
    with exclusive(out):
        if runs and all(place.result(run) is not None for run in runs):
            say(f"all {len(runs)} runs of {target.name} are there")
        else:
            stores.prepare(target.needs(), machines.workers)
            if runs:
                _run([place.job(run) for run in runs], target.name, machines)
        return target.write(place)


def _run(jobs: list[Job], name: str, machines: Machines) -> None:
    if machines.scheduler:
        with cluster_executor(machines.scheduler) as executor:
            run_jobs(jobs, name, executor=executor, slots=worker_count(executor))
        return
    local = machines.workers or (1 if machines.device != "cpu" else None)
    run_jobs(jobs, name, local)

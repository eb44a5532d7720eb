"""The whole way in one command, its page, what is looked at, and whether the parts keep up."""

from pathlib import Path
from typing import Annotated, Literal

from pointdistill.console import answer
from pointdistill.errors import PointdistillError
from pointdistill.verbs.arguments import Axis, Positional, arg, at_least


def quickstart(out: Path | None = None, fast: bool = False, thorough: bool = False, workers: int | None = None):
    """Build the embedded data, prepare, distil, fine-tune on four tasks, compare with scratch, write report.html.

    Interrupted, the same command goes on where it was.

    Args:
        out: folder for everything that is written; default quickstart, quickstart-fast or quickstart-thorough.
        fast: a smoke run of two minutes whose figures mean nothing.
        thorough: five seeds with pre-training among them, significance tests, all controls (about 80 minutes).
        workers: processes; default the usable cores.
    """
    from pointdistill.files import read_json
    from pointdistill.quickstart import run_quickstart

    at_least(1, workers=workers)
    if fast and thorough:
        raise PointdistillError("--fast and --thorough exclude each other. Choose one")
    mode = "fast" if fast else "thorough" if thorough else "full"
    page = run_quickstart(out or Path("quickstart" if mode == "full" else f"quickstart-{mode}"), mode, workers)
    return {"out": page.parent, "report": page, **read_json(page.parent / "results.json")}


def reproduce(
    target: Annotated[str, Positional, arg(metavar="TARGET")],
    data: Path | None = None,
    out: Path = Path("reproduce"),
    scale: Literal["paper", "small"] = "small",
    seeds: int | None = None,
    estimate: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
):
    """Reproduce a table or a figure of the paper: run what is missing, print the paper's beside ours.

    Interrupted, the same command goes on where it was; runs are shared by all tables of a folder.

    Args:
        target: table1 to table10, figure3 or figure4 (docs/reproduce.md).
        data: folder of prepared stores; at the small scale the embedded world's, written where it lacks (default
            OUT/data).
        out: folder of all runs and tables.
        scale: small is for two CPU cores and the embedded world, at most 90 minutes a table; paper is the paper's.
        seeds: pre-trainings a row, each with a fine-tuning of its own; default 5 (paper: 3).
        estimate: only print how many runs, hours and GB it would take.
        workers: local processes; default the usable cores.
        scheduler: run on the workers of this dask scheduler instead, for instance tcp://node7:8786; they must see DATA
            and OUT under the same paths.
        device: where each run trains, for instance cuda.
    """
    from pointdistill.files import read_json
    from pointdistill.reproduce import Machines, run_reproduce

    at_least(1, seeds=seeds, workers=workers)
    if scheduler and workers:
        raise PointdistillError("--scheduler and --workers exclude each other: the cluster has its own workers")
    found = run_reproduce(target, out, data, scale, seeds, estimate, Machines(workers, scheduler, device))
    return {"out": found, **read_json(found)} if isinstance(found, Path) else found


def report(
    runs: Annotated[tuple[Path, ...], Positional, arg(metavar="RUNS")], out: Path | None = None, markdown: bool = False
):
    """Write one page of runs: a quickstart's own, or any runs side by side.

    Curves, tables with error bars and tests, scenes in 3D with what each run predicts, attention, captions, nearest
    neighbours: whatever the folders hold. Runs that share all but the seed are one group. The page is one file that
    opens without a network.

    Args:
        runs: folders of quickstarts, pre-trainings, fine-tunings, evaluations, analyses, or of reproduce; folders of
            such folders too.
        out: the page; default RUN/report.html for one folder, else report.html here.
        markdown: print the tables in Markdown instead.
    """
    from pointdistill.compare import blocks_of, find_runs, is_quickstart, write_comparison
    from pointdistill.compare.tables import markdown as blocks_as_markdown
    from pointdistill.report.page import write_page
    from pointdistill.report.schema import read_results
    from pointdistill.report.tables import markdown_table

    if not runs:
        raise PointdistillError("report needs the folder of a run, or of several")
    whole = len(runs) == 1 and is_quickstart(runs[0])
    if markdown:
        table = (
            markdown_table(read_results(runs[0] / "results.json"))
            if whole
            else blocks_as_markdown(blocks_of(find_runs(runs)))
        )
        answer(table)
        return {"markdown": table}
    if whole and out is None:
        page = write_page(runs[0])
    else:
        page = write_comparison(find_runs(runs), out or (runs[0] if len(runs) == 1 else Path()) / "report.html")
    answer(str(page))
    return {"report": page}


def view(
    path: Annotated[Path, Positional, arg(metavar="PATH")],
    run: Path | None = None,
    frame: int = 0,
    teacher: str | None = None,
    up: Axis | None = None,
    port: int = 8080,
    no_open: bool = False,
):
    """Open a live viewer in the browser: a cloud, a store, what a model predicted (extra `view`).

    Of cloud files and frames the points, as the camera, their height or a backbone's features colour them, and what
    teacher and student say; of labelled data classes, parts and boxes; of predictions these beside the truth. It is
    served to this machine alone, until Ctrl-C.

    Args:
        path: .ply, .pcd, .las, .npy, .txt, .xyz, .pts, .csv, .obj or .off, or a folder of such files; a prepared store
            of frames, shapes, scenes, objects or parts; or the folder of an evaluation, an analysis, a quickstart, or
            of a run that has one of these in it.
        run: folder of a pre-training, or OWNER/NAME[@REVISION] on the model hub: of files and frames its features as
            colours, and its captions if it is a distillation.
        frame: what is shown first, counted from 0.
        teacher: of a store's targets, and of --run, as `prepare` takes it; default the embedded one.
        up: which axis of cloud files points up; default z.
        port: where the page is served; the next free one if it is taken, 0 for any.
        no_open: only print the page's address.
    """
    from pointdistill.viewer.command import view_command

    return view_command(path, run, frame, teacher, up, port, not no_open)


Measurement = Literal[
    "step", "loop", "finetune", "feed", "geometry", "metrics", "sens", "prepare", "embed", "growth", "memory", "start"
]


def bench(
    names: Annotated[tuple[Measurement, ...], Positional] = (),
    store: Path | None = None,
    recording: Path | None = None,
    reference: Path | None = None,
    frames: int = 2000,
    every: int = 25,
    steps: int = 3,
    device: str = "cpu",
    rounds: int = 7,
    scenes: int = 312,
):
    """Measure on this machine whether parts keep up: in turns with peers, the plain way and the machine at its best.

    Prints the figures beside their limits.

    Args:
        names: step: a distillation step beside bare matrix products; loop: what a training run adds to it;
            finetune: a step of each task and its stages; feed: does the store feed the trainer; geometry: exact
            searches among points; metrics: those of ScanNet's validation split; sens: what reading a .sens recording
            costs beyond its codecs; prepare: what preparing it adds; embed: features of many clouds; growth: how cost
            grows with the work; memory: of a training run; start: until help is printed. Default all.
        store: a prepared store (feed); default one made for the purpose, in a temporary folder.
        recording: a .sens file (sens, prepare); default one made for the purpose, in a temporary folder.
        reference: SensorData.py of the ScanNet repository, to be timed beside (sens).
        frames: frames of the recording that is made (sens, prepare).
        every: read every n-th frame (sens, prepare).
        steps: training steps measured (feed, loop), turns (embed).
        device: where the steps are taken (step, loop, finetune, feed).
        rounds: rounds of which the medians are taken (step, finetune, geometry, growth, start).
        scenes: scenes measured; the limits are for 312 (metrics).
    """
    from pointdistill.bench.run import Settings
    from pointdistill.bench.run import bench as run_bench

    at_least(1, frames=frames, every=every, steps=steps, rounds=rounds, scenes=scenes)
    settings = Settings(store, recording, reference, frames, every, steps, device, rounds, scenes)
    return run_bench(names, settings)

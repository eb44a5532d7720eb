"""The command line. Heavy imports wait until a verb runs, so that help is instant."""

import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

import tyro

from pointdistill.errors import PointdistillError

Positional, arg = tyro.conf.Positional, tyro.conf.arg
Axis = Literal["x", "-x", "y", "-y", "z", "-z"]
Peer = Literal["point-mae", "point-bert", "maskpoint", "recon", "act", "3detr"]


def _at_least(least: int, **options: int | None) -> None:
    """Refuse numbers below `least`, by the option's name."""
    for name, value in options.items():
        if value is not None and value < least:
            raise PointdistillError(f"--{name.replace('_', '-')} {value}: must be {least} or more")


def quickstart(out: Path | None = None, fast: bool = False, thorough: bool = False, workers: int | None = None):
    """Build the embedded data, prepare, distil, fine-tune on four tasks, compare with scratch, write report.html.

    Interrupted, the same command goes on where it was.

    Args:
        out: folder for everything that is written; default quickstart, quickstart-fast or quickstart-thorough.
        fast: a smoke run of two minutes whose figures mean nothing.
        thorough: five seeds with pre-training among them, significance tests, all controls (about 80 minutes).
        workers: processes; default the usable cores.
    """
    from pointdistill.quickstart import run_quickstart

    _at_least(1, workers=workers)
    if fast and thorough:
        raise PointdistillError("--fast and --thorough exclude each other. Choose one")
    mode = "fast" if fast else "thorough" if thorough else "full"
    run_quickstart(out or Path("quickstart" if mode == "full" else f"quickstart-{mode}"), mode, workers)


def world(
    layout: Annotated[Literal["scannet", "modelnet40", "shapenetpart", "captions"], Positional],
    out: Annotated[Path, Positional, arg(metavar="OUT")],
    count: int = 8,
    frames: int = 60,
    rate: float = 1.0,
    frames_only: bool = False,
    workers: int | None = None,
):
    """Write a piece of the embedded world in a data set's own file format.

    Args:
        layout: whose format.
        out: folder to write into.
        count: rooms (scannet, captions) or objects a class (modelnet40, shapenetpart) for training; a quarter as many
            for validation and for test, but for captions, which have no such splits.
        frames: frames a room (scannet, captions).
        rate: frames a second of the walk through a room (scannet).
        frames_only: leave out the fused mesh and its labels (scannet).
        workers: processes; default the usable cores.
    """
    from pointdistill.world.write import write_world

    _at_least(1, count=count, frames=frames, workers=workers)
    if rate <= 0:
        raise PointdistillError(f"--rate {rate:g}: must be above 0")
    write_world(layout, out, count, frames, rate, frames_only, workers)


def prepare(
    data: Annotated[Path, Positional, arg(metavar="DATA")],
    out: Annotated[Path, Positional, arg(metavar="OUT")],
    labels: bool = False,
    split: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    every: int = 25,
    points: int = 16384,
    keep_images: int | None = None,
    teacher: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    up: Axis | None = None,
    variant: str | None = None,
):
    """Walk RGB-D recordings, run the frozen teacher once a frame, write a store of clouds and targets.

    On a finished store, another teacher's targets are added to what is there. With --labels: parse labelled scenes,
    objects or part-labelled shapes into a store for `finetune` and `evaluate` instead.

    Args:
        data: folder of the data set: ScanNetV2, TUM RGB-D, 7-Scenes, Redwood or Open3D, or one with recording.json;
            with --labels ScanNetV2, ModelNet40, ScanObjectNN or ShapeNetPart.
        out: folder of the store.
        labels: the labelled data of the folder instead of its recordings.
        split: which split list to take recordings from, default train; `all` takes every recording. A folder without
            any list is taken whole. With --labels once for each split, default all that there are lists of.
        every: take every n-th frame.
        points: points kept a frame.
        keep_images: also keep jpegs of this short side, for methods that train on images.
        teacher: default the embedded one; else a folder of `teacher train`, clipcap:WEIGHTS@CLIP, clip-feature:CLIP,
            clip-patches:CLIP, hf:MODEL, hf-pooled:MODEL, imagenet, imagenet-map, or FILE.py:CLASS. CLIP and MODEL are
            folders or OWNER/NAME on the model hub (docs/teacher.md).
        workers: processes; default the usable cores.
        scheduler: work on the workers of this dask scheduler instead, for instance tcp://node7:8786; they must see
            DATA, OUT and the teacher under the same paths.
        up: the axis of the recordings' world that points up, where they do not say so; poses are turned to have z up.
        variant: of ScanObjectNN: obj_only, obj_bg or pb_t50_rs, with --labels.
    """
    from contextlib import nullcontext

    from pointdistill.cluster import cluster_executor
    from pointdistill.prepare import prepare_frames
    from pointdistill.teachers.named import teacher_factory

    _at_least(1, every=every, points=points, keep_images=keep_images, workers=workers)
    if labels:
        return _prepare_labels(
            data, out, split, workers, variant, teacher=teacher, keep_images=keep_images, up=up, scheduler=scheduler
        )
    if variant:
        raise PointdistillError("--variant belongs to --labels. Leave it out")
    if len(split) > 1:
        raise PointdistillError("several --split belong to --labels; recordings are prepared a split a store")
    if scheduler and workers:
        raise PointdistillError("--scheduler and --workers exclude each other: the cluster has its own workers")
    if scheduler:  # its workers may stand in other folders
        data = data.absolute()
    factory = teacher_factory(teacher)
    with cluster_executor(scheduler) if scheduler else nullcontext() as executor:
        prepare_frames(
            data,
            out,
            factory,
            split=split[0] if split else "train",
            every=every,
            points=points,
            keep_images=keep_images,
            workers=workers,
            executor=executor,
            up_axis=up,
        )


def _prepare_labels(
    data: Path, out: Path, splits: tuple[str, ...], workers: int | None, variant: str | None, **of_frames: object
) -> None:
    from pointdistill.prepare import in_words, prepare_labels

    given = next((name for name, value in of_frames.items() if value is not None), None)
    if given:
        raise PointdistillError(f"--{given.replace('_', '-')} belongs to recordings. Leave it out with --labels")
    store = prepare_labels(data, out, splits, workers, variant)
    print(f"{store.path}: {in_words(store)}")


def doctor(path: Annotated[Path, Positional, arg(metavar="PATH")], every: int = 25, points: int = 32):
    """Say what a folder is, what of it is missing or broken, how many pairs it would give, and at what cost.

    Labelled data are read whole, and every problem in them is listed. Exit code: 0 where all can be used, 1 where
    problems of labelled data were listed, 2 where nothing can be used or nothing is known.

    Args:
        path: a data set in any layout, a store, or the folder of a pre-training.
        every: count every n-th frame.
        points: fewest points that a labelled cloud or scene may hold; the default is one patch.
    """
    from pointdistill.doctor import Problem, examine

    _at_least(1, every=every, points=points)
    problems = 0
    for line in examine(path, every, points):
        print(line)
        problems += isinstance(line, Problem)
    if problems:
        raise SystemExit(1)


def pretrain(
    recipe: Annotated[Literal["paper", "quickstart"], Positional],
    data: Path,
    out: Path = Path("pretrained"),
    heldout: Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    compile: bool = False,
    teacher: str | None = None,
):
    """Distil the teacher's targets in a store into a backbone; goes on from the last checkpoint in OUT.

    On several processes: torchrun --nproc-per-node N -m pointdistill pretrain ... learns the same.

    Args:
        recipe: a named recipe; `paper` is Table 8.
        data: store written by `prepare`.
        out: folder of log, checkpoints and backbone.safetensors.
        heldout: store of other scans, for the held-out R^2; without it figures are of some frames trained on.
        epochs: instead of the recipe's.
        batch_size: frames a step, over all processes, instead of the recipe's.
        seed: of initialisation, order, subsets, augmentation.
        device: where to train, for instance cuda (of several processes, each takes a GPU).
        compile: run through torch.compile.
        teacher: whose targets, where the store holds those of several: an identity, or the beginning of one.
    """
    from pointdistill.pretraining import run_named_recipe

    _at_least(1, epochs=epochs, batch_size=batch_size)
    _at_least(0, seed=seed)
    run_named_recipe(recipe, data, heldout, out, epochs, batch_size, seed, device, compile, teacher)


def finetune(
    recipe: Annotated[str, Positional, arg(metavar="RECIPE")],
    data: Path,
    init: Annotated[str, arg(metavar="scratch|PATH")] = "scratch",
    out: Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    labels: int | None = None,
    device: str = "cpu",
    way: int | None = None,
    shot: int | None = None,
    episodes: int = 10,
):
    """Train a downstream task by a named recipe, test it, print one table; goes on from the last checkpoint in OUT.

    Args:
        recipe: the name of a recipe (docs/downstream.md); an unknown one lists them.
        data: store written by `prepare --labels`.
        init: scratch, or weights to start from: backbone.safetensors, the folder of a pre-training or of `convert`.
        out: folder of log, checkpoint, model and result; default finetuned-RECIPE.
        epochs: instead of the recipe's.
        batch_size: instead of the recipe's.
        seed: of head, order, subsets, augmentation, dropout, and of the labels chosen.
        labels: train on so many labelled rooms, or objects a class.
        device: where to train, for instance cuda.
        way: classes an episode, for the few-shot recipe.
        shot: training clouds a class and episode.
        episodes: draws, each fine-tuned by itself.
    """
    from pointdistill.finetuning import Episodes, run_named_finetuning

    _at_least(1, epochs=epochs, batch_size=batch_size, labels=labels, shot=shot, episodes=episodes)
    _at_least(2, way=way)
    _at_least(0, seed=seed)
    if (way is None) != (shot is None):
        raise PointdistillError("--way and --shot belong together. Give both, or neither")
    draws = Episodes(way, shot, episodes) if way and shot else None
    run_named_finetuning(recipe, data, init, out, epochs, batch_size, seed, labels, device, draws)


def probe(
    recipe: Annotated[str, Positional, arg(metavar="RECIPE")],
    data: Path,
    init: Annotated[str, arg(metavar="scratch|PATH")] = "scratch",
    protocol: Literal["linear", "nearest-neighbours", "svm", "svm-one-vs-rest"] = "linear",
    out: Path | None = None,
    seed: int = 0,
    labels: int | None = None,
    device: str = "cpu",
):
    """Say what a frozen backbone's features hold: train at most a linear model on them, print one table.

    Args:
        recipe: the name of a recipe (docs/downstream.md), for its task, patches and splits.
        data: store written by `prepare --labels`.
        init: scratch, or the backbone: backbone.safetensors, the folder of a pre-training or of `convert`.
        protocol: linear for every task; the others for classification (svm: extra eval).
        out: JSON file to write the figures into.
        seed: of random weights and draws of points, and of the labels chosen.
        labels: train on so many labelled rooms, or objects a class.
        device: where the backbone runs, for instance cuda.
    """
    from pointdistill.probing import run_named_probe

    _at_least(1, labels=labels)
    _at_least(0, seed=seed)
    run_named_probe(recipe, data, init, protocol, out, seed, labels, device)


def evaluate(
    run: Annotated[Path, Positional, arg(metavar="RUN")],
    data: Path,
    split: str | None = None,
    out: Path | None = None,
    workers: int | None = None,
    device: str = "cpu",
):
    """Test a fine-tuned model: print one table, write results.json, predictions as files, and a page.

    On several processes: torchrun --nproc-per-node N -m pointdistill evaluate ... writes the same bits.

    Args:
        run: folder of a finished `finetune`.
        data: store written by `prepare --labels`.
        split: which of its splits, train+val for both; default the one that the model's recipe tests on.
        out: folder for everything that is written; default RUN/evaluation-SPLIT.
        workers: local processes; default the usable cores.
        device: where to predict, for instance cuda (of several processes, each takes a GPU).
    """
    from pointdistill.evaluation import run_evaluation_command

    _at_least(1, workers=workers)
    run_evaluation_command(run, data, split, out, workers, device)


def teacher(
    action: Annotated[Literal["train"], Positional],
    images: Annotated[Path | None, Positional, arg(metavar="[IMAGES]")] = None,
    out: Path = Path("teacher"),
    seed: int = 0,
):
    """Train the small teacher: image encoder by captions, caption language model, prefix mapper.

    Args:
        action: train.
        images: folder of images with captions.jsonl; default the embedded world's, written first.
        out: folder of weights, quality.json and checkpoints.
        seed: of everything random.
    """
    from pointdistill.teachers.train import train_teacher

    _at_least(0, seed=seed)
    train_teacher(images, out, seed)


def caption(
    cloud: Annotated[Path, Positional, arg(metavar="CLOUD")],
    run: Path,
    frame: int | None = None,
    teacher: str | None = None,
    up: Axis | None = None,
):
    """Say in a sentence what a point cloud shows: predicted prefix -> the teacher's frozen language model.

    Args:
        cloud: .ply, .npy, .txt, .xyz, .pts or .csv; or a store, with --frame.
        run: folder of a finished distillation.
        frame: which frame of the store.
        teacher: the run's teacher, as `prepare` takes it; default the embedded one.
        up: which axis of the cloud points up; default z (-y for a run in the camera's frame).
    """
    from pointdistill.applications.commands import caption_command

    caption_command(cloud, run, frame, teacher, up)


def classify(
    cloud: Annotated[Path, Positional, arg(metavar="CLOUD")],
    run: Path,
    labels: str,
    frame: int | None = None,
    teacher: str | None = None,
    up: Axis | None = None,
    template: str | None = None,
):
    """Say which label fits a point cloud best, without training: by the likelihood of each after the predicted prefix.

    Args:
        cloud: .ply, .npy, .txt, .xyz, .pts or .csv; or a store, with --frame.
        run: folder of a finished distillation.
        labels: separated by commas, for instance chair,table,bed.
        frame: which frame of the store.
        teacher: the run's teacher, as `prepare` takes it; default the embedded one.
        up: which axis of the cloud points up; default z (-y for a run in the camera's frame).
        template: the text around a label; default "a {}" ("a photo of a {}" for CLIP features).
    """
    from pointdistill.applications.commands import classify_command

    classify_command(cloud, run, labels, frame, teacher, up, template)


def embed(
    clouds: Annotated[tuple[Path, ...], Positional, arg(metavar="CLOUD...")],
    backbone: Path,
    out: Path,
    frame: int | None = None,
    up: Axis | None = None,
):
    """Write a backbone's features of point clouds.

    Args:
        clouds: .ply, .npy, .txt, .xyz, .pts or .csv; or stores: all their frames, or --frame.
        backbone: backbone.safetensors, or the folder of a pre-training.
        out: .npz for tokens, centres, pooled features and names; .npy for pooled features alone.
        frame: which frame of a store.
        up: which axis of the clouds points up; default z (-y for a run in the camera's frame).
    """
    from pointdistill.applications.commands import embed_command

    embed_command(clouds, backbone, out, frame, up)


def bench(
    what: Annotated[Literal["feed", "geometry", "metrics", "sens"], Positional],
    path: Annotated[Path | None, Positional, arg(metavar="[PATH]")] = None,
    frames: int = 2000,
    every: int = 25,
    reference: Path | None = None,
    steps: int = 3,
    device: str = "cpu",
    rounds: int = 7,
    scenes: int = 312,
):
    """Measure on this machine whether a part keeps up, and print the figures beside their limits.

    Args:
        what: feed: does the store feed the trainer; geometry: how long exact searches among points take; metrics: how
            long the metrics of ScanNet's validation split take; sens: what reading a .sens recording costs beyond its
            codecs.
        path: a store (feed) or a .sens file (sens); default one made for the purpose, in a temporary folder.
        frames: frames of the recording that is made (sens).
        every: read every n-th frame (sens).
        reference: SensorData.py of the ScanNet repository, to be timed beside (sens).
        steps: training steps measured (feed).
        device: where the steps are taken (feed).
        rounds: rounds of which the medians are taken (geometry).
        scenes: scenes measured; the limits are for 312 (metrics).
    """
    _at_least(1, frames=frames, every=every, steps=steps, rounds=rounds, scenes=scenes)
    if reference and what != "sens":
        raise PointdistillError("--reference belongs to bench sens. Leave it out")
    if path and what in ("geometry", "metrics"):
        raise PointdistillError(f"bench {what} makes its own data. Leave {path} out")
    if what == "feed":
        from pointdistill.bench import feed

        feed.main(path, steps, device)
    elif what == "geometry":
        from pointdistill.bench import geometry

        geometry.main(rounds)
    elif what == "metrics":
        from pointdistill.bench import metrics

        metrics.main(scenes)
    else:
        from pointdistill.bench import sens

        sens.main(path, frames, every, reference)


def convert(
    source: Annotated[Path, Positional, arg(metavar="FILE")],
    out: Annotated[Path, Positional, arg(metavar="OUT")],
    from_: Annotated[Peer | None, arg(name="from")] = None,
    to: Literal["point-mae"] | None = None,
    groups: int | None = None,
    heads: int | None = None,
    quirks: bool = False,
    up: Axis | None = None,
):
    """Read a peer's published checkpoint, or write a backbone for a peer's code (docs/interchange.md).

    Args:
        source: with --from, the peer's .pth file; with --to, backbone.safetensors or the folder that holds it.
        out: with --from, a folder for backbone.safetensors (and model.safetensors, of a fine-tuned network); with --to,
            a .pth file.
        from_: whose checkpoint it is.
        to: in whose names to write.
        groups: patches a cloud, where the checkpoint is not of the published number (--from).
        heads: attention heads, likewise (--from).
        quirks: choose patches as the peer's own kernels do, index by index (--from).
        up: the axis that points up in the peer's clouds (y for ModelNet40 and ShapeNet): ours then takes z up (--from)
            or theirs that axis (--to); default: weights as they are.
    """
    from pointdistill.interchange.command import convert_from, convert_to

    _at_least(1, groups=groups, heads=heads)
    if (from_ is None) == (to is None):
        raise PointdistillError("give one of --from and --to. `pointdistill convert --help` says more")
    if from_ is not None:
        convert_from(from_, source, out, groups, heads, quirks, up)
    elif to is not None:
        if groups or heads or quirks:
            raise PointdistillError("--groups, --heads and --quirks belong to --from. Leave them out")
        convert_to(to, source, out, up)


def report(run: Annotated[Path, Positional, arg(metavar="RUN")], markdown: bool = False):
    """Write report.html anew from a run's results.json.

    Args:
        run: folder of a quickstart.
        markdown: print the results table in Markdown instead, as README and docs/results hold it.
    """
    from pointdistill.report.page import write_page
    from pointdistill.report.schema import read_results
    from pointdistill.report.tables import markdown_table

    print(markdown_table(read_results(run / "results.json")) if markdown else write_page(run))


VERBS = {
    "quickstart": quickstart,
    "world": world,
    "prepare": prepare,
    "doctor": doctor,
    "pretrain": pretrain,
    "finetune": finetune,
    "probe": probe,
    "evaluate": evaluate,
    "teacher": teacher,
    "caption": caption,
    "classify": classify,
    "embed": embed,
    "convert": convert,
    "bench": bench,
    "report": report,
}


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Errors a user can mend: one line, exit code 2; `--debug` shows where they come from."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if given == ["--version"]:
        from pointdistill import __version__

        print(f"pointdistill {__version__}")
        return
    try:
        tyro.extras.subcommand_cli_from_dict(
            VERBS,
            args=given,
            prog="pointdistill",
            config=(tyro.conf.FlagCreatePairsOff,),
            description="Pre-train point-cloud backbones by distilling frozen 2D image models into them. "
            "--debug after any verb shows tracebacks; --version prints the version.",
        )
    except PointdistillError as error:
        if debug:
            traceback.print_exc()
        print(f"pointdistill: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("pointdistill: interrupted; the same command goes on where it was", file=sys.stderr)
        raise SystemExit(130) from None

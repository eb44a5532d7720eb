"""What is trained: teachers, backbones by pre-training, tasks by fine-tuning; and what is tested and analysed."""

from pathlib import Path
from typing import Annotated, Literal

from pointdistill.errors import PointdistillError
from pointdistill.trackers import TrackerName
from pointdistill.verbs.arguments import Axis, Positional, arg, at_least

Peer = Literal["point-mae", "point-bert", "maskpoint", "recon", "act", "3detr"]


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
    from pointdistill.files import read_json
    from pointdistill.teachers.train import QUALITY, train_teacher

    at_least(0, seed=seed)
    trained = train_teacher(images, out, seed)
    return {"out": out, "identity": trained.identity, **read_json(out / QUALITY)}


def pretrain(
    recipe: Annotated[str, Positional, arg(metavar="RECIPE")],
    data: Path,
    out: Path = Path("pretrained"),
    heldout: Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    compile: bool = False,
    teacher: str | None = None,
    probe_every: Annotated[int | None, arg(metavar="STEPS")] = None,
    objects: Path | None = None,
    estimate: bool = False,
    track: tuple[TrackerName, ...] = (),
):
    """Pre-train a backbone on a store, by distillation or another method; goes on from the last checkpoint in OUT.

    On several processes: torchrun --nproc-per-node N -m pointdistill pretrain ... learns the same.

    Args:
        recipe: `paper` is Table 8, `quickstart` the small one; with -tokens or -pooled (no concepts), -no-captions,
            -local, -untied or -mix one thing is changed, as in Table 5; with -reconstruction-output, -both-output (or
            -input: where the mask is) it is Table 6's. With -point-mae, -point-bert, -mask-point, -occo, -cross-point,
            -point-contrast or -depth-contrast it is another method on the same frames; `point-mae-shapenet55` and its
            like learn from shapes, and need no targets. All of them: docs/reproduce.md; an unknown one lists them.
            FILE.py:NAME is one of your own, with a method of your own or not (docs/own-method.md).
        data: store written by `prepare`.
        out: folder of log, checkpoints and backbone.safetensors.
        heldout: store of other scans, for the held-out R^2; without it figures are of some frames trained on.
        epochs: instead of the recipe's.
        batch_size: frames a step, over all processes, instead of the recipe's.
        seed: of initialisation, order, subsets, augmentation.
        device: where to train, for instance cuda (of several processes, each takes a GPU).
        compile: run through torch.compile.
        teacher: whose targets, where the store holds those of several: an identity, or the beginning of one.
        probe_every: steps between probes of the frozen backbone, at no change to what is learnt: how much of held-out
            targets follows from its features, for any method; default five times a run, 0 never.
        objects: store of labelled objects, to probe with a linear SVM too (extra eval; never on its test split).
        estimate: only say what it would take here: steps, time, memory, the largest batch that fits, disk.
        track: show the log as it grows: tensorboard (OUT/tensorboard; extra tensorboard), wandb (extra wandb) or both.
    """
    from pointdistill.online_probe import ProbeSettings
    from pointdistill.pretraining import run_named_recipe

    at_least(1, epochs=epochs, batch_size=batch_size)
    at_least(0, seed=seed, probe_every=probe_every)
    if probe_every == 0 and objects is not None:
        raise PointdistillError("--objects are for probes, of which --probe-every 0 wants none. Leave one out")
    probes = None if probe_every == 0 else ProbeSettings(probe_every, objects)
    return run_named_recipe(
        recipe, data, heldout, out, epochs, batch_size, seed, device, compile, teacher, probes, estimate, track
    )


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
    track: tuple[TrackerName, ...] = (),
):
    """Train a downstream task by a named recipe, test it, print one table; goes on from the last checkpoint in OUT.

    Args:
        recipe: the name of a recipe (docs/downstream.md); an unknown one lists them. FILE.py:NAME is one of your own,
            with a task of your own or not (docs/own-task.md).
        data: store written by `prepare --labels`.
        init: scratch, or weights to start from: backbone.safetensors, the folder of a pre-training or of `convert`, or
            OWNER/NAME[@REVISION] on the model hub.
        out: folder of log, checkpoint, model and result; default finetuned-RECIPE.
        epochs: instead of the recipe's.
        batch_size: instead of the recipe's.
        seed: of head, order, subsets, augmentation, dropout, and of the labels chosen.
        labels: train on so many labelled rooms, or objects a class.
        device: where to train, for instance cuda.
        way: classes an episode, for the few-shot recipe.
        shot: training clouds a class and episode.
        episodes: draws, each fine-tuned by itself.
        track: show the log as it grows: tensorboard (OUT/tensorboard; extra tensorboard), wandb (extra wandb) or both.
    """
    from pointdistill.finetuning import Episodes, run_named_finetuning

    at_least(1, epochs=epochs, batch_size=batch_size, labels=labels, shot=shot, episodes=episodes)
    at_least(2, way=way)
    at_least(0, seed=seed)
    if (way is None) != (shot is None):
        raise PointdistillError("--way and --shot belong together. Give both, or neither")
    if way is not None and track:
        raise PointdistillError("--track follows one log, few-shot episodes have one each. Leave it out")
    draws = Episodes(way, shot, episodes) if way and shot else None
    return run_named_finetuning(recipe, data, init, out, epochs, batch_size, seed, labels, device, draws, track)


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
        recipe: the name of a recipe (docs/downstream.md), or FILE.py:NAME, for its task, patches and splits.
        data: store written by `prepare --labels`.
        init: scratch, or the backbone: backbone.safetensors, the folder of a pre-training or of `convert`, or
            OWNER/NAME[@REVISION] on the model hub.
        protocol: linear for every task; the others for classification (svm: extra eval).
        out: JSON file to write the figures into.
        seed: of random weights and draws of points, and of the labels chosen.
        labels: train on so many labelled rooms, or objects a class.
        device: where the backbone runs, for instance cuda.
    """
    from pointdistill.probing import run_named_probe

    at_least(1, labels=labels)
    at_least(0, seed=seed)
    return run_named_probe(recipe, data, init, protocol, out, seed, labels, device)


def evaluate(
    run: Annotated[Path, Positional, arg(metavar="RUN")],
    data: Path,
    split: str | None = None,
    out: Path | None = None,
    workers: int | None = None,
    device: str = "cpu",
    recipe: str | None = None,
):
    """Test a fine-tuned model: print one table, write results.json, predictions as files, and a page.

    On several processes: torchrun --nproc-per-node N -m pointdistill evaluate ... writes the same bits.

    Args:
        run: folder of a finished `finetune`, or OWNER/NAME[@REVISION] on the model hub.
        data: store written by `prepare --labels`.
        split: which of its splits, train+val for both; default the one that the model's recipe tests on.
        out: folder for everything that is written; default RUN/evaluation-SPLIT (of a model from the hub,
            NAME-evaluation-SPLIT).
        workers: local processes; default the usable cores.
        device: where to predict, for instance cuda (of several processes, each takes a GPU).
        recipe: FILE.py:NAME that the model was trained by, where its task is from a file of your own.
    """
    from pointdistill.evaluation import run_evaluation_command

    at_least(1, workers=workers)
    return run_evaluation_command(run, data, split, out, workers, device, recipe)


def analyse(
    run: Annotated[Path, Positional, arg(metavar="RUN")],
    data: Path,
    heldout: Path,
    objects: Path | None = None,
    detector: Path | None = None,
    scenes: Path | None = None,
    teacher: str | None = None,
    out: Path | None = None,
):
    """Say what a pre-training has learned: prefix R^2, captions, concepts' attention, neighbours; write a page.

    Args:
        run: folder of a finished `pretrain`.
        data: store of the frames it was trained on.
        heldout: store of frames of other scans, with the same teacher's targets.
        objects: store of labelled objects, for frozen features by class (extra eval).
        detector: folder of a `finetune` for detection, for detected boxes; with --scenes.
        scenes: store of labelled scenes.
        teacher: how `prepare --teacher` names the run's teacher, for captions; default the embedded one, if it is that.
        out: folder for analyses.html, analyses.json and examples; default RUN/analyses.
    """
    from pointdistill.analyses.run import run_analysis_command

    if (detector is None) != (scenes is None):
        raise PointdistillError("--detector and --scenes belong together. Give both, or neither")
    return run_analysis_command(run, data, heldout, objects, detector, scenes, out, teacher)


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
        source: with --from, the peer's .pth file; with --to, backbone.safetensors, the folder that holds it, or
            OWNER/NAME on the model hub.
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

    at_least(1, groups=groups, heads=heads)
    if (from_ is None) == (to is None):
        raise PointdistillError("give one of --from and --to. `pointdistill convert --help` says more")
    if from_ is not None:
        return convert_from(from_, source, out, groups, heads, quirks, up)
    assert to is not None
    if groups or heads or quirks:
        raise PointdistillError("--groups, --heads and --quirks belong to --from. Leave them out")
    return convert_to(to, source, out, up)


def push(
    run: Annotated[Path, Positional, arg(metavar="RUN")],
    repository: Annotated[str, Positional, arg(metavar="OWNER/NAME")],
    private: bool = False,
    licence: str = "other",
    message: str | None = None,
    dry_run: bool = False,
):
    """List the weights of a run and send them to the model hub, with its page as README.md, in one commit.

    Only safetensors, JSON, the log and the page are sent. It needs the extra hub and a token (hf auth login, HF_TOKEN).

    Args:
        run: folder of a finished pre-training, a fine-tuned model or a backbone; or a backbone.safetensors.
        repository: where to; it is made where it lacks.
        private: make it private; a repository that is there stays as it is.
        licence: as the hub calls it, for instance apache-2.0; other stands for the terms that the page names.
        message: of the commit.
        dry_run: only list what would be sent.
    """
    from pointdistill.publishing import push_command

    return push_command(run, repository, private, licence, message, dry_run)

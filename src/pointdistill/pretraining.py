"""A pre-training recipe on a store: build the method, train it, write backbone, method and provenance."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointdistill import __version__, distributed, targets
from pointdistill.console import progress, say, warn
from pointdistill.distilled import MEAN_TARGET, METHOD, fill_method
from pointdistill.engine.log import Report
from pointdistill.engine.pretrain import figures_of, in_words, is_figure, pretrain, probed_of
from pointdistill.errors import DataError, RecipeError, choose
from pointdistill.files import exclusive, read_json, write_json, write_text
from pointdistill.frame_pairs import FramePairs
from pointdistill.loader import FrameLoader
from pointdistill.methods.base import Method, TargetStatistics
from pointdistill.methods.controls import PermutedTargets
from pointdistill.methods.distill import Distill
from pointdistill.methods.local_alignment import CellsOf, LocalAlignmentConfig
from pointdistill.methods.point_bert import PointBERT
from pointdistill.methods.point_contrast import PointContrastConfig
from pointdistill.model_card import model_card
from pointdistill.models.checkpoints import save_backbone
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.online_probe import ProbeSettings, open_probes
from pointdistill.pretraining_cost import print_cost
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.recipe import PretrainRecipe, as_json, first_stage, recipe_hash, with_optimisation
from pointdistill.recipes.user import load_pretrain_recipe, own_method
from pointdistill.store import FrameStore
from pointdistill.tensors import load_tensors, save_tensors
from pointdistill.trackers import tracked
from pointdistill.user_code import UserCode, user_code

_PAPER = "paper"
"""How the names of recipes begin that train on the paper's frames."""
FIRST = "tokenizer"
"""Folder of a first stage, in that of the pre-training it is for."""
SEEN = 512
"""Frames of the training store that are validated on where there is no other store."""


def build_method(recipe: PretrainRecipe, store: FrameStore, statistics: TargetStatistics | None = None) -> Method:
    """The recipe's method with freshly initialised weights (torch's default generator).

    Args:
        statistics: `target_statistics` of the two, where they are known.

    Raises:
        DataError: as `target_statistics`.
        RecipeError: the recipe's method, one of the user's own, builds what cannot be trained.
    """
    backbone = PointTransformer(recipe.backbone)
    method = recipe.method.build(backbone, statistics or target_statistics(recipe, store))
    _require_method(method)
    return method


def target_statistics(recipe: PretrainRecipe, store: FrameStore) -> TargetStatistics | None:
    """What a method is told of a store's targets; None of those that learn from no teacher.

    Raises:
        DataError: targets that are not finite, or the same in every frame.
    """
    if not recipe.method.learns_from_teacher:
        return None
    mean, std = (torch.as_tensor(part) for part in store.target_statistics())
    if not bool((std > 0).any()):
        problem = "its targets are the same in every frame: there is nothing to learn"
        raise DataError(store.path, problem, "Look at the teacher, or prepare more frames.")
    return TargetStatistics(mean, std)


def _cells(recipe: PretrainRecipe, store: FrameStore) -> CellsOf | None:
    """Where points lie in the teacher's image, for methods that ask."""
    if isinstance(recipe.method, LocalAlignmentConfig):
        return CellsOf(store, recipe.method.image_side)
    return None


def _pairs(recipe: PretrainRecipe, store: FrameStore) -> FramePairs | None:
    """Which frames overlap, for methods that ask."""
    method = recipe.method
    if isinstance(method, PointContrastConfig):
        return FramePairs(store, method.overlap, method.radius, method.matches)
    return None


def _require_targets(recipe: PretrainRecipe, store: FrameStore) -> None:
    """Raises RecipeError where what learns from a teacher is given shapes that none has seen."""
    if recipe.method.learns_from_teacher and not store.has_targets:
        raise RecipeError(
            f"{store.path}: holds shapes without a teacher's targets, which the recipe {recipe.name} learns from. "
            "Take a recipe that reconstructs, or a store of frames"
        )


def train_loader(recipe: PretrainRecipe, store: FrameStore, device: str = "cpu") -> FrameLoader:
    """Training batches as the recipe draws them, to be sent to a device; of several processes, each gets its share of
    every batch."""
    frames, engine = recipe.frames, recipe.engine
    return FrameLoader(
        store,
        engine.batch_size,
        frames.points,
        seed=engine.seed,
        frame=frames.frame,
        augment=frames.augmentation,
        cells=_cells(recipe, store),
        views=recipe.method.views,
        pairs=_pairs(recipe, store),
        rank=distributed.rank(),
        ranks=distributed.ranks(),
        stored=torch.device(device).type != "cpu",
    )


def validation_loader(recipe: PretrainRecipe, store: FrameStore, most: int | None = None) -> FrameLoader:
    """Batches to validate on: the same clouds each time, no augmentation; of several processes, each its share.

    Args:
        most: take so many frames, evenly over the store, where it has more.
    """
    frames = recipe.frames
    count = min(most or len(store), len(store))
    return FrameLoader(
        store,
        min(64 * distributed.ranks(), count),
        frames.points,
        seed=0,
        frame=frames.frame,
        augment=None,
        indices=np.linspace(0, len(store) - 1, count).round().astype(np.int64),
        drop_last=False,
        cells=_cells(recipe, store),
        views=recipe.method.views,
        pairs=_pairs(recipe, store),
        rank=distributed.rank(),
        ranks=distributed.ranks(),
    )


def run_pretrain(
    recipe: PretrainRecipe,
    data: Path,
    heldout: Path | None,
    out: Path,
    report: Report = lambda done, total, note: None,
    permute_targets: bool = False,
    device: str = "cpu",
    teacher: str | None = None,
    probes: ProbeSettings | None = None,
    code: UserCode | None = None,
) -> dict:
    """Pre-train, going on from the last checkpoint in `out`; a finished run is returned as it is.

    Of several processes (`distributed.processes`) all call this, and the main one writes. What is trained does not
    depend on how many there are, up to rounding; a run may go on with another number.

    Args:
        recipe: what to do.
        data: store of the training frames.
        heldout: store of other scans, for the curves; without it they are of some of the frames trained on, and are
            called "seen".
        out: folder for run.json (recipe, version, data, teacher), log.jsonl, state.safetensors, method.safetensors,
            backbone.safetensors, backbone.json, model_card.md and result.json. What a method of two stages trains first
            (Point-BERT's tokenizer) is a run of its own in tokenizer/ below, without a backbone.
        report: progress callback.
        permute_targets: the control that pairs each cloud with another frame's target.
        device: where to train.
        teacher: whose targets, where `data` holds those of several (`targets.choose`).
        probes: how the frozen backbone is probed along the way (`online_probe`); None: not at all. The weights do not
            depend on it, so a finished run is returned as it is, however it was probed.
        code: the user's own file that the recipe is from, if it is: another content of it is another recipe.

    Returns:
        The content of result.json: steps, seconds, held-out figures, the curve; of a first stage, if any, all but the
        curve as "first".
        The content of result.json: steps, seconds, held-out figures, the last probe's, the curve.

    Raises:
        RecipeError: `out` holds a run of another recipe or other data, the store has too few frames, or no targets to
            distil, there are more processes than frames in a batch, or the two stores hold no targets of the same
            teacher; objects that cannot be probed with (`online_probe.open_probes`, which names other errors too).
    """
    train_store, heldout_store = _stores(data, heldout, teacher)
    data_hashes = {"data": train_store.manifest_hash, "heldout": heldout_store and heldout_store.manifest_hash}
    of_code = {"code": code.described["sha256"]} if code else {}
    identity = recipe_hash(recipe, {**data_hashes, "permuted": permute_targets, **of_code})
    if (Path(out) / "result.json").exists():
        result = read_json(Path(out) / "result.json")
        _require_identity(Path(out), result, identity)
        return result
    _require_targets(recipe, train_store)
    before = first_stage(recipe)
    if len(train_store) < recipe.engine.batch_size:
        raise RecipeError(
            f"{data}: {len(train_store)} frames are fewer than one batch of {recipe.engine.batch_size}. "
            "Prepare more scans, or give a smaller batch size"
        )
    if distributed.ranks() > recipe.engine.batch_size:
        raise RecipeError(f"{distributed.ranks()} processes cannot share batches of {recipe.engine.batch_size} frames")
    main = distributed.is_main()
    card = {
        "identity": identity,
        "recipe": as_json(recipe),
        "version": __version__,
        "data": {
            "source": train_store.manifest["source"],
            "terms": train_store.manifest["terms"],
            "store": train_store.manifest_hash,
            "frames": len(train_store),
            "scans": len(train_store.scan_names),
            "targets_permuted": permute_targets,
        },
        "teacher": train_store.teacher,
    }
    if code is not None:
        card["code"] = {**code.described, "method": own_method(recipe)}
    loader = train_loader(recipe, train_store, device)
    if heldout_store is None:
        validation, kind = validation_loader(recipe, train_store, SEEN), "seen"
    else:
        validation, kind = validation_loader(recipe, heldout_store), "heldout"
    probe = probes and open_probes(probes, recipe, train_store, heldout_store, recipe.engine.epochs * len(loader))
    if probe is not None:
        card["probes"] = probe.about
    statistics = target_statistics(recipe, train_store)
    if main:  # after all that may be refused
        _claim(Path(out), card)
    if before is not None:
        first = run_pretrain(before, data, heldout, Path(out) / FIRST, _called(FIRST, report), False, device, teacher)
    torch.manual_seed(recipe.engine.seed)
    method = build_method(recipe, train_store, statistics)
    assert isinstance(method, torch.nn.Module)
    if before is not None:
        _begin_with_tokenizer(method, Path(out) / FIRST / METHOD)
    rows = pretrain(
        method,
        PermutedTargets(loader, train_store, recipe.engine.seed) if permute_targets else loader,
        validation,
        recipe.engine,
        Path(out),
        identity,
        device,
        report,
        kind,
        probe,
    )
    result = {
        "identity": identity,
        "steps": rows[-1]["step"],
        "seconds": rows[-1]["seconds"],
        "heldout": figures_of(rows[-1], "heldout"),
        "seen": figures_of(rows[-1], "seen"),
        "probed": probed_of(rows[-1]),
        "curve": rows,
        "parameters": {
            "backbone": 0 if method.backbone is None else sum(p.numel() for p in method.backbone.parameters()),
            "method": sum(p.numel() for p in method.parameters()),
        },
    }
    if before is not None:
        result["first"] = {name: value for name, value in first.items() if name != "curve"}
    if main:
        tensors = method.state_dict()
        if isinstance(method, Distill) and method.config.standardise == "none":  # else its target_mean is the mean
            tensors[MEAN_TARGET] = torch.from_numpy(train_store.target_statistics()[0])
        save_tensors(Path(out) / METHOD, tensors, {"identity": identity})
        if method.backbone is not None:
            save_backbone(method.backbone, Path(out), {**card, "heldout": result["heldout"]})
            write_text(Path(out) / "model_card.md", model_card(card, result, distributed.ranks()))
        write_json(Path(out) / "result.json", result)
    return result


def _require_method(method: Method) -> None:
    """Raises RecipeError for what no loop can train: of use for methods of the user's own."""
    name = type(method).__name__
    if not isinstance(method, torch.nn.Module):
        raise RecipeError(f"{name} is no torch.nn.Module: a method's build must return one (methods.base.Method)")
    if not isinstance(method, Method):
        raise RecipeError(f"{name} lacks backbone or validate, which pre-training asks a method for")
    if method.backbone is not None and not isinstance(method.backbone, PointTransformer):
        raise RecipeError(f"{name}.backbone is no PointTransformer. Keep the one that build was given")


def _called(stage: str, report: Report) -> Report:
    """A report that says which stage it is of."""
    return lambda done, total, note: report(done, total, f"{stage}: {note}")


def _begin_with_tokenizer(method: Method, path: Path) -> None:
    """Give Point-BERT the tokenizer that its first stage left."""
    assert isinstance(method, PointBERT)
    distributed.wait_for_all()  # the main process has just written it
    fill_method(method.tokenizer, load_tensors(path)[0], path)
    method.start_from_tokenizer()


def summary(result: dict) -> str:
    """What came out of a `run_pretrain`, in a line; a collapse is said."""
    last = result["curve"][-1]
    names = [name for name in last if is_figure(name) and not name.endswith("_spread")]
    figures = [f"{in_words(name)} {last[name]:.3f}" for name in names]
    warning = last.get("warning")
    warnings = [f"WARNING: {warning}"] if warning else []
    return ", ".join([f"{result['steps']} steps", *figures, f"{result['seconds']:.0f} s", *warnings])


def _claim(out: Path, card: dict) -> None:
    """Write down what the folder's run is, or make sure that it is this one."""
    path = out / "run.json"
    if path.exists():
        _require_identity(out, read_json(path, "Choose another output folder"), card["identity"])
    write_json(path, card)


def _require_identity(out: Path, there: dict, identity: str) -> None:
    if there.get("identity") != identity:
        raise RecipeError(f"{out}: holds a run of another recipe or other data. Choose another output folder")


def _stores(data: Path, heldout: Path | None, teacher: str | None) -> tuple[FrameStore, FrameStore | None]:
    """Both stores with the same teacher's targets."""
    train = FrameStore.open(data, teacher)
    if heldout is None:
        return train, None
    if not train.has_targets:
        return train, FrameStore.open(heldout)
    if targets.folder_of(heldout, train.teacher) not in targets.finished(heldout):
        there = ", ".join(folder.name for folder in targets.finished(heldout)) or "no teacher"
        raise RecipeError(
            f"{heldout}: its targets are of {there}, those of {data} of {train.targets_name}. "
            "Prepare both with the same teacher"
        )
    return train, FrameStore.open(heldout, train.targets_name)


def require_papers_store(recipe: PretrainRecipe, store: FrameStore) -> None:
    """Whether a store can be what the paper's recipe trains on; another teacher's targets are allowed, but said.

    Raises:
        RecipeError: its frames are others than the recipe's, or hold fewer points.
    """
    _require_targets(recipe, store)
    frames, found = recipe.frames, store.manifest
    wanted = {"source": f"scannet {frames.split}", "every": frames.every}
    differing = [f"{name} {found[name]} instead of {value}" for name, value in wanted.items() if found[name] != value]
    if found["points"] < frames.points:
        differing.append(f"{found['points']} points a frame where each cloud has {frames.points}")
    if differing:
        raise RecipeError(
            f"{store.path}: not what the recipe {recipe.name} trains on: {', '.join(differing)}. Prepare a store with "
            f"--split {frames.split} --every {frames.every} --points {frames.stored_points}"
        )
    if store.teacher["identity"] != recipe.teacher:
        warn(
            f"the targets in {store.path} are those of the teacher {store.teacher['identity']}, not of the "
            f"recipe's, {recipe.teacher}: the backbone will not be the paper's"
        )


def _warn_of_heldout(train: FrameStore, heldout: FrameStore | None) -> None:
    """Say it where what is measured along the way is not unseen."""
    shared = sorted({*train.scan_names} & {*heldout.scan_names}) if heldout else []
    if heldout is None:
        warn("no --heldout store: figures along the way are of frames trained on")
    elif shared:
        warn(
            f"{len(shared)} scans of {heldout.path} are also in {train.path} ({shared[0]}): "
            "what is measured on them is not held out"
        )


def _named(name: str) -> PretrainRecipe:
    recipes = pretraining_recipes()
    if name not in recipes:
        raise RecipeError(f"there is no recipe {name!r} (FILE.py:NAME is one of your own). {choose(name, recipes)}")
    return recipes[name]


def run_named_recipe(
    name: str,
    data: Path,
    heldout: Path | None,
    out: Path,
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    device: str,
    compile: bool,
    teacher: str | None = None,
    probes: ProbeSettings | None = None,
    estimate: bool = False,
    track: Sequence[str] = (),
) -> dict[str, Any] | None:
    """`pointdistill pretrain NAME`, alone or as one of the processes that torchrun started; `estimate`: only what it
    would take.

    Args:
        name: of a recipe, or FILE.py:NAME.

    Returns:
        The content of result.json with the folder, or what it would take; None where another process speaks.

    Raises:
        RecipeError: as `run_pretrain`; for the paper's recipe also a store of other frames.
        DataError: an error in the user's own file.
    """
    distributed.require_device(device)
    code = user_code(name, "pretrain")
    with distributed.processes(device) as own, code.telling("the recipe") if code else nullcontext():
        recipe = load_pretrain_recipe(code) if code else _named(name)
        if code is None and name.startswith(_PAPER):
            require_papers_store(recipe, FrameStore.open(data, teacher))
        _warn_of_heldout(*_stores(data, heldout, teacher))
        changes = {"epochs": epochs, "batch_size": batch_size}
        changes = {key: value for key, value in changes.items() if value is not None}
        precision = "bfloat16" if device.startswith("cuda") else recipe.engine.precision
        recipe = with_optimisation(recipe, **changes, seed=seed, compile=compile, precision=precision)
        if estimate:
            costs = print_cost(recipe, FrameStore.open(data, teacher), own)
            return {"stages": costs} if distributed.is_main() else None
        settings = {"recipe": name, "data": data, "heldout": heldout, **asdict(recipe.engine)}
        with (
            exclusive(out) if distributed.is_main() else nullcontext(),
            tracked(track if distributed.is_main() else (), out, settings),
            progress() as bars,
        ):
            task = bars.add_task(f"pre-training, recipe {recipe.name}", total=None, note="")
            result = run_pretrain(
                recipe,
                data,
                heldout,
                out,
                lambda done, total, note: bars.update(task, completed=done, total=total, note=note),
                device=own,
                teacher=teacher,
                probes=probes,
                code=code,
            )
        say(f"{out / 'backbone.safetensors'}: {summary(result)}")
        return {"out": out, **result} if distributed.is_main() else None

"""Fine-tuning a backbone on a downstream task: one loop for all tasks, random and pre-trained weights alike."""

import hashlib
import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from pointdistill import __version__, stopping
from pointdistill.batch import pinned
from pointdistill.engine.checkpoint import delete_checkpoints, require_finite_weights, resume, save_checkpoint
from pointdistill.engine.log import Report, RunLog, read_log
from pointdistill.engine.optim import adam, adamw, backward, cosine_with_warmup, set_learning_rate
from pointdistill.engine.watch import FiniteWatch
from pointdistill.errors import RecipeError, TrainingDiverged
from pointdistill.files import read_json, write_json
from pointdistill.losses import require_losses
from pointdistill.models.backbone import Backbone
from pointdistill.parallel import one_ahead
from pointdistill.seeding import torch_generator
from pointdistill.tasks.base import Figures, Sample, Splits, Task, TaskModel, fingerprint, to_device
from pointdistill.tasks.sampling import step_samples
from pointdistill.tasks.saved import save_task_model, task_settings

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class FinetuneConfig:
    """How a task is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: samples a step.
        lr: peak learning rate of the head.
        backbone_lr_scale: the backbone's learning rate as a factor of `lr`; 0 freezes its weights (not the running
            statistics of its BatchNorm).
        layer_decay: a further factor on the backbone's rate for each block from the end towards the tokeniser.
        weight_decay: none on biases, norms and tokens.
        warmup: steps of linear warm-up; a cosine to `floor` follows.
        floor: last learning rate as a share of the peak.
        head_warmup: first steps that train the head alone.
        clip: largest gradient norm; 0 for none.
        eval_every: steps between evaluations on the validation split (a point of the curve); 0 for none.
        checkpoint_every: steps between checkpoints to resume from; 0 for none.
        log_every: steps between rows of the log.
        optimiser: "adamw", or "adam" whose weight decay is part of the gradient.
        decay_all: decay biases, norms and tokens too (3DETR).
        warmup_start: first learning rate as a share of the peak; None begins at the warm-up's first step up from 0.
        cosine_from_start: the cosine runs over all of training and the warm-up replaces its beginning (3DETR).
    """

    steps: int = 1000
    batch_size: int = 32
    lr: float = 5e-4
    backbone_lr_scale: float = 1.0
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    warmup: int = 50
    floor: float = 0.0
    head_warmup: int = 0
    clip: float = 10.0
    eval_every: int = 0
    checkpoint_every: int = 0
    log_every: int = 10
    optimiser: Literal["adamw", "adam"] = "adamw"
    decay_all: bool = False
    warmup_start: float | None = None
    cosine_from_start: bool = False


def finetune(
    task: Task,
    backbone: Backbone,
    data: Splits,
    config: FinetuneConfig,
    seed: int,
    out: Path,
    *,
    report: Report = lambda done, total, note: None,
    device: str | torch.device = "cpu",
    card: dict[str, Any] | None = None,
    code: str | None = None,
) -> Figures:
    """Train `task` from `backbone`'s weights on `data.train`, and test it once, at the end, on `data.test`.

    Writes into `out`: log.jsonl (loss and its parts, and the validation figures at `eval_every`), model.safetensors
    and model.json (the last weights and where they come from), result.json. A run that is finished is read back, an
    interrupted one goes on from its last checkpoint with the same bits as an uninterrupted one; the run is the same
    if task, settings, seed, backbone weights and data are.

    Args:
        task: what to train; see `tasks`.
        backbone: starting weights, random or pre-trained; left as it is.
        data: labelled splits.
        config: how to train.
        seed: of the head's weights, the order, subsets, augmentation, dropout.
        out: the run's folder.
        report: called after every step; on another device than the CPU the loss it tells of is now and then renewed.
        device: where to train.
        card: what model.json shall say besides.
        code: hash of the user's own file that the task is from, if it is: another file is another run.

    Returns:
        What result.json holds: task, metric, value (the main figure on the test split), test, curve, best (the curve's
        highest point, the first of equals; None without a curve; where validation is the test split, chosen by the
        test), steps, seconds, seed, config, identity.

    Raises:
        TrainingDiverged: the loss, a gradient (with the step) or a weight is NaN or infinite; the last checkpoint is
            kept.
        RecipeError: `out` holds a run with other settings.
        Stopped: a signal asked for the end (`stopping.listening`); what was trained so far is saved.
        DataError: data that the task cannot use.
    """
    out = Path(out)
    identity = run_identity(task, backbone, data, config, seed, code)
    finished = _finished(out, identity)
    if finished is not None:
        report(config.steps, config.steps, "done before")
        return finished
    task.check(data)
    with torch.random.fork_rng(devices=[]):
        _seed_step(seed, -1)
        facts = task.facts(data)
        model = task.build(deepcopy(backbone), facts).to(device)
        build = adam if config.optimiser == "adam" else adamw
        optimizer = build(model, config.lr, config.weight_decay, _lr_scales(model, config), config.decay_all)
        foreign = "an unfinished fine-tuning with other settings, data or starting weights"
        resumed = resume(out / CHECKPOINT, model, optimizer, identity, foreign)
        start, due = int(resumed.get("step", 0)), json.loads(resumed.get("due", "null"))
        log = RunLog(out / "log.jsonl", start - (due is not None))  # who is still to be validated has no row
        started = time.monotonic() - float(resumed.get("seconds", 0))
        watch = FiniteWatch(device)
        watch.guard(optimizer)
        drawn = (
            step_samples(seed, step, config.batch_size, task.size(data.train)) for step in range(start, config.steps)
        )
        batches = one_ahead(partial(_ready, task, data.train, samples, seed, device) for samples in drawn)
        note = ""

        def validate(step: int, row: dict[str, float]) -> None:
            row["validation"] = task.evaluate(model, data.validation, seed, quick=True)[task.metric]
            log.write(step, **row)

        def save(step: int, due: dict[str, float] | None) -> None:
            """`due`: the row of a step that is still to be validated."""
            log.sync()
            progress = {"step": str(step), "seconds": f"{time.monotonic() - started:.3f}"}
            progress |= {} if due is None else {"due": json.dumps(due)}
            save_checkpoint(out / CHECKPOINT, model, optimizer, identity, **progress)

        if due is not None:
            validate(start, due)
        with stopping.deferred():
            for step, batch in enumerate(batches, start):
                _train_backbone(model, step >= config.head_warmup and config.backbone_lr_scale > 0)
                set_learning_rate(optimizer, learning_rate_factor(config, step))
                model.train()
                _seed_step(seed, step)
                losses = require_losses(task.loss(model, to_device(batch, device)), f"{type(task).__name__}.loss")
                watch.see(step, losses.total.detach(), backward(losses.total, model, config.clip or None))
                optimizer.step()
                done = step + 1
                last = done == config.steps
                logs = last or done % config.log_every == 0
                validates = config.eval_every > 0 and (last or done % config.eval_every == 0)
                saves = config.checkpoint_every > 0 and (last or done % config.checkpoint_every == 0)
                if logs or validates or saves or watch.due(done):
                    bad = watch.bad_step(done, must=True)
                    if bad is not None:
                        raise TrainingDiverged(_diverged(task, *bad, out))
                    row = {name: value.item() for name, value in losses.named().items()} if logs else {}
                    if logs and not validates:
                        log.write(done, **row)
                    leave = partial(save, done, row if validates else None)
                    stop = stopping.asked()
                    if saves or stop is not None:
                        leave()
                    if stop is not None:
                        raise stopping.Stopped(stop, f"saved at step {done}")
                    if validates:
                        stopping.interruptibly(
                            partial(validate, done, dict(row)), None if saves else leave, f"saved at step {done}"
                        )
                    note = f"loss {losses.total.item():.3f}"
                report(done, config.steps, note)
        require_finite_weights(model, out / CHECKPOINT)
        trained = time.monotonic() - started
        test = task.evaluate(model, data.test, seed)
    result = _result(out, identity, task, config, seed, test, trained)
    modules = {"backbone": model.backbone, "model": model}
    result["parameters"] = {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
    known = {key: result[key] for key in ("config", "seed", "steps", "identity")}
    known |= {"version": __version__, "data": fingerprint(data)}
    save_task_model(out, task, facts, model, {**known, **(card or {})})
    write_json(out / "result.json", result)
    delete_checkpoints(out / CHECKPOINT)
    return read_json(out / "result.json")


def learning_rate_factor(config: FinetuneConfig, step: int) -> float:
    """The learning rate of a step (from 0) as a share of the peak."""
    return cosine_with_warmup(
        step, config.steps, config.warmup, config.floor, config.warmup_start, config.cosine_from_start
    )


def run_identity(
    task: Task, backbone: Backbone, data: Splits, config: FinetuneConfig, seed: int, code: str | None = None
) -> str:
    """A hash of all that decides a run's result: task, settings, seed, starting weights and data."""
    weights = fingerprint([backbone.config, *backbone.state_dict().values()])
    settings = {"task": task_settings(task), "config": asdict(config), "seed": seed} | ({"code": code} if code else {})
    text = json.dumps([settings, weights, fingerprint(data)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ready(task: Task, split: Any, samples: list[Sample], seed: int, device: str | torch.device) -> Any:
    batch = task.batch(split, samples, seed)
    return pinned(batch) if torch.device(device).type == "cuda" else batch


def _seed_step(seed: int, step: int) -> None:
    """Head weights (step -1), dropout and stochastic depth come from the default generator, keyed by the step."""
    torch.manual_seed(torch_generator(seed, "finetune", step + 1).initial_seed())


def _lr_scales(model: TaskModel, config: FinetuneConfig) -> Callable[[str], float]:
    """The factor on each parameter's learning rate: `layer_decay` once for each block between it and the head."""
    depth = len(model.backbone.blocks)

    def scale(name: str) -> float:
        if not name.startswith("backbone."):
            return 1.0
        _, part, *rest = name.split(".")
        distance = {"norm": 0, "blocks": depth - int(rest[0]) if part == "blocks" else 0}.get(part, depth + 1)
        return (config.backbone_lr_scale or 1.0) * config.layer_decay**distance

    return scale


def _train_backbone(model: TaskModel, on: bool) -> None:
    """Without gradients AdamW leaves parameters, their moments and their decay alone."""
    model.backbone.requires_grad_(on)


def _finished(out: Path, identity: str) -> Figures | None:
    path = out / "result.json"
    if not path.exists():
        return None
    result = read_json(path)
    if result.get("identity") != identity:
        raise RecipeError(
            f"{out}: holds a fine-tuning with other settings, data or starting weights. "
            "Choose another folder or delete this one."
        )
    return result


def _diverged(task: Task, step: int, loss: float, norm: float, out: Path) -> str:
    kept = out / CHECKPOINT
    where = f"the last checkpoint is kept in {kept}" if kept.exists() else "there is no checkpoint yet"
    return (
        f"fine-tuning {task.name}, step {step + 1}: loss {loss}, gradient norm {norm}; {where}. "
        "Lower the learning rate or look for damaged samples."
    )


def _result(
    out: Path, identity: str, task: Task, config: FinetuneConfig, seed: int, test: Figures, seconds: float
) -> Figures:
    curve = [[row["step"], row["validation"]] for row in read_log(out / "log.jsonl") if "validation" in row]
    return {
        "task": task.name,
        "metric": task.metric,
        "value": test[task.metric],
        "test": test,
        "curve": curve,
        "best": _best(curve),
        "steps": config.steps,
        "seconds": round(seconds, 2),
        "seed": seed,
        "settings": task_settings(task),
        "config": asdict(config),
        "identity": identity,
    }


def _best(curve: list[list]) -> dict | None:
    known = [point for point in curve if point[1] is not None]
    step, value = max(known, key=lambda point: point[1], default=(None, None))
    return None if step is None else {"step": step, "value": value}

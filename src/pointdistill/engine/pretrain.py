"""The pre-training loop."""

import json
import math
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float

from pointdistill import distributed, stopping
from pointdistill.batch import FrameBatch
from pointdistill.engine.checkpoint import previous, resume, save_checkpoint, what_is_kept
from pointdistill.engine.log import Report, RunLog, read_log
from pointdistill.engine.optim import adamw, backward, cosine_with_warmup, set_learning_rate
from pointdistill.engine.watch import FiniteWatch
from pointdistill.errors import RecipeError, TrainingDiverged
from pointdistill.losses import Losses, require_losses
from pointdistill.methods.base import Batches, Draw, Method
from pointdistill.models.point_transformer import PointTransformer

CHECKPOINT = "state.safetensors"
PROBED = {
    "prefix_r2": "r2 of the prefix from frozen features",
    "svm_accuracy": "accuracy of an SVM on frozen features",
}
"""What a probe may measure, and how it is called in words."""


@dataclass(frozen=True)
class PretrainConfig:
    """Optimisation; the defaults are the paper's Table 8 where it says anything.

    Attributes:
        epochs: passes over the store.
        batch_size: global batch (the paper is silent; 128 is Point-MAE's).
        lr: base learning rate.
        weight_decay: AdamW's.
        warmup_epochs: linear warm-up.
        clip: largest gradient norm; None leaves gradients alone.
        precision: "float32", or "bfloat16" for mixed precision (GPUs).
        compile: run the method through torch.compile.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between held-out validations.
        seed: of initialisation, order, subsets, augmentation, stochastic depth.
    """

    epochs: int = 250
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 10
    clip: float | None = None
    precision: str = "float32"
    compile: bool = False
    checkpoint_every: int = 500
    validate_every: int = 500
    seed: int = 0


@runtime_checkable
class Probe(Protocol):
    """Asks the frozen backbone along the way, every so many steps and at the end, and leaves it as it is."""

    @property
    def every(self) -> int:
        """Steps between two askings."""
        ...

    def figures(self, backbone: PointTransformer) -> dict[str, float]:
        """Some of `PROBED`. Called on the main process alone, while the others wait: no collective operations."""
        ...


def pretrain(
    method: Method,
    train: Batches,
    validation: Batches,
    config: PretrainConfig,
    out: Path,
    identity: str,
    device: str = "cpu",
    report: Report = lambda done, total, note: None,
    kind: Literal["heldout", "seen"] = "heldout",
    probe: Probe | None = None,
) -> list[dict]:
    """Train a method, going on from the last checkpoint in `out` if there is one.

    Where torchrun started several processes (`distributed.processes`), each calls this with its share of every batch.
    The gradients are summed by hand after the backward pass: with frozen parameters, statistics that are global already
    (`models.batch_norm`) and a method that may be compiled, a wrapper around the module would only stand in the way.

    Args:
        method: a module; its backbone is what matters afterwards.
        train: training batches.
        validation: batches without augmentation for the figures along the way.
        config: optimisation settings.
        out: folder of `state.safetensors` (the last checkpoint) and `log.jsonl`.
        identity: hash of recipe and data; a checkpoint of another identity is refused.
        device: where to train.
        report: progress callback.
        kind: what the validation frames are: held out, or some of those trained on. The log's figures are called so.
        probe: what else is asked of the backbone; its time is in the log's `probe_seconds`, and part of `seconds`.

    Returns:
        The rows of the log.

    Raises:
        RecipeError: the folder holds a run of another recipe or other data.
        TrainingDiverged: NaN or infinite loss or gradient; the last good checkpoint stays.
        Stopped: a signal asked for the end (`stopping.listening`); what was trained so far is saved.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    module: torch.nn.Module = method.to(device)  # type: ignore[attr-defined]
    optimizer = adamw(module, config.lr, config.weight_decay)
    per_epoch = len(train)
    total, warmup = config.epochs * per_epoch, round(config.warmup_epochs * per_epoch)
    foreign = "a pre-training of another recipe, other data or another teacher"
    resumed = resume(out / CHECKPOINT, module, optimizer, identity, foreign)
    step, spent = int(resumed.get("step", 0)), float(resumed.get("seconds", 0))
    distributed.require_same_step(step, device)
    due = json.loads(resumed.get("due", "null"))
    # The main process writes and reports. A step whose figures are still to be taken has no row yet.
    log = RunLog(out / "log.jsonl", step - (due is not None)) if distributed.is_main() else None
    run = _compiled(module) if config.compile else module
    autocast = (
        torch.autocast(torch.device(device).type, torch.bfloat16) if config.precision == "bfloat16" else nullcontext()
    )
    watch = FiniteWatch(device)
    watch.guard(optimizer)
    began, begun_at, figures, probed = time.perf_counter(), step, {}, {}

    def validates() -> bool:
        return step == total or step % config.validate_every == 0

    def asks() -> bool:
        return probe is not None and (step == total or step % probe.every == 0)

    def measure(row: dict[str, float]) -> None:
        """Take the figures of the last step and write them down with its losses."""
        nonlocal figures, probed
        if validates():
            figures = _validate(method, module, validation, device, kind)
        if probe is not None and asks():
            probed = _probe(probe, method)
        passed = time.perf_counter() - began
        times = {"seconds": round(spent + passed, 2), "steps_per_second": round((step - begun_at) / passed, 2)}
        measured = figures | _collapse(figures, step, warmup) if validates() else {}
        measured |= probed if asks() else {}
        if log is not None:
            log.write(step, **row, **measured, **times)

    def save(due: dict[str, float] | None) -> None:
        """`due`: the losses of a step whose figures are still to be taken."""
        if log is not None:
            log.sync()
            progress = {"step": str(step), "seconds": f"{spent + time.perf_counter() - began:.2f}"}
            progress |= {} if due is None else {"due": json.dumps(due)}
            save_checkpoint(out / CHECKPOINT, module, optimizer, identity, **progress)

    if due is not None:
        measure(due)
    with stopping.deferred():
        while step < total:
            epoch = step // per_epoch
            for batch in train.epoch(epoch, start_step=step % per_epoch):
                module.train()
                set_learning_rate(optimizer, cosine_with_warmup(step, total, warmup))
                share = distributed.share(len(batch), device)
                draw = Draw(config.seed, epoch, batch.index.numpy(), step / total)
                losses, norm = gradients(module, run, batch.to(device), draw, share, config.clip, autocast)
                watch.see(step, losses.total, norm)
                optimizer.step()
                step += 1
                saves = step == total or step % config.checkpoint_every == 0
                measures = validates() or asks()
                if not (measures or saves or watch.due(step)):
                    continue
                _require_finite(watch.bad_step(step, must=True), out)
                due = {name: value.item() for name, value in losses.named().items()} if measures else None
                stop = distributed.agreed(stopping.asked(), device)
                if saves or stop is not None:
                    save(due)
                if stop is not None:
                    raise stopping.Stopped(stop, f"saved at step {step}")
                if due is not None:
                    if distributed.ranks() > 1:  # the others would wait for who leaves in the middle
                        measure(due)
                    else:
                        leave = None if saves else partial(save, due)
                        stopping.interruptibly(partial(measure, due), leave, f"saved at step {step}")
                if log is not None and (step % 10 == 0 or step == total):
                    report(step, total, _note(losses.total.item(), figures | probed | _collapse(figures, step, warmup)))
    if due is not None:  # of the last step, which is measured now
        save(None)
    if log is not None:
        previous(out / CHECKPOINT).unlink(missing_ok=True)
    distributed.wait_for_all()
    return read_log(out / "log.jsonl")


def _compiled(module: torch.nn.Module) -> torch.nn.Module:
    """Sampling on the CPU and keyed random numbers are numpy's: they stay as they are, the networks are compiled."""
    import torch._dynamo as dynamo

    dynamo.config.trace_numpy = False
    warnings.filterwarnings("ignore", message="Dynamo does not know how to trace the builtin `zlib.crc32")
    return torch.compile(module)  # type: ignore[return-value]


def gradients(
    module: torch.nn.Module,
    run: Callable[..., Losses],
    batch: FrameBatch,
    draw: Draw,
    share: float | Float[torch.Tensor, ""] = 1.0,
    clip: float | None = None,
    autocast: AbstractContextManager | None = None,
) -> tuple[Losses, Float[torch.Tensor, ""]]:
    """Losses of the whole batch and the norm of its gradients, which lie with the module's parameters afterwards.

    On another device than the CPU nothing here waits for it: all shapes are known beforehand, no number is read.

    Args:
        module: whose parameters.
        run: the module, or what was compiled of it.
        batch: on the module's device.
        draw: see `Draw`.
        share: of the batch, where several processes have one each (`distributed.share`).
        clip: largest gradient norm.
        autocast: in which the losses are computed.
    """
    with autocast or nullcontext():
        losses = require_losses(run(batch, draw), type(module).__name__)
    norm = backward(losses.total * share, module, clip)
    return losses.over_all(share), norm


def _require_finite(bad: tuple[int, float, float] | None, out: Path) -> None:
    if bad is not None:
        step, loss, norm = bad
        kept = what_is_kept(out / CHECKPOINT)
        raise TrainingDiverged(
            f"{out}: step {step + 1}: loss {loss:g}, gradient norm {norm:g}; {kept}. "
            "Lower the learning rate, or look for non-finite values in the data"
        )


def _validate(method: Method, module: torch.nn.Module, batches: Batches, device: str, kind: str) -> dict[str, float]:
    module.eval()
    figures = _require_figures(method.validate(batch.to(device) for batch in batches.epoch(0)), type(method).__name__)
    return {f"{kind}_{name}": value for name, value in _measured(figures).items()}


def _require_figures(found: Any, owner: str) -> dict[str, float]:
    """Raises RecipeError where a method's `validate` returned no figures."""
    if not isinstance(found, dict) or not all(isinstance(value, int | float) for value in found.values()):
        raise RecipeError(f"{owner}.validate returned {str(found)[:80]}. Return a dictionary of numbers (float)")
    return {str(name): float(value) for name, value in found.items()}


def _measured(figures: dict[str, float]) -> dict[str, float]:
    """Without those that are none (R^2 of targets that do not vary): the log's JSON has no word for them."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _probe(probe: Probe, method: Method) -> dict[str, float]:
    """The probe's figures, from the main process; the evaluation mode there needs nobody else."""
    began = time.perf_counter()
    assert method.backbone is not None  # a first stage without one is not probed
    figures = _measured(probe.figures(method.backbone)) if distributed.is_main() else {}
    distributed.wait_for_all()
    return {**figures, "probe_seconds": round(time.perf_counter() - began, 2)}


def figures_of(row: dict, kind: str) -> dict[str, float]:
    """A log row's figures of one kind of frames, "heldout" or "seen", by their bare names."""
    return {name.removeprefix(f"{kind}_"): value for name, value in row.items() if name.startswith(f"{kind}_")}


def probed_of(row: dict) -> dict[str, float]:
    """What a probe measured, of a log row."""
    return {name: row[name] for name in PROBED if name in row}


def is_figure(name: str) -> bool:
    """Whether a log row calls something so that was measured beside the loss: by the method or by a probe."""
    return name in PROBED or name.startswith(("heldout_", "seen_"))


def in_words(name: str) -> str:
    """A figure's name in a log row, for people: "held-out r2", or "r2 on frames trained on"."""
    if name in PROBED:
        return PROBED[name]
    kind, _, bare = name.partition("_")
    return f"held-out {bare}" if kind == "heldout" else f"{bare} on frames trained on"


def _collapse(figures: dict[str, float], step: int, warmup: int) -> dict[str, str]:
    spread = next((value for name, value in figures.items() if name.endswith("_spread")), 1.0)
    if step > 2 * warmup and spread < 0.01:
        return {"warning": "the prediction has collapsed to the mean of the targets"}
    return {}


def _note(loss: float, figures: dict[str, float | str]) -> str:
    shown = "".join(
        f", {in_words(name)} {value:.3f}"
        for name, value in figures.items()
        if is_figure(name) and isinstance(value, float) and not name.endswith("_spread")
    )
    warning = f", WARNING: {figures['warning']}" if "warning" in figures else ""
    return f"loss {loss:.4f}{shown}{warning}"

"""Before a table is run: how many runs it lacks, how long they will take here, how much disk they will fill.

A pre-training step is timed on made-up clouds of the recipe's size, on the device and the threads that a run will have.
What fine-tunings take is read off finished ones of the same kind; at the small scale, before there are any, off the
seconds that they took where the published small tables were made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pointdistill import manifest
from pointdistill.console import answer
from pointdistill.parallel import torch_threads, usable_cores
from pointdistill.pretraining_cost import made_up_method, step_seconds
from pointdistill.recipes.recipe import PretrainRecipe, first_stage
from pointdistill.reproduce.runs import Comparison, Downstream, Place, Pretraining, Run
from pointdistill.reproduce.stores import factory_of

_PAPER_TARGETS = {"no-captions": (1, 512), "local": (49, 512)}
_PAPER_FRAMES, _PAPER_SHAPES = 80_000, 41_952
"""What is reckoned with before the stores are there: four fifths of the paper's 100k pairs; ShapeNet-55's training
list."""
_SMALL_SECONDS = {
    "finetune": {"classification": 28, "semantic_segmentation": 52, "part_segmentation": 38, "detection": 78},
    "probe": {"classification": 4, "semantic_segmentation": 12, "part_segmentation": 12, "detection": 12},
    "vote": {"classification": 22},
}
"""Seconds of one core of an AMD EPYC, of the published small tables' runs; docs/reproduce.md."""
_SMALL_DATA_SECONDS, _SMALL_DATA_GIGABYTES = 200, 0.8


@dataclass(frozen=True)
class Estimate:
    """What is still to do.

    Attributes:
        runs: all of them.
        missing: those without a result.
        seconds: of one worker, without the kinds that are unknown.
        gigabytes: that finished runs will fill.
        unknown: kinds of runs that nothing is known of.
    """

    runs: int
    missing: int
    seconds: float
    gigabytes: float
    unknown: tuple[str, ...]


def estimate(place: Place, runs: Sequence[Run]) -> Estimate:
    """What the missing ones of some runs will take on one worker."""
    results = {run: place.result(run) for run in runs}
    missing = [run for run, result in results.items() if result is None]
    known = _finished_seconds(results)
    seconds, size, unknown = 0.0, 0.0, set()
    timed: dict[str, tuple[float, float]] = {}

    def time_once(run: Pretraining) -> tuple[float, float]:
        if _kind(run) not in timed:
            timed[_kind(run)] = _time(run, place)
        return timed[_kind(run)]

    for run in missing:
        kind = _kind(run)
        if isinstance(run, Pretraining | Comparison):
            # A comparison trains a decoder on each of three encoders.
            times, one = (3, run.reconstruction) if isinstance(run, Comparison) else (1, run)
            taken, left = time_once(one)
            seconds, size = seconds + known.get(kind, times * taken), size + times * left
            continue
        found = known.get(kind, _reference(run, place))
        if run.protocol == "finetune":
            size += 4 * sum(parameter.numel() for parameter in run.recipe.backbone.build().parameters())
        if found is None:
            unknown.add(kind)
        else:
            seconds += found
    return Estimate(len(runs), len(missing), seconds, size / 1e9, tuple(sorted(unknown)))


def print_estimate(name: str, place: Place, runs: Sequence[Run], workers: int | None) -> Estimate:
    """Say it."""
    found, slots = estimate(place, runs), workers or (usable_cores() if place.device == "cpu" else 1)
    pretrainings = sum(isinstance(run, Pretraining) for run in runs)
    if not runs:
        answer(f"{name} needs no runs")
        return found
    lines = [
        f"{name}, scale {place.scale.name}: {found.runs} runs, {pretrainings} of them pre-trainings; "
        f"{found.runs - found.missing} are done"
    ]
    seconds, size = found.seconds / slots, found.gigabytes
    world = place.scale.world
    if world is not None and found.missing and not (place.stores.root / "world").is_dir():
        seconds, size = seconds + _SMALL_DATA_SECONDS * 2 / slots, size + _SMALL_DATA_GIGABYTES
        lines.append(f"data: the embedded world will be written below {place.stores.root}")
    if found.missing:
        lines.append(
            f"time: about {_hours(seconds)} with {slots} at a time on {place.device}; disk: about {size:.1f} GB in "
            f"{place.out}"
        )
    if found.unknown:
        lines.append(f"not counted, since none has been run yet: {', '.join(found.unknown)}")
    for line in lines:
        answer(line)
    return found


def _kind(run: Run) -> str:
    if isinstance(run, Comparison):
        return "reconstruction losses"
    if isinstance(run, Pretraining):
        return f"pre-training {run.recipe.name}"
    return f"{run.protocol} {run.recipe.name}"


def _finished_seconds(results: Mapping[Run, dict[str, Any] | None]) -> dict[str, float]:
    """Mean seconds of finished runs of each kind."""
    found: dict[str, list[float]] = {}
    for run, result in results.items():
        if result is not None and "seconds" in result:
            found.setdefault(_kind(run), []).append(result["seconds"])
    return {kind: sum(seconds) / len(seconds) for kind, seconds in found.items()}


def _reference(run: Downstream, place: Place) -> float | None:
    if place.scale.name != "small":
        return None
    return _SMALL_SECONDS[run.protocol].get(run.recipe.task.name)


def _time(run: Pretraining, place: Place) -> tuple[float, float]:
    """Seconds of a whole pre-training from those of two steps of each stage, and bytes that it leaves."""
    before = first_stage(run.recipe)
    stages = [_time_stage(recipe, run, place) for recipe in (run.recipe, before) if recipe is not None]
    return sum(seconds for seconds, _ in stages), sum(size for _, size in stages)


def _time_stage(recipe: PretrainRecipe, run: Pretraining, place: Place) -> tuple[float, float]:
    device, shape = place.device, _target_shape(run, place)
    with torch_threads(1 if device == "cpu" else torch.get_num_threads()):
        per_step = step_seconds(recipe, shape, device)
    method = made_up_method(recipe, shape)
    size = 4.0 * sum(p.numel() for p in method.parameters())
    if isinstance(backbone := getattr(method, "backbone", None), torch.nn.Module):
        size += 4.0 * sum(p.numel() for p in backbone.parameters())  # written once more, by itself
    return per_step * recipe.engine.epochs * (_frames(run, place) // recipe.engine.batch_size), size


def _target_shape(run: Pretraining, place: Place) -> tuple[int, int]:
    teacher = place.scale.teacher_of(run.start)
    if teacher is None or place.scale.world is None:
        return _PAPER_TARGETS.get(run.start.partition("@")[0], (10, 768))
    return factory_of(teacher)().target_shape


def _frames(run: Pretraining, place: Place) -> int:
    folder, _ = place.stores.frames(place.scale.teacher_of(run.start))
    if manifest.is_there(folder):
        return manifest.read(folder)["frames"]
    shapes = place.scale.teacher_of(run.start) is None
    if place.scale.world is None:
        return _PAPER_SHAPES if shapes else _PAPER_FRAMES
    return place.scale.world.frames(shapes)


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

"""How cost grows with the work: frames, points a cloud, patches a cloud; four sizes each, and the exponent fitted."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.step import Step, with_mixed_projector
from pointdistill.bench.synthetic_store import synthetic_store
from pointdistill.bench.timing import in_turns
from pointdistill.parallel import torch_threads, usable_cores
from pointdistill.pretraining import train_loader
from pointdistill.recipes.paper import paper
from pointdistill.recipes.recipe import PretrainRecipe

MOST_EXPONENT = 1.1
"""1 is linear; what attention does with the square of the patches is within it at these sizes."""
_BATCH = 4
FRAMES, POINTS, PATCHES = (128, 256, 512, 1024), (1024, 2048, 4096, 8192), (32, 64, 128, 256)


def figures(rounds: int = 5) -> list[Figure]:
    """Measure each at four sizes, in turns.

    Args:
        rounds: turns of which medians are taken.
    """
    with torch_threads(usable_cores()), tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder:
        store = synthetic_store(Path(folder), max(FRAMES))
        recipe = with_mixed_projector(paper())
        loader = train_loader(replace(recipe, engine=replace(recipe.engine, batch_size=_BATCH)), store)
        feeding = {count: lambda count=count: loader.batch(np.arange(count), 0) for count in FRAMES}
        points = {count: Step(_of(points=count), "cpu", batch=_BATCH) for count in POINTS}
        patches = {count: Step(_of(patches=count), "cpu", batch=_BATCH) for count in PATCHES}
        return [
            _figure("drawing clouds of 4,096 points, by frames", feeding, rounds),
            _figure(f"a distillation step of {_BATCH} clouds, by points a cloud, 64 patches", points, rounds),
            _figure(f"a distillation step of {_BATCH} clouds, by patches of 32 of 8,192 points", patches, rounds),
        ]


def _of(points: int = 8192, patches: int = 64) -> PretrainRecipe:
    recipe = with_mixed_projector(paper())
    frames, backbone = replace(recipe.frames, points=points), replace(recipe.backbone, groups=patches)
    return replace(recipe, frames=frames, backbone=backbone)


def _figure(what: str, work: Mapping[int, Callable[[], object]], rounds: int) -> Figure:
    seconds = in_turns({str(size): call for size, call in work.items()}, rounds)
    taken = {f"{int(size):,}": 1e3 * each.elapsed for size, each in seconds.items()}
    exponent = fitted_exponent(list(work), list(taken.values()))
    times = ", ".join(f"{size}: {each:.3g} ms" for size, each in taken.items())
    limit = Limit(f"exponent {MOST_EXPONENT} or less", exponent <= MOST_EXPONENT)
    return Figure(what, exponent, "", limit=limit, note=times)


def fitted_exponent(sizes: list[int], seconds: list[float]) -> float:
    """b of seconds = a x size^b, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])

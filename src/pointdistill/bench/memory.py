"""Does the memory that pre-training owns grow with the frames of its store?"""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pointdistill import manifest, targets
from pointdistill.batch import FrameBatch
from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.processes import run
from pointdistill.bench.synthetic_store import synthetic_store
from pointdistill.files import write_header
from pointdistill.methods.base import Batches
from pointdistill.recipes.quickstart import distillation
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.store import FrameStore
from pointdistill.store_writer import describe

MOST_GROWTH = 0.05
"""Of the memory owned with a hundred times as many frames."""
_FRAMES, _TIMES, _POINTS, _PREFIX, _STEPS = 1024, 100, 256, (2, 8), 30
_RUNS = 3
_OWNED = """
import sys
from pointdistill.memory import keep_large_blocks
keep_large_blocks()
from pathlib import Path
import torch
from pointdistill.bench.memory import FirstSteps, small_recipe
from pointdistill.bench.processes import anonymous_memory
from pointdistill.engine.pretrain import pretrain
from pointdistill.pretraining import build_method, train_loader, validation_loader
from pointdistill.store import FrameStore
torch.set_num_threads(1)
store, recipe = FrameStore.open(Path(sys.argv[1])), small_recipe()
loader = train_loader(recipe, store)
validation = validation_loader(recipe, store, 64)
pretrain(build_method(recipe, store), FirstSteps(loader), validation, recipe.engine, Path(sys.argv[2]), "bench")
print(anonymous_memory())
"""


class FirstSteps:
    """An epoch's first steps."""

    def __init__(self, loader: Batches, steps: int = _STEPS):
        self.loader, self.steps = loader, min(steps, len(loader))

    def __len__(self) -> int:
        return self.steps

    def epoch(self, number: int, start_step: int = 0) -> Iterator[FrameBatch]:
        return itertools.islice(self.loader.epoch(number, start_step), self.steps - start_step)


def small_recipe() -> PretrainRecipe:
    """The quickstart's distillation of clouds of 128 points, one epoch."""
    recipe = distillation()
    engine = replace(recipe.engine, epochs=1, batch_size=32)
    return replace(recipe, frames=replace(recipe.frames, points=128, frame="camera", augmentation=None), engine=engine)


def figures() -> list[Figure]:
    """Measure 30 steps on stores of 1,024 and of 102,400 frames, medians of runs in turn."""
    with tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder:
        few = synthetic_store(Path(folder) / "few", _FRAMES, points=_POINTS, prefix=_PREFIX)
        many = repeated(few, Path(folder) / "many", _TIMES)
        owned: dict[int, list[float]] = {len(few): [], len(many): []}
        for number, store in itertools.product(range(_RUNS), (few, many)):
            out = Path(folder) / f"run{len(store)}-{number}"
            owned[len(store)].append(float(run(["-c", _OWNED, str(store.path), str(out)]).split()[-1]) / 1e6)
    (less, before), (more, after) = ((frames, float(np.median(each))) for frames, each in owned.items())
    limit = Limit(f"{1 + MOST_GROWTH:g} times that with {less:,} or less", after <= (1 + MOST_GROWTH) * before)
    what = f"memory owned while pre-training on {more:,} frames"
    return [Figure(what, after, "MB", {f"on {less:,}": before}, limit, "without pages of files, which are reclaimed")]


def repeated(store: FrameStore, out: Path, times: int) -> FrameStore:
    """A store that holds all frames of another one so many times."""
    out.mkdir(parents=True)
    content = dict(store.manifest)
    content["frames"] *= times
    content["files"] = {name: _repeat(store.path / name, out / name, times) for name in content["files"]}
    manifest.write(out, content)
    folder = targets.finished(store.path)[0].relative_to(store.path)
    (out / folder).mkdir(parents=True)
    of_targets = dict(store.targets_manifest)
    of_targets["frames"] = manifest.file_sha256(out / manifest.NAME)
    names = of_targets["files"]
    of_targets["files"] = {name: _repeat(store.path / folder / name, out / folder / name, times) for name in names}
    manifest.write(out / folder, of_targets)
    return FrameStore.open(out)


def _repeat(source: Path, target: Path, times: int) -> dict:
    array = np.load(source, mmap_mode="r", allow_pickle=False)
    with target.open("wb") as file:
        write_header(file, str(array.dtype), (len(array) * times, *array.shape[1:]))
        for _ in range(times):
            file.write(array.tobytes())
    return describe(target)

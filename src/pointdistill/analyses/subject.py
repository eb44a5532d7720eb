"""The finished pre-training that is analysed, and the scratch backbone beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from pointdistill.batch import FrameBatch
from pointdistill.distilled import load_distilled, read_finished
from pointdistill.finetuning import SCRATCH, starting_backbone
from pointdistill.loader import FrameLoader
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.pretraining import validation_loader
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.store import FrameStore


@dataclass(frozen=True)
class Subject:
    """A pre-training, read back.

    Attributes:
        init: "distilled" or "permuted" for a distillation; else its method's name, as recipes have it.
        recipe: what it was trained by.
        run: the content of its run.json.
        backbone: its backbone, in evaluation mode.
        method: all of it, where it predicts a teacher's targets; else None.
        scratch: a backbone of the same sizes with random weights, drawn by the run's own seed.
    """

    init: str
    recipe: PretrainRecipe
    run: dict
    backbone: PointTransformer
    method: Distill | None
    scratch: PointTransformer

    @classmethod
    def read(cls, folder: str | Path) -> "Subject":
        """Read a finished pre-training.

        Raises:
            CheckpointError: no such run, an unfinished or a damaged one.
        """
        folder = Path(folder)
        recipe, run = read_finished(folder)
        predicts = isinstance(recipe.method, DistillConfig | DistillReconstructionConfig)
        method = load_distilled(folder).method if predicts else None
        backbone = load_backbone(folder) if method is None else method.backbone
        scratch = starting_backbone(recipe.backbone, None, recipe.engine.seed)
        assert isinstance(scratch, PointTransformer)
        return cls(_init(recipe, run, predicts), recipe, run, backbone.eval(), method, scratch.eval())

    @property
    def backbones(self) -> dict[str, PointTransformer]:
        """By where their weights come from."""
        return {self.init: self.backbone, SCRATCH: self.scratch}

    def loader(self, store: FrameStore, most: int) -> FrameLoader:
        """Frames as validation sees them, evenly over the store, at most so many."""
        return validation_loader(self.recipe, store, most)


def _init(recipe: PretrainRecipe, run: dict, predicts: bool) -> str:
    if predicts:
        return "permuted" if run["data"]["targets_permuted"] else "distilled"
    return recipe.name.removeprefix("quickstart-").removeprefix("paper-").replace("-", "_")


def batches(loader: FrameLoader) -> Iterator[FrameBatch]:
    """The loader's frames in the order of its `indices`, which an epoch would shuffle."""
    for first in range(0, len(loader.indices), loader.batch_size):
        yield loader.batch(loader.indices[first : first + loader.batch_size], 0)


@torch.inference_mode()
def pooled_frames(backbone: PointTransformer, loader: FrameLoader) -> Float[np.ndarray, "frames features"]:
    """concat(mean, max) of a frozen backbone's tokens of each of `batches`."""
    pooled = []
    for batch in batches(loader):
        tokens = backbone(batch.points).tokens
        pooled.append(torch.cat([tokens.mean(1), tokens.max(1).values], dim=-1))
    return torch.cat(pooled).numpy()


def targets_of(loader: FrameLoader) -> Float[np.ndarray, "frames prefix prefix_width"]:
    """The teacher's targets of the same frames, in the same order."""
    return loader.store.targets[loader.indices].astype(np.float32)


def titles(store: FrameStore, rows: list[int]) -> list[str]:
    """What frames are called on the page."""
    return [f"{store.scan_of(row)}, frame {int(store.frames[row])}" for row in rows]

"""Whether distillation alone lowers the reconstruction loss of a decoder that is never trained (Table 7's last row).

`python benchmarks/random_decoders.py quickstart/store/heldout quickstart/pretrain/distilled-seed0` prints a line for
each random decoder and place of the mask: the loss of the random encoder, of the distilled one, and of a decoder that
puts every point at its patch's centre, times a thousand. Then random ones at the paper's sizes on eight frames.
"""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import tyro

from pointdistill.distilled import read_finished
from pointdistill.methods.point_mae import PointMAE, PointMAEConfig
from pointdistill.models.checkpoints import load_backbone_weights
from pointdistill.pretraining import validation_loader
from pointdistill.recipes.paper import paper
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.recipes.reconstruction import MaskAt, reconstruction
from pointdistill.reconstruction import at_centres, fresh, measure
from pointdistill.store import FrameStore


def main(store: tyro.conf.Positional[Path], run: tyro.conf.Positional[Path], decoders: int = 5, frames: int = 64):
    """Measure random decoders.

    Args:
        store: frames to measure on.
        run: a finished distillation.
        decoders: how many random starts.
        frames: measure on so many, evenly over the store.
    """
    there, (recipe, _) = FrameStore.open(store), read_finished(run)
    for mask_at in get_args(MaskAt):
        for seed in range(decoders):
            masked = reconstruction(recipe, mask_at)
            print(f"mask at the {mask_at}, {_line(masked, seed, there, frames, run)}", flush=True)
    for seed in range(3):
        masked = replace(reconstruction(paper()), frames=replace(recipe.frames, points=paper().frames.points))
        print(f"the paper's sizes, {_line(masked, seed, there, 8)}", flush=True)


def _line(recipe: PretrainRecipe, seed: int, store: FrameStore, frames: int, run: Path | None = None) -> str:
    recipe = replace(recipe, engine=replace(recipe.engine, seed=seed))
    assert isinstance(recipe.method, PointMAEConfig)
    clouds, method = validation_loader(recipe, store, frames), fresh(PointMAE, recipe.method, recipe)
    random, distilled = 1000 * measure(method, clouds), ""
    if run is not None:
        load_backbone_weights(method.backbone, run)
        loss = 1000 * measure(method, clouds)
        distilled = f", distilled {loss:.1f} ({loss / random - 1:+.1%})"
    centres = 1000 * measure(at_centres(method), clouds)
    return f"decoder {seed}: random {random:.1f}{distilled}, at the centres {centres:.2f}"


if __name__ == "__main__":
    tyro.cli(main)

"""Table 7: how well hidden patches are reconstructed after learning nothing, reconstruction, or distillation.

The paper's column keeps to its words: a decoder learned together with the encoder where reconstruction was trained, and
is at its random start where not. What a random decoder makes of features says little of them; a second column, ours,
trains a new decoder on each encoder as it is.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from pointdistill.distilled import METHOD, fill_method, read_finished
from pointdistill.engine.log import Report
from pointdistill.engine.pretrain import pretrain
from pointdistill.errors import RecipeError
from pointdistill.files import write_json
from pointdistill.loader import FrameLoader
from pointdistill.methods.point_mae import FrozenEncoderMAE, PointMAE, PointMAEConfig
from pointdistill.models.checkpoints import FILE_NAME, load_backbone_weights
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.pretraining import train_loader, validation_loader
from pointdistill.recipes.recipe import PretrainRecipe, as_json, recipe_hash
from pointdistill.store import FrameStore
from pointdistill.tensors import load_tensors

PUBLISHED = {"nothing": 1.10, "reconstruction": 3.95e-4, "distillation": 5.63e-3}
"""Table 7 as printed, after 250 epochs; its units and the decoder's scale are not said."""


@dataclass(frozen=True)
class ReconstructionLoss:
    """A row of Table 7: mean l2 Chamfer distances of hidden patches, in squared radii of the cloud.

    Attributes:
        chamfer: the paper's column.
        new_decoder: our column: by a decoder then trained on the frozen encoder.
    """

    chamfer: float
    new_decoder: float

    def as_json(self) -> dict[str, float]:
        """Both, raw and times a thousand."""
        raw = asdict(self)
        return raw | {f"{name}_x1000": 1000 * value for name, value in raw.items()}


def table_7(
    data: Path,
    reconstruction: Path,
    distillation: Path,
    out: Path,
    frames: int = 512,
    device: str = "cpu",
    report: Report = lambda done, total, note: None,
    teacher: str | None = None,
) -> dict[str, ReconstructionLoss]:
    """Measure the three rows on frames of the training store, going on from what lies in `out`.

    Everything is measured in evaluation mode, without augmentation, with the same masks and the same random decoder
    for all rows. (In that mode the normalisations of an encoder that never trained do nothing.) New decoders are
    trained as the reconstruction was: its frames, steps and optimisation.

    Args:
        data: store of the frames that both were trained on.
        reconstruction: folder of a finished pre-training by reconstruction; mask and decoder are its recipe's.
        distillation: folder of a finished distillation of the same backbone.
        out: folder of table7.json, which also says what points at their patches' centres would score (`at_centres`),
            and of a folder a row for its new decoder.
        frames: measure on so many frames, evenly over the store.
        device: where to train.
        report: progress callback.
        teacher: whose targets to open the store with, where it holds those of several; none is used.

    Returns:
        The rows "nothing", "reconstruction" and "distillation".

    Raises:
        RecipeError: the first folder is no reconstruction, or the two have other backbones or clouds; or `out` holds
            another table's decoders.
        CheckpointError: a folder holds no finished pre-training.
    """
    (recipe, run), (other, other_run) = read_finished(reconstruction), read_finished(distillation)
    masking = recipe.method
    if not isinstance(masking, PointMAEConfig):
        raise RecipeError(f"{reconstruction}: its method ({recipe.name}) is no reconstruction. Give one's folder")
    if (recipe.backbone, recipe.frames) != (other.backbone, other.frames):
        raise RecipeError(f"{distillation}: its backbone or its clouds are others than those of {reconstruction}")
    store = FrameStore.open(data, teacher)
    measured = validation_loader(recipe, store, frames)
    nothing, rebuilt, distilled = (fresh(PointMAE, masking, recipe) for _ in range(3))
    fill_method(rebuilt, load_tensors(Path(reconstruction) / METHOD)[0], Path(reconstruction) / METHOD)
    load_backbone_weights(distilled.backbone, Path(distillation) / FILE_NAME)
    table = {}
    for name, method, weights in (
        ("nothing", nothing, "random"),
        ("reconstruction", rebuilt, run["identity"]),
        ("distillation", distilled, other_run["identity"]),
    ):
        chamfer = measure(method, measured, device)
        decoder = fresh(FrozenEncoderMAE, masking, recipe)
        decoder.backbone.load_state_dict(method.backbone.state_dict())
        identity = recipe_hash(recipe, {"data": store.manifest_hash, "frozen": weights})
        loader, folder = train_loader(recipe, store, device), Path(out) / name
        pretrain(decoder, loader, measured, recipe.engine, folder, identity, device, report, "seen")
        table[name] = ReconstructionLoss(chamfer, measure(decoder, measured, device))
    rows = {name: row.as_json() for name, row in table.items()}
    facts = {"frames": len(measured.indices), "mask_at": masking.mask_at, "recipe": as_json(recipe)}
    facts["at_centres"] = measure(at_centres(nothing), measured, device)
    write_json(Path(out) / "table7.json", {"rows": rows, "verdict": verdict(table), **facts})
    return table


def verdict(table: dict[str, ReconstructionLoss]) -> str:
    """Whether the distilled encoder lowers the loss of a random decoder as printed, by half at least (the paper's falls
    to a 195th); and what a new decoder says."""
    ours, printed = _change(table, lambda row: row.chamfer), PUBLISHED["distillation"] / PUBLISHED["nothing"] - 1
    new = _change(table, lambda row: row.new_decoder)
    falls = "falls as printed" if ours <= -0.5 else "does not fall as printed"
    return (
        f"with its decoder never trained, only distillation's loss {falls}: {ours:+.1%} against no training (the paper "
        f"prints {printed:+.1%}); with a decoder trained on each frozen encoder: {new:+.1%}"
    )


def _change(table: dict[str, ReconstructionLoss], column: Callable[[ReconstructionLoss], float]) -> float:
    return column(table["distillation"]) / column(table["nothing"]) - 1


def fresh(kind: type[PointMAE], masking: PointMAEConfig, recipe: PretrainRecipe) -> PointMAE:
    """Encoder and decoder as a reconstruction by this recipe begins with them."""
    torch.manual_seed(recipe.engine.seed)
    return kind(masking, PointTransformer(recipe.backbone))


def at_centres(method: PointMAE) -> PointMAE:
    """With a decoder that puts every point at its patch's centre, whatever it reads."""
    for parameter in method.decoder.head.parameters():
        nn.init.zeros_(parameter)
    return method


def measure(method: PointMAE, frames: FrameLoader, device: str = "cpu") -> float:
    """Mean l2 Chamfer distance of the frames' hidden patches, in evaluation mode."""
    method.to(device).eval()
    return method.validate(batch.to(device) for batch in frames.epoch(0))["chamfer"]

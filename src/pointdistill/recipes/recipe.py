"""What a pre-training recipe is made of."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

from pointdistill.augment import Augmentation
from pointdistill.engine.pretrain import PretrainConfig
from pointdistill.methods.cross_point import CrossPointConfig
from pointdistill.methods.depth_contrast import DepthContrastConfig
from pointdistill.methods.distill import DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig
from pointdistill.methods.local_alignment import LocalAlignmentConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.typed_json import read_typed

AnyMethod = (
    DistillConfig
    | PointMAEConfig
    | DistillReconstructionConfig
    | LocalAlignmentConfig
    | CrossPointConfig
    | DepthContrastConfig
)
"""The methods that a recipe can be read back with."""


@dataclass(frozen=True)
class FrameRecipe:
    """Which frames are prepared and how a cloud is drawn from one.

    Attributes:
        dataset: name of the data set, for records.
        split: split list to take scans from.
        every: every n-th frame of a scan.
        stored_points: points kept a frame in the store.
        points: points drawn afresh each epoch.
        frame: "camera" as the paper has it, or "gravity" (turned by the pose, z up, as downstream data are).
        augmentation: of the drawn cloud.
    """

    dataset: str = "ScanNetV2"
    split: str = "train"
    every: int = 25
    stored_points: int = 16384
    points: int = 4096
    frame: Literal["camera", "gravity"] = "camera"
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class PretrainRecipe:
    """One pre-training, from frames to backbone."""

    name: str
    teacher: str
    backbone: BackboneConfig
    method: AnyMethod
    frames: FrameRecipe
    engine: PretrainConfig


def as_json(recipe: object) -> dict:
    """A recipe (any frozen dataclass) as plain JSON values, its class named."""
    return {"recipe": type(recipe).__name__, **json.loads(json.dumps(dataclasses.asdict(recipe)))}  # type: ignore[call-overload]


def read_pretrain_recipe(content: dict) -> PretrainRecipe:
    """The pre-training recipe that `as_json` wrote down.

    Raises:
        TypeError: it is none of this version's.
    """
    return read_typed(PretrainRecipe, {name: value for name, value in content.items() if name != "recipe"})


def recipe_hash(*parts: object) -> str:
    """Twelve hexadecimal digits that change when any setting does. Dataclasses, dicts, strings and numbers."""
    plain = [as_json(part) if dataclasses.is_dataclass(part) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]

"""Object detection in rooms (paper section 4.2.1, Appendix A.2): 3DETR on ScanNetV2's axis-aligned boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pointdistill.datasets.scannet import DETECTION_CLASSES, Scene
from pointdistill.geometry import farthest_point_sample
from pointdistill.metrics.ap3d import Detections, evaluate_detections
from pointdistill.metrics.probe import linear_probe
from pointdistill.models.detr3d import DETR3D, DecoderConfig, encode_metric
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Figures, Losses, Sample, Splits, TaskModel, device_of
from pointdistill.tasks.checks import check_scenes
from pointdistill.tasks.sampling import choose, rotation_z
from pointdistill.tasks.set_loss import SetLossConfig, set_loss

Scenes = Sequence[Scene]


@dataclass(frozen=True)
class RoomBatch:
    """Rooms and their boxes.

    Attributes:
        points: metres, axis-aligned scene frame, z up.
        boxes: centre and size, metres; a scene's true boxes first, then zeros.
        classes: class index of each box, -1 for padding.
    """

    points: Float[Tensor, "batch points 3"]
    boxes: Float[Tensor, "batch boxes 6"]
    classes: Int[Tensor, "batch boxes"]

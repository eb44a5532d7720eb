"""Networks that saw shapes with another axis up, made to take clouds with z up, as all data sets here are read."""

from typing import get_args

import torch
from torch import Tensor, nn

from pointdistill.datasets.axes import Axis, to_z_up
from pointdistill.errors import PointdistillError
from pointdistill.models.decoder import PointDecoder
from pointdistill.models.heads import PartSegmentationHead
from pointdistill.models.patch_embed import PatchEmbed, PositionEmbed


@torch.no_grad()
def take_z_up(module: nn.Module, up: Axis, back: bool = False) -> None:
    """Exchange columns of all weights that multiply coordinates, in place: from then on, a cloud turned to have z up
    gives what the cloud itself gave before. Exact: quarter turns exchange axes and signs.

    Args:
        module: a backbone, or a module with one.
        up: the axis that pointed up in the clouds that the module saw.
        back: the other way: the module takes clouds with z up, and is to take those with `up` up.

    Raises:
        PointdistillError: no such axis.
    """
    if up not in get_args(Axis):
        raise PointdistillError(f"no axis is called {up!r}: choose one of {', '.join(get_args(Axis))}")
    matrix = torch.from_numpy(to_z_up(up)[:3, :3].copy())
    matrix = matrix.T if back else matrix
    for part in module.modules():
        if isinstance(part, PatchEmbed):
            _turn_columns(part.local1.weight, matrix)
        elif isinstance(part, PositionEmbed):
            _turn_columns(part.layers[0].get_parameter("weight"), matrix)
        elif isinstance(part, PartSegmentationHead):
            _turn_columns(part.enter.weight, matrix)
        elif isinstance(part, PointDecoder):  # its outputs are coordinates
            part.head.weight.copy_((matrix.to(part.head.weight) @ part.head.weight.unflatten(0, (-1, 3))).flatten(0, 1))
            part.head.bias.copy_((part.head.bias.unflatten(0, (-1, 3)) @ matrix.T.to(part.head.bias)).flatten())


def _turn_columns(weight: Tensor, matrix: Tensor) -> None:
    """W p = (W M^T) (M p), for the first three columns."""
    weight[:, :3] = weight[:, :3] @ matrix.T.to(weight)

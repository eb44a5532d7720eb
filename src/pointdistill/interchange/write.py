"""Our modules under the names of a peer's code."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from pointdistill.datasets.axes import Axis
from pointdistill.errors import PointdistillError
from pointdistill.interchange.names import backbone_layout, decoder_layout
from pointdistill.interchange.turn import take_z_up
from pointdistill.methods.point_mae import PointMAE
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer

_PREFIX = "MAE_encoder."
_HIDDEN = 128


def to_peer(name: str, module: nn.Module, up: Axis | None = None) -> dict[str, Tensor]:
    """A backbone as Point-MAE's pre-training names it, which is what its fine-tuning code (and that of most who built
    on it) loads: `torch.save({"base_model": to_peer("point-mae", backbone)}, FILE)`.

    Args:
        name: point-mae, the only one.
        module: a `PointTransformer`, or a `PointMAE` with its decoder.
        up: the axis that points up in the clouds that the peer's code will show it (ModelNet40's, ShapeNet's: y), where
            the module knows clouds with z up. None writes it as it is.

    Raises:
        PointdistillError: no such peer; a module that Point-MAE's code has no place for.
    """
    if name != "point-mae":
        raise PointdistillError(f"nothing is written in the names of {name!r}: choose point-mae")
    if isinstance(module, PointMAE):
        layout = backbone_layout(module.backbone.config).below("backbone.", _PREFIX)
        layout |= decoder_layout(len(module.decoder.blocks)).below("decoder.")
        config = module.backbone.config
    elif isinstance(module, PointTransformer):
        layout, config = backbone_layout(module.config).below("", _PREFIX), module.config
    else:
        raise PointdistillError(f"a {type(module).__name__} cannot be written: give a backbone")
    _require_place(config)
    if up is not None:
        module = deepcopy(module)
        take_z_up(module, up, back=True)
    tensors = module.state_dict()
    shapes = layout.shapes(tensors)
    # Copies of their own: torch.save writes a view's whole storage.
    return {
        layout.theirs(key): value.detach()
        .cpu()
        .reshape(shapes[layout.theirs(key)])
        .clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }


def _require_place(config: BackboneConfig) -> None:
    """That Point-MAE's code can build such a network."""
    hidden = config.patch_hidden or config.width // 3
    if hidden != _HIDDEN:
        raise PointdistillError(
            f"Point-MAE's code has a mini-PointNet of {_HIDDEN}, {2 * _HIDDEN}, {4 * _HIDDEN} channels at every width, "
            f"this backbone one of {hidden}, {2 * hidden}, {4 * hidden}. Pre-train width 384, or another with "
            f"patch_hidden={_HIDDEN}"
        )
    if config.patch_pooled or config.normed_residual:
        what = "adds to its normalised inputs" if config.normed_residual else "widens its tokens after pooling"
        raise PointdistillError(f"this backbone {what}, which Point-MAE's code does not. Give one that does neither")

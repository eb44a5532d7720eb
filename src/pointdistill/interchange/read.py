"""A peer's state dict -> our module with the same outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointdistill.datasets.axes import Axis
from pointdistill.datasets.scannet import DETECTION_CLASSES
from pointdistill.errors import CheckpointError, PointdistillError
from pointdistill.interchange.detr3d import classes_of, detector
from pointdistill.interchange.kinds import Kind, halves_of_convs1, is_classifier, kind_of
from pointdistill.interchange.peers import PEERS, Peer, left_out
from pointdistill.interchange.turn import take_z_up
from pointdistill.io.pth import require_tensors
from pointdistill.models.detr3d_encoder import SceneTransformer
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.tasks.base import Facts
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.part_segmentation import PartSegmentation

_HEAD_WIDTH = 64
_NETWORKS = ("base_model", "model", "model_state_dict", "state_dict")
_REMEDY = "Name the project whose code wrote it; docs/interchange.md says what of each is read"


@dataclass(frozen=True)
class Imported:
    """A peer's checkpoint in our form.

    Attributes:
        peer: the name it was read under.
        module: in evaluation mode: a `PointTransformer`; a `PointMAE` where the file has its decoder; a
            `ClassificationModel` or `PartSegmentationModel` of a fine-tuned one; a `DetectionModel` of 3DETR's.
        task: settings that belong to a fine-tuned module.
        facts: what its task's model takes from data.
        loaded: the peer's names of the tensors that are in it.
        left_out: names of the others, and what they are.
    """

    peer: str
    module: nn.Module
    task: Classification | PartSegmentation | Detection | None
    facts: Facts | None
    loaded: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def backbone(self) -> PointTransformer | SceneTransformer:
        """The module itself, or the backbone in it."""
        found = self.module if isinstance(self.module, PointTransformer) else self.module.backbone
        assert isinstance(found, PointTransformer | SceneTransformer)
        return found


def from_peer(
    name: str,
    state_dict: Mapping[str, Any],
    groups: int | None = None,
    heads: int | None = None,
    quirks: bool = False,
    up: Axis | None = None,
) -> nn.Module:
    """The module of a peer's checkpoint; see `read_peer`."""
    return read_peer(name, state_dict, groups, heads, quirks, up).module


def read_peer(
    name: str,
    content: Any,
    groups: int | None = None,
    heads: int | None = None,
    quirks: bool = False,
    up: Axis | None = None,
    source: str | Path = "state dict",
) -> Imported:
    """A peer's checkpoint as one of our modules, whose outputs equal those of the peer's code to float32 rounding.

    What the tensors do not tell is taken as published: heads of 64, patches of 32 points, 64 patches a cloud (128 in
    part segmenters and in classifiers of 15 classes, which are ScanObjectNN's).

    Args:
        name: one of `interchange.peers.PEERS`.
        content: what `io.pth.read_checkpoint` found in the file, or the state dict itself.
        groups: patches a cloud, where the file is not of the published number.
        heads: attention heads, likewise.
        quirks: choose patches as the peer's kernels do, index by index, where they are not exact sampling and search
            (docs/interchange.md). Off, patches are those of every backbone here.
        up: the axis that points up in the clouds that the peer's network saw (ModelNet40's, ShapeNet's: y), where the
            module is to take clouds with z up, as data sets are read here. None takes clouds as the peer does.
        source: the file, for errors.

    Raises:
        PointdistillError: no such peer.
        CheckpointError: tensors are missing, left over, or of other shapes. Nothing is dropped but what
            docs/interchange.md names.
    """
    if name not in PEERS:
        raise PointdistillError(f"no peer is called {name!r}: choose one of {', '.join(PEERS)}")
    peer, tensors, omitted = PEERS[name], _tensors(content, source), {}
    try:
        if name == "3detr":
            _only_defaults(groups, heads, up)
            kind = _detector(content, tensors, quirks, source)
        else:
            omitted = _omitted(peer, tensors)
            tensors = {key: value for key, value in tensors.items() if key not in omitted}
            kind = _patch_transformer(tensors, peer, groups, heads, quirks, source)
    except KeyError as error:
        raise CheckpointError(source, f"not {peer.title}'s: {error.args[0]} is missing", _REMEDY) from None
    _fill(kind, halves_of_convs1(tensors), source, f"a checkpoint of {peer.title} that is known here")
    if up is not None:
        take_z_up(kind.module, up)
    return Imported(name, kind.module.eval(), kind.task, kind.facts, tuple(tensors), omitted)


def _omitted(peer: Peer, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """What is not loaded; a classifier is where its head is one of ours."""
    omitted = left_out(peer, tensors)
    if not peer.normed_residual and is_classifier(tensors):
        omitted = {key: what for key, what in omitted.items() if not key.startswith("cls_head_finetune.")}
    return omitted


def _patch_transformer(
    tensors: Mapping[str, Tensor], peer: Peer, groups: int | None, heads: int | None, quirks: bool, source: str | Path
) -> Kind:
    prefix = peer.prefix if any(key.startswith(peer.prefix) for key in tensors) else ""
    config = _config(tensors, prefix, peer, heads, source)
    if quirks:
        own = {"skip_near_origin": peer.skips_near_origin, "neighbours_by_index": peer.neighbours_by_index}
        config = replace(config, **own)
    return kind_of(tensors, config, prefix, groups)


def _detector(content: Any, tensors: Mapping[str, Tensor], quirks: bool, source: str | Path) -> Kind:
    if classes_of(tensors) != len(DETECTION_CLASSES):
        problem = f"its detector knows {classes_of(tensors)} classes, ScanNet's has {len(DETECTION_CLASSES)}"
        raise CheckpointError(source, problem, "Give one that was trained on ScanNet")
    return detector(tensors, content.get("args"), quirks)


def _only_defaults(groups: int | None, heads: int | None, up: Axis | None) -> None:
    """3DETR's files say the number of heads and tokens, and its rooms have z up as ours."""
    if groups is not None or heads is not None or up is not None:
        raise PointdistillError(
            "3DETR's checkpoints say their sizes, and their rooms have z up: leave these options out"
        )


def _tensors(content: Any, source: str | Path) -> dict[str, Tensor]:
    """The network's tensors, without the prefix that training on several GPUs leaves."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NETWORKS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        problem = f"holds no network: neither tensors by name, nor these under {', '.join(_NETWORKS)}"
        raise CheckpointError(source, problem, _REMEDY)
    return {key.removeprefix("module."): value for key, value in content.items()}


def _config(
    tensors: Mapping[str, Tensor], prefix: str, peer: Peer, heads: int | None, source: str | Path
) -> BackboneConfig:
    """The backbone's sizes, from shapes."""
    if any(key.startswith(f"{prefix}encoder.mlp_module.") for key in tensors):
        problem = f"this {peer.title} has the encoder of 3DETR, over set abstraction, and none of patches"
        raise CheckpointError(source, problem, "Give one that was pre-trained on ShapeNet")
    width = tensors[f"{prefix}norm.weight"].shape[0]
    hidden = tensors[f"{prefix}encoder.first_conv.0.weight"].shape[0]
    pooled = tensors[f"{prefix}encoder.second_conv.3.weight"].shape[0]
    heads = heads or max(1, width // _HEAD_WIDTH)
    if width % heads:
        raise CheckpointError(source, f"its width {width} cannot be shared by {heads} heads", "Give another number")
    blocks = [key[len(prefix) :].split(".")[2] for key in tensors if key.startswith(f"{prefix}blocks.blocks.")]
    return BackboneConfig(
        width=width,
        depth=1 + max((int(number) for number in blocks if number.isdigit()), default=0),
        heads=heads,
        patch_hidden=0 if 3 * hidden == width else hidden,
        patch_pooled=pooled if f"{prefix}reduce_dim.weight" in tensors else 0,
        class_token=f"{prefix}cls_token" in tensors,
        normed_residual=peer.normed_residual,
    )


def _fill(kind: Kind, tensors: Mapping[str, Tensor], source: str | Path, what: str) -> None:
    """Give the module the peer's weights.

    Raises:
        CheckpointError: other names, or other shapes.
    """
    own, layout = kind.module.state_dict(), kind.layout
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    require_tensors(Path(source), found, layout.shapes(own), what, _REMEDY)
    loaded = {
        name: value if name in layout.own else tensors[layout.theirs(name)].reshape(value.shape).to(value.dtype)
        for name, value in own.items()
    }
    for norm, bias in layout.folded.items():
        # BatchNorm takes the mean away again, and with it the bias: mean' = mean - bias says the same.
        loaded[f"{norm}.running_mean"] = loaded[f"{norm}.running_mean"] - tensors[bias]
    if not all(bool(torch.isfinite(value).all()) for value in loaded.values()):
        raise CheckpointError(source, "holds weights that are NaN or infinite", "Fetch it again, or give another")
    kind.module.load_state_dict(loaded)

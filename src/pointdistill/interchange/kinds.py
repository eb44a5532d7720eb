"""Which of our modules a checkpoint of the Point-MAE lineage is, told by its names; built to its sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from pointdistill.datasets import modelnet40, scanobjectnn
from pointdistill.datasets.shapenetpart import OFFICIAL_PARTS
from pointdistill.interchange.names import (
    LOCAL,
    WHOLE,
    Layout,
    backbone_layout,
    classification_layout,
    decoder_layout,
    parts_layout,
)
from pointdistill.methods.point_mae import PointMAE, PointMAEConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.tasks.base import Facts
from pointdistill.tasks.classification import Classification, ClassNames
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.part_segmentation import PartSegmentation, PartTable

CLASSIFIER, SEGMENTER, _DECODER = "cls_head_finetune.8.weight", "convs3.weight", "MAE_decoder."
"""What a fine-tuned classifier, a part segmenter and a decoder have, and nothing else."""


@dataclass(frozen=True)
class Kind:
    """A module to be filled.

    Attributes:
        module: with random weights.
        layout: what the checkpoint calls its tensors.
        task: settings of a fine-tuned module.
        facts: what its task's model takes from data (`tasks.base.Facts`).
    """

    module: nn.Module
    layout: Layout
    task: Classification | PartSegmentation | Detection | None = None
    facts: Facts | None = None


def is_classifier(tensors: Mapping[str, Tensor]) -> bool:
    """Whether there is a classifier, with Point-MAE's head: class token and maximum of the others, two hidden layers
    of one width."""
    if not {CLASSIFIER, "cls_head_finetune.4.weight", "cls_token"} <= tensors.keys():
        return False
    hidden, read = tensors["cls_head_finetune.0.weight"].shape
    return hidden == tensors["cls_head_finetune.4.weight"].shape[0] and read == 2 * tensors["cls_token"].shape[-1]


def kind_of(tensors: Mapping[str, Tensor], config: BackboneConfig, prefix: str, groups: int | None) -> Kind:
    """The module these names tell of.

    Args:
        tensors: those that are to be loaded.
        config: the backbone's.
        prefix: before the names of the encoder.
        groups: patches a cloud, where not the published number.

    Raises:
        KeyError: a tensor that tells a size is missing.
    """
    if CLASSIFIER in tensors:
        classes, hidden = tensors[CLASSIFIER].shape
        # The clouds of ScanObjectNN have twice the points of ModelNet40's, and twice the patches.
        scanned = classes == len(scanobjectnn.CLASSES)
        config = replace(config, class_token=False, groups=groups or (128 if scanned else 64))
        task = Classification(group_count=config.groups, group_size=config.group_size, hidden=hidden)
        facts = ClassNames(_class_names(classes))
        module = task.build(PointTransformer(config), facts)
        return Kind(module, _encoder(config, prefix) | classification_layout(), task, facts)
    if SEGMENTER in tensors:
        config = replace(config, groups=groups or 128)
        task = PartSegmentation(
            group_count=config.groups,
            group_size=config.group_size,
            propagation=tuple(tensors[f"propagation_0.mlp_convs.{i}.weight"].shape[0] for i in (0, 1)),
            hidden=(tensors["convs1.weight"].shape[0], tensors["convs2.weight"].shape[0]),
            embedding=tensors["label_conv.0.weight"].shape[0],
        )
        parts = {part: f"{name} {place}" for name, ids in OFFICIAL_PARTS.items() for place, part in enumerate(ids)}
        facts = PartTable(tuple(OFFICIAL_PARTS), tuple(OFFICIAL_PARTS.values()), parts)
        module = task.build(PointTransformer(config), facts)
        return Kind(module, _encoder(config, prefix) | parts_layout().below("head."), task, facts)
    if any(name.startswith(_DECODER) for name in tensors):
        blocks = {name.split(".")[2] for name in tensors if name.startswith(f"{_DECODER}blocks.")}
        config = replace(config, groups=groups or 64, group_size=tensors["increase_dim.0.weight"].shape[0] // 3)
        decoder = DecoderConfig(len(blocks), config.heads)
        module = PointMAE(PointMAEConfig(decoder=decoder), PointTransformer(config))
        return Kind(module, _encoder(config, prefix) | decoder_layout(len(blocks)).below("decoder."))
    config = replace(config, groups=groups or 64)
    return Kind(PointTransformer(config), backbone_layout(config).below("", prefix))


def _encoder(config: BackboneConfig, prefix: str) -> Layout:
    return backbone_layout(config).below("backbone.", prefix)


def _class_names(count: int) -> tuple[str, ...]:
    """Those of the published data sets, in the order of their labels; numbers for others (few-shot episodes)."""
    known = {len(names): names for names in (modelnet40.CLASSES, scanobjectnn.CLASSES)}
    return known.get(count, tuple(str(number) for number in range(count)))


def halves_of_convs1(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With a part segmenter's convs1 taken apart: what it does to a point's own features, and to the cloud's."""
    tensors = dict(tensors)
    if SEGMENTER in tensors:
        weight, own = tensors.pop("convs1.weight"), tensors["propagation_0.mlp_convs.1.weight"].shape[0]
        tensors |= {f"{LOCAL}.weight": weight[:, :own], f"{WHOLE}.weight": weight[:, own:]}
    return tensors

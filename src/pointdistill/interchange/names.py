"""What Point-MAE's code and its descendants call the parts of our modules.

A layout pairs modules; their parameters (weight, bias, running_mean...) are called the same on both sides. 1x1
convolutions there are linear layers here: their weights have one axis more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pointdistill.models.point_transformer import BackboneConfig

_PATCH_EMBED = {
    "patch_embed.local1": "encoder.first_conv.0",
    "patch_embed.norm1": "encoder.first_conv.1",
    "patch_embed.local2": "encoder.first_conv.3",
    "patch_embed.merge": "encoder.second_conv.0",
    "patch_embed.norm2": "encoder.second_conv.1",
    "patch_embed.out": "encoder.second_conv.3",
}
_BLOCK = {
    "norm1": "norm1",
    "attention.qkv": "attn.qkv",
    "attention.out": "attn.proj",
    "norm2": "norm2",
    "ffn.expand": "mlp.fc1",
    "ffn.contract": "mlp.fc2",
}


@dataclass(frozen=True)
class Layout:
    """How a peer names the tensors of one of our modules.

    Attributes:
        names: our module or parameter -> the peer's.
        folded: our BatchNorm -> the peer's bias of the layer before it, which ours does without: it moves the running
            mean, and nothing else depends on it.
        convolutions: our linear layers that are 1x1 convolutions there, and how many axes of length 1 their weights
            have at the end.
        tokens: our parameters of one axis that have two axes of length 1 in front there.
        own: our buffers that the peer has not; they stay as they were built.
    """

    names: Mapping[str, str]
    folded: Mapping[str, str] = field(default_factory=dict)
    convolutions: Mapping[str, int] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def theirs(self, name: str) -> str:
        """The peer's name of our tensor."""
        owner, _, leaf = name.rpartition(".")
        return self.names[name] if name in self.names else f"{self.names[owner]}.{leaf}"

    def below(self, ours: str, theirs: str = "") -> "Layout":
        """The same for modules that hold these under a name of their own."""
        return Layout(
            {ours + name: theirs + other for name, other in self.names.items()},
            {ours + name: theirs + other for name, other in self.folded.items()},
            {ours + name: axes for name, axes in self.convolutions.items()},
            frozenset(ours + name for name in self.tokens),
            frozenset(ours + name for name in self.own),
        )

    def __or__(self, other: "Layout") -> "Layout":
        return Layout(
            {**self.names, **other.names},
            {**self.folded, **other.folded},
            {**self.convolutions, **other.convolutions},
            self.tokens | other.tokens,
            self.own | other.own,
        )

    def shapes(self, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the peer's tensors, given ours."""
        found = {}
        for name, value in tensors.items():
            if name in self.own:
                continue
            owner, _, leaf = name.rpartition(".")
            extra = (1,) * self.convolutions.get(owner, 0) if leaf == "weight" else ()
            found[self.theirs(name)] = (1, 1, *value.shape) if name in self.tokens else (*value.shape, *extra)
        for norm, bias in self.folded.items():
            found[bias] = tuple(tensors[f"{norm}.running_mean"].shape)
        return found


def backbone_layout(config: BackboneConfig) -> Layout:
    """A backbone as Point-MAE names its encoder (without the prefix of its pre-training)."""
    names = {**_PATCH_EMBED, "position_embed.layers.0": "pos_embed.0", "position_embed.layers.2": "pos_embed.2"}
    names |= dict(_blocks("blocks", "blocks.blocks", config.depth)) | {"norm": "norm"}
    if config.patch_pooled:
        names["patch_embed.widen"] = "reduce_dim"
    if config.class_token:
        names |= {"class_token.cls_token": "cls_token", "class_token.cls_position": "cls_pos"}
    convolutions = {"patch_embed.local1", "patch_embed.local2", "patch_embed.merge", "patch_embed.out"}
    return Layout(names, convolutions=dict.fromkeys(convolutions, 1))


def decoder_layout(depth: int) -> Layout:
    """The decoder of masked reconstruction (`models.decoder.PointDecoder`)."""
    names = {"mask_token": "mask_token", "norm": "MAE_decoder.norm", "head": "increase_dim.0"}
    names |= {f"position_embed.layers.{i}": f"decoder_pos_embed.{i}" for i in (0, 2)}
    names |= dict(_blocks("blocks", "MAE_decoder.blocks", depth))
    return Layout(names, convolutions={"head": 1}, tokens=frozenset({"mask_token"}))


def classification_layout() -> Layout:
    """Class token and head of fine-tuned classifiers (`tasks.classification.ClassificationModel`)."""
    names = {"class_token.cls_token": "cls_token", "class_token.cls_position": "cls_pos"}
    names |= {f"head.hidden.layers.{i}": f"cls_head_finetune.{i}" for i in (0, 1, 4, 5)}
    names["head.logits"] = "cls_head_finetune.8"
    folded = {f"head.hidden.layers.{i + 1}": f"cls_head_finetune.{i}.bias" for i in (0, 4)}
    return Layout(names, folded)


LOCAL, WHOLE = "convs1.local", "convs1.global"
"""What the two halves of a part segmenter's convs1 are called once `read` has taken them apart."""


def parts_layout() -> Layout:
    """The head of fine-tuned part segmenters (`models.heads.PartSegmentationHead`)."""
    names = {
        "label.0": "label_conv.0",
        "label.1": "label_conv.1",
        "enter": "propagation_0.mlp_convs.0",
        "rest0.0": "propagation_0.mlp_bns.0",
        "propagation.layers.0": "propagation_0.mlp_convs.1",
        "propagation.layers.1": "propagation_0.mlp_bns.1",
        "local1": LOCAL,
        "global1": WHOLE,
        "rest1.0": "bns1",
        "hidden2.layers.0": "convs2",
        "hidden2.layers.1": "bns2",
        "logits": "convs3",
    }
    folded = {
        "rest0.0": "propagation_0.mlp_convs.0.bias",
        "propagation.layers.1": "propagation_0.mlp_convs.1.bias",
        "rest1.0": "convs1.bias",
        "hidden2.layers.1": "convs2.bias",
    }
    convolutions = {"label.0", "enter", "propagation.layers.0", "local1", "global1", "hidden2.layers.0", "logits"}
    return Layout(names, folded, dict.fromkeys(convolutions, 1))


def _blocks(ours: str, theirs: str, depth: int) -> Iterator[tuple[str, str]]:
    for index in range(depth):
        for name, other in _BLOCK.items():
            yield f"{ours}.{index}.{name}", f"{theirs}.{index}.{other}"

"""3DETR and 3DETR-m (facebookresearch/3detr): how their checkpoints name the detector's tensors, and its sizes."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pointdistill.interchange.kinds import Kind
from pointdistill.interchange.names import Layout
from pointdistill.models.detr3d import DecoderConfig
from pointdistill.models.detr3d_encoder import DETR3D, DETR3D_M, SceneTransformer, SceneTransformerConfig
from pointdistill.tasks.detection import Detection, MeanSize

_PUBLISHED = {
    "enc_nhead": 4,
    "dec_nhead": 4,
    "enc_dropout": 0.1,
    "dec_dropout": 0.1,
    "mlp_dropout": 0.3,
    "preenc_npoints": 2048,
    "nqueries": 256,
}
_HEADS = {
    "logits": "sem_cls_head",
    "offset": "center_head",
    "size": "size_head",
    "angle": "angle_cls_head",
    "residual": "angle_residual_head",
}


def detector(tensors: Mapping[str, Tensor], args: object, quirks: bool) -> Kind:
    """The detector that these tensors belong to.

    Args:
        tensors: of the network.
        args: the command line that trained it, where the file has it: heads and numbers of tokens and queries, which
            no tensor tells. Without it, those of the published models.
        quirks: farthest points are those of PointNet++'s kernel.

    Raises:
        KeyError: a tensor that tells a size is missing.
    """
    told = vars(args) if isinstance(args, Namespace) else {}
    said: dict[str, Any] = {name: told.get(name, value) for name, value in _PUBLISHED.items()}
    masked = any(name.startswith("encoder.interim_downsampling.") for name in tensors)
    width = tensors["encoder.layers.0.norm1.weight"].shape[0]
    encoder = SceneTransformerConfig(
        width=width,
        depth=_count(tensors, "encoder.layers."),
        heads=said["enc_nhead"],
        ffn=tensors["encoder.layers.0.linear1.weight"].shape[0],
        dropout=said["enc_dropout"],
        tokens=said["preenc_npoints"],
        masks=(DETR3D_M if masked else DETR3D).masks,
        skip_near_origin=quirks,
    )
    decoder = DecoderConfig(
        width=tensors["decoder.norm.weight"].shape[0],
        depth=_count(tensors, "decoder.layers."),
        heads=said["dec_nhead"],
        ffn=tensors["decoder.layers.0.linear1.weight"].shape[0],
        dropout=said["dec_dropout"],
        queries=said["nqueries"],
        head_dropout=said["mlp_dropout"],
        angle_bins=tensors["mlp_heads.angle_cls_head.layers.8.weight"].shape[0],
        projection_layers=2 if masked else 3,
        skip_near_origin=quirks,
    )
    task = Detection(tokens="set_abstraction", group_count=encoder.tokens, decoder=decoder)
    facts = MeanSize((1.0, 1.0, 1.0))  # of boxes in another coding than 3DETR's
    return Kind(task.build(SceneTransformer(encoder), facts), _layout(encoder, decoder), task, facts)


def classes_of(tensors: Mapping[str, Tensor]) -> int:
    """Number of classes, without "no object"."""
    return tensors["mlp_heads.sem_cls_head.layers.8.weight"].shape[0] - 1


def _count(tensors: Mapping[str, Tensor], beginning: str) -> int:
    return len({name[len(beginning) :].split(".")[0] for name in tensors if name.startswith(beginning)})


def _layout(encoder: SceneTransformerConfig, decoder: DecoderConfig) -> Layout:
    names, planes = _abstraction("backbone.tokenise", "pre_encoder"), {}
    planes |= {f"backbone.tokenise.layers.{i}.linear": 2 for i in range(3)}
    if encoder.masks is not None:
        names |= _abstraction("backbone.halve", "encoder.interim_downsampling")
        planes |= {f"backbone.halve.layers.{i}.linear": 2 for i in range(3)}
    for index in range(encoder.depth):
        attention = {"attention": "self_attn"}
        names |= _layer(f"backbone.blocks.{index}", f"encoder.layers.{index}", attention, 2)
    for index in range(decoder.depth):
        attention = {"self_attention": "self_attn", "cross_attention": "multihead_attn"}
        names |= _layer(f"decoder.layers.{index}", f"decoder.layers.{index}", attention, 3)
    lines = {f"decoder.project.layers.{3 * i}": 1 for i in range(decoder.projection_layers)}
    for index in range(decoder.projection_layers):
        for part in (3 * index, 3 * index + 1):
            names[f"decoder.project.layers.{part}"] = f"encoder_to_decoder_projection.layers.{part}"
    for index in (0, 2):
        names[f"decoder.place.{index}"] = f"query_projection.layers.{index}"
        lines[f"decoder.place.{index}"] = 1
    for ours, theirs in _HEADS.items():
        names |= {f"decoder.heads.{ours}.0.layers.{i}": f"mlp_heads.{theirs}.layers.{i}" for i in (0, 1, 4, 5)}
        names[f"decoder.heads.{ours}.1"] = f"mlp_heads.{theirs}.layers.8"
        lines |= dict.fromkeys((*(f"decoder.heads.{ours}.0.layers.{i}" for i in (0, 4)), f"decoder.heads.{ours}.1"), 1)
    names |= {"decoder.norm": "decoder.norm", "decoder.fourier.projection": "pos_embedding.gauss_B"}
    return Layout(names, convolutions=planes | lines, own=frozenset({"decoder.heads.mean_size"}))


def _abstraction(ours: str, theirs: str) -> dict[str, str]:
    names = {f"{ours}.layers.{i}.linear": f"{theirs}.mlp_module.layer{i}.conv" for i in range(3)}
    return names | {f"{ours}.layers.{i}.norm": f"{theirs}.mlp_module.layer{i}.bn.bn" for i in range(3)}


def _layer(ours: str, theirs: str, attention: Mapping[str, str], norms: int) -> dict[str, str]:
    names = {f"{ours}.norm{i}": f"{theirs}.norm{i}" for i in range(1, norms + 1)}
    names |= {f"{ours}.ffn.0": f"{theirs}.linear1", f"{ours}.ffn.3": f"{theirs}.linear2"}
    for own, other in attention.items():
        names |= {f"{ours}.{own}": f"{theirs}.{other}", f"{ours}.{own}.out_proj": f"{theirs}.{other}.out_proj"}
    return names

"""The verb `convert`: a peer's file -> a folder of ours, or our backbone -> a file for a peer's code."""

from collections import Counter
from pathlib import Path
from typing import Any

import torch

from pointdistill import __version__
from pointdistill.console import answer, say
from pointdistill.datasets.axes import Axis
from pointdistill.errors import DataError
from pointdistill.files import exclusive, read_json, write_atomic
from pointdistill.hub import BACKBONE, located
from pointdistill.interchange.peers import PEERS
from pointdistill.interchange.read import Imported, read_peer
from pointdistill.interchange.write import to_peer
from pointdistill.io.pth import read_checkpoint
from pointdistill.manifest import file_sha256
from pointdistill.methods.point_mae import PointMAE
from pointdistill.models.checkpoints import load_backbone, save_backbone
from pointdistill.models.detr3d_encoder import SceneTransformerConfig
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.tasks.base import TaskModel
from pointdistill.tasks.saved import CARD, WEIGHTS, save_task_model
from pointdistill.tensors import save_tensors

_METHOD = "method.safetensors"
_SPLITS = {
    "scenes": ("train", "val", "val"),
    "objects": ("train", "test", "test"),
    "parts": ("train+val", "test", "test"),
}
"""Which split peers train on, choose on and test on, by kind of data."""


def convert_from(
    peer: str, file: Path, out: Path, groups: int | None, heads: int | None, quirks: bool, up: Axis | None
) -> dict[str, Any]:
    """Read a peer's checkpoint; write and say what it holds.

    `out` gets backbone.safetensors and backbone.json; of a fine-tuned network model.safetensors and model.json too, as
    fine-tuning writes them; of a masked autoencoder method.safetensors, as pre-training does.

    Raises:
        DataError: the file cannot be read, or `out` holds something else.
        CheckpointError: it is no such checkpoint; see `read_peer`.
    """
    remedy = f"Give a checkpoint that {PEERS[peer].title}'s authors published, or their code wrote"
    imported = read_peer(peer, read_checkpoint(file, remedy), groups, heads, quirks, up, source=file)
    card = {
        "peer": peer,
        "file": file.name,
        "sha256": file_sha256(file),
        "version": __version__,
        "up": up or "as the peer's clouds",
        "loaded": len(imported.loaded),
        "left_out": dict(Counter(imported.left_out.values())),
    }
    with exclusive(out):
        _claim(out, card)
        if isinstance(imported.backbone, PointTransformer):
            save_backbone(imported.backbone, out, card)
        _save_whole(imported, out, card)
    for line in _report(imported, file, out, up):
        answer(line)
    return {"out": out, **card}


def convert_to(peer: str, backbone: Path, out: Path, up: Axis | None) -> dict[str, Any]:
    """Write a backbone as a file for a peer's code. It is the one file in pickle's format that is written here, since
    their code reads no other: a dictionary of names, tensors and one line of text, which `weights_only` reads.

    Raises:
        DataError: `out` exists, or is not called .pth or .pt.
        CheckpointError: no backbone.
        PointdistillError: a backbone that the peer's code has no place for.
    """
    if out.suffix not in (".pth", ".pt"):
        raise DataError(out, "is not called .pth", "Name a file that ends in .pth")
    if out.exists():
        raise DataError(out, "exists already", "Name another file, or delete this one")
    tensors = to_peer(peer, load_backbone(located(backbone, BACKBONE)), up)
    content = {"base_model": tensors, "source": f"pointdistill {__version__}"}
    write_atomic(out, lambda target: torch.save(content, target))
    say(f"{out}: {len(tensors)} tensors in the names of {PEERS[peer].title}'s pre-training, under base_model")
    return {"out": out, "tensors": len(tensors)}


def _claim(out: Path, card: dict) -> None:
    """Refuse a folder that holds anything but an earlier conversion of the same file."""
    cards = [out / name for name in ("backbone.json", CARD) if (out / name).is_file()]
    held = read_json(cards[0]) if cards else {}
    if held.get("sha256") == card["sha256"] and held.get("peer") == card["peer"]:
        return
    if any((out / name).exists() for name in ("backbone.safetensors", "backbone.json", WEIGHTS, CARD, _METHOD)):
        raise DataError(out, "holds other weights", "Name another folder, or delete this one")


def _save_whole(imported: Imported, out: Path, card: dict) -> None:
    """The module around the backbone, where there is one."""
    module = imported.module
    if imported.task is not None and imported.facts is not None:
        assert isinstance(module, TaskModel)
        tested = {"identity": card["sha256"][:16], "seed": 0, "splits": list(_SPLITS[imported.task.store])}
        save_task_model(out, imported.task, imported.facts, module, {**tested, "init": imported.peer, **card})
    elif isinstance(module, PointMAE):
        save_tensors(out / _METHOD, module.state_dict(), {"identity": card["sha256"][:16]})


def _report(imported: Imported, file: Path, out: Path, up: Axis | None) -> list[str]:
    """What was read, what was left, what the file did not tell."""
    config, task = imported.backbone.config, imported.task
    what = f"{task.name.replace('_', ' ')} model" if task else "backbone"
    if isinstance(imported.module, PointMAE):
        what = f"backbone and decoder of {len(imported.module.decoder.blocks)} blocks"
    lines = [
        f"{file.name}: {PEERS[imported.peer].title}, {what}; {len(imported.loaded)} tensors loaded",
        f"backbone: {config.depth} blocks of width {config.width}, {config.heads} heads, {_tokens(config)}",
    ]
    for kind, count in Counter(imported.left_out.values()).items():
        lines.append(f"left out: {kind} ({count} tensors)")
    quirks = [
        said
        for on, said in (
            (config.skip_near_origin, "centres skip points near the origin"),
            (getattr(config, "neighbours_by_index", False), "equally near points in order of their index"),
        )
        if on
    ]
    if quirks:
        lines.append(f"patches as {PEERS[imported.peer].title}'s kernels choose them: {', '.join(quirks)}")
    if up:
        lines.append(f"turned: takes clouds with z up, where {PEERS[imported.peer].title}'s have {up} up")
    elif imported.peer != "3detr":
        lines.append("takes clouds as they were published to it; shapes with y up: --up y makes it take ours, z up")
    return [*lines, f"written to {out}"]


def _tokens(config: BackboneConfig | SceneTransformerConfig) -> str:
    if isinstance(config, SceneTransformerConfig):
        kind = "all see all" if config.masks is None else "masked: 3DETR-m"
        return f"{config.tokens} tokens by set abstraction ({kind})"
    return (
        f"{config.groups} patches of {config.group_size} points (heads and patches as published: the file does not say)"
    )

"""Backbones on disk: `backbone.safetensors` with the configuration in its metadata, `backbone.json` beside it."""

import json
from dataclasses import asdict
from pathlib import Path

from pointdistill.errors import CheckpointError
from pointdistill.files import write_json
from pointdistill.models.fitting import fitted, require_finite
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.tensors import load_tensors, save_tensors
from pointdistill.typed_json import read_typed

FILE_NAME = "backbone.safetensors"


def save_backbone(backbone: PointTransformer, folder: Path, card: dict) -> Path:
    """Write the weights and, beside them, where they come from.

    Args:
        backbone: the network.
        folder: where `backbone.safetensors` and `backbone.json` go.
        card: provenance: recipe, data, teacher, steps, losses.
    """
    path = Path(folder) / FILE_NAME
    config = asdict(backbone.config)
    save_tensors(path, backbone.state_dict(), {"format": "pointdistill backbone", "config": json.dumps(config)})
    write_json(path.with_suffix(".json"), {"config": config, **card})
    return path


def _locate(path: Path) -> Path:
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(path, "no such checkpoint", "Give a backbone.safetensors or the folder of a pre-training")
    return path


def read_backbone_config(path: Path) -> BackboneConfig:
    """The configuration a backbone file was written with."""
    path = _locate(Path(path))
    return _config(load_tensors(path)[1], path)


def _config(metadata: dict[str, str], path: Path) -> BackboneConfig:
    try:
        return read_typed(BackboneConfig, json.loads(metadata["config"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            path, "its header holds no backbone configuration", "Give a backbone.safetensors written by pointdistill"
        ) from error


def load_backbone(path: Path) -> PointTransformer:
    """The backbone that a file holds, with the configuration it was written with."""
    path = _locate(Path(path))
    tensors, metadata = load_tensors(path)
    config, remedy = _config(metadata, path), "Fetch or write it again"
    return fitted(lambda: PointTransformer(config), config, tensors, path, "the configuration in its header", remedy)


def load_backbone_weights(backbone: PointTransformer, path: Path) -> None:
    """Fill a backbone with a file's weights.

    Raises:
        CheckpointError: the file is damaged, its tensors do not fit this architecture, or are not finite.
    """
    path = _locate(Path(path))
    tensors, _ = load_tensors(path)
    expected = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != found:
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        first = differing[0]
        raise CheckpointError(
            path,
            f"another architecture: {len(differing)} tensors differ, first {first} "
            f"(expected {expected.get(first)}, found {found.get(first)})",
            "Create the backbone with the sizes in the backbone.json beside the file",
        )
    require_finite(tensors, path, "Fetch or write it again")
    backbone.load_state_dict(tensors)

"""Named tensors on disk: safetensors, written whole or not at all, with a checksum of all that is in them."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pointdistill.errors import CheckpointError
from pointdistill.files import write_atomic

CHECKSUM = "crc32"
"""What the text header calls it."""
HEADER = "pointdistill"
"""The one entry of the text header, JSON: several would be written in an order that differs from file to file."""
_REMEDY = "Fetch or write it again"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], verify: bool = False) -> None:
    """Write named tensors atomically as safetensors, with a text header and a checksum.

    Args:
        verify: read them back, and put them in the place of what is there only if they are as they were written.

    Raises:
        CheckpointError: they are not.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {HEADER: json.dumps({**metadata, CHECKSUM: _checksum(contiguous, metadata)}, sort_keys=True)}

    def write(target: Path) -> None:
        save_file(contiguous, target, header)
        if verify:
            load_tensors(target)

    write_atomic(Path(path), write)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Named tensors and the text header of a safetensors file.

    Raises:
        CheckpointError: missing or damaged: the checksum, where there is one, tells.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
            metadata |= dict(json.loads(metadata.pop(HEADER, "{}")))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise CheckpointError(path, f"not a readable safetensors file ({error})", _REMEDY) from error
    written = metadata.pop(CHECKSUM, None)
    if written is not None and written != _checksum(tensors, metadata):
        raise CheckpointError(path, "is damaged (its checksum is another)", _REMEDY)
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """CRC-32 of names, kinds, shapes, numbers and text: it tells damage, not malice."""
    value = zlib.crc32(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"

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
UNREADABLE_TENSORS = (SafetensorError, ValueError, TypeError, KeyError, RuntimeError)
"""What is raised for content that is no safetensors file, and for tensors that a network does not take."""
_REMEDY = "Fetch or write it again"
_KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Kinds of numbers, as the format calls them."""


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
        metadata, kinds = _header(path)
        metadata |= dict(json.loads(metadata.pop(HEADER, "{}")))
        tensors = _content(path, kinds)
    except (OSError, RecursionError, *UNREADABLE_TENSORS) as error:
        said = str(error).partition("\n")[0]  # torch adds where in its own code
        raise CheckpointError(path, f"not a readable safetensors file ({said})", _REMEDY) from error
    written = metadata.pop(CHECKSUM, None)
    if written is not None and written != _checksum(tensors, metadata):
        raise CheckpointError(path, "is damaged (its checksum is another)", _REMEDY)
    return tensors, metadata


def _header(path: Path) -> tuple[dict[str, str], dict[str, tuple[torch.dtype, list[int]]]]:
    """The text header, and the kind and shape of each tensor in the order in which they lie one after the other."""
    with safe_open(path, framework="pt") as file:  # refuses sizes and places that do not fit the file
        slices = {name: file.get_slice(name) for name in file.offset_keys()}
        kinds = {name: (_KINDS[each.get_dtype()], each.get_shape()) for name, each in slices.items()}
        return dict(file.metadata() or {}), kinds


def _content(path: Path, kinds: Mapping[str, tuple[torch.dtype, list[int]]]) -> dict[str, Tensor]:
    """The tensors, read. The library's own `get_tensor` maps the file, whose end while it is mapped would be the
    process's, and loses a few numbers' memory for each tensor (0.8)."""
    tensors = {}
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        for name, (kind, shape) in kinds.items():
            tensors[name] = tensor = torch.empty(shape, dtype=kind)
            room = tensor.reshape(-1).view(torch.uint8).numpy()
            if file.readinto(room.data) != room.size:
                raise ValueError("it ends too early")
    return tensors


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """CRC-32 of names, kinds, shapes, numbers and text: it tells damage, not malice."""
    value = zlib.crc32(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"

"""Parts of all scans -> the arrays of a store: its frames, one teacher's targets; each with its manifest last."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pointdistill import manifest
from pointdistill.console import track
from pointdistill.errors import DataError
from pointdistill.files import write_header
from pointdistill.scan_part import part_path, require_same_frames
from pointdistill.store import FIELDS, kept_frames
from pointdistill.targets import ARRAY, DTYPE


def assemble_frames(out: Path, scans: list[str], settings: dict[str, Any]) -> None:
    """Put the frames' parts of all scans together, in the scans' order, write the manifest, remove the parts.

    Raises:
        DataError: no scan has a usable frame.
    """
    counts, shapes, skipped = _survey(out, scans)
    frames = sum(len(count) for count in counts)
    if frames == 0:
        why = f"; the first: {skipped[0]['scan']} frame {skipped[0]['frame']}, {skipped[0]['why']}" if skipped else ""
        raise DataError(out, f"none of the {len(scans)} scans has a usable frame{why}", "Look at the recordings.")
    widest = max(int(count.max()) for count in counts if len(count))
    shapes |= {"points": (widest, 3), "scans": ()}
    _write_arrays(out, scans, frames, shapes)
    names = [f"{name}.npy" for name in FIELDS]
    if settings["keep_images"]:
        names += _write_images(out, scans, frames)
    for name in names:
        partial(out, name).replace(out / name)
    content = {
        **settings,
        "frames": frames,
        "skipped": skipped,
        "skipped_count": len(skipped),
        "files": {name: describe(out / name) for name in track(names, "hashing")},
    }
    manifest.write(out, content)
    shutil.rmtree(out / "parts")


def assemble_targets(out: Path, folder: Path, settings: dict[str, Any]) -> None:
    """Put one teacher's targets together, in the order of the store's finished frames, write their manifest, remove
    the parts.

    Raises:
        DataError: targets that are not of these frames.
    """
    kept = kept_frames(out)
    shape = (sum(len(numbers) for numbers in kept.values()), *settings["teacher"]["target_shape"])
    with partial(folder, ARRAY).open("wb") as file:
        write_header(file, DTYPE, shape)
        for (scan, numbers), part in zip(kept.items(), _parts(folder, list(kept)), strict=True):
            require_same_frames(scan, out, numbers, part["frames"].tolist())
            file.write(part["targets"].tobytes())
        to_disk(file)
    partial(folder, ARRAY).replace(folder / ARRAY)
    content = {
        **settings,
        "frames": manifest.file_sha256(out / manifest.NAME),
        "files": {ARRAY: describe(folder / ARRAY)},
    }
    manifest.write(folder, content)
    shutil.rmtree(folder / "parts")


def partial(out: Path, name: str) -> Path:
    """Where a file is while it is written."""
    return out / f"{name}.partial"


def _parts(folder: Path, scans: list[str]) -> Iterator[Any]:
    for scan in scans:
        with np.load(part_path(folder, scan), allow_pickle=False) as part:
            yield part


def _survey(out: Path, scans: list[str]) -> tuple[list[np.ndarray], dict[str, tuple[int, ...]], list[dict]]:
    """Point counts a scan, the shape of one row of each array, and all skipped frames."""
    counts, shapes, skipped = [], {}, []
    for part in _parts(out, scans):
        counts.append(part["counts"])
        skipped += json.loads(str(part["skipped"]))
        if not shapes and len(part["counts"]):
            shapes = {name: part[name].shape[1:] for name in FIELDS if name in part and name != "points"}
    return counts, shapes, skipped


def _write_arrays(out: Path, scans: list[str], frames: int, shapes: dict[str, tuple[int, ...]]) -> None:
    """Each array as .npy, written from front to back: through a memory map, a full disk would kill the process."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(partial(out, f"{name}.npy").open("wb")) for name in FIELDS}
        for name, file in files.items():
            write_header(file, FIELDS[name], (frames, *shapes[name]))
        for number, part in enumerate(track(_parts(out, scans), "putting scans together", len(scans))):
            counts = part["counts"]
            for name, file in files.items() if len(counts) else ():
                if name == "scans":
                    rows = np.full(len(counts), number)
                elif name == "points":
                    rows = np.zeros((len(counts), *shapes["points"]), FIELDS["points"])
                    rows[np.arange(shapes["points"][0]) < counts[:, None]] = part["points"]
                else:
                    rows = part[name]
                file.write(rows.astype(FIELDS[name]).tobytes())
        for file in files.values():
            to_disk(file)


def _write_images(out: Path, scans: list[str], frames: int) -> list[str]:
    """All jpegs one after the other, and where each begins; the last offset is the end."""
    sizes = [np.zeros(1, np.int64)]
    with partial(out, "images.bin").open("wb") as file:
        for part in _parts(out, scans):
            file.write(part["images"].tobytes())
            sizes.append(part["image_bytes"])
        to_disk(file)
    with partial(out, "image_offsets.npy").open("wb") as file:
        write_header(file, "int64", (frames + 1,))
        file.write(np.cumsum(np.concatenate(sizes)).tobytes())
        to_disk(file)
    return ["images.bin", "image_offsets.npy"]


def to_disk(file: BinaryIO) -> None:
    """Wait until the disk has what was written."""
    file.flush()
    os.fsync(file.fileno())


def describe(path: Path) -> dict[str, Any]:
    """What a manifest says of a file: bytes, sha256, and of an array type and shape."""
    entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": manifest.file_sha256(path)}
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        entry |= {"dtype": str(array.dtype), "shape": list(array.shape)}
    return entry

"""Parts of all scans -> the arrays of a frame store, its manifest last."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from pointdistill import manifest
from pointdistill.console import track
from pointdistill.errors import DataError
from pointdistill.parts import part_path
from pointdistill.store import FIELDS


def assemble(out: Path, scans: list[str], settings: dict[str, Any]) -> None:
    """Put the parts of all scans together, in the scans' order, write the manifest, remove the parts.

    Raises:
        DataError: no scan has a usable frame.
    """
    counts, shapes, skipped = _survey(out, scans)
    frames = sum(len(count) for count in counts)
    if frames == 0:
        why = f"; the first: {skipped[0]['scan']} frame {skipped[0]['frame']}, {skipped[0]['why']}" if skipped else ""
        raise DataError(out, f"none of the {len(scans)} scans has a usable frame{why}", "Look at the recordings.")
    widest = max(int(count.max()) for count in counts if len(count))
    shapes |= {"points": (widest, 3), "counts": (), "scans": ()}
    for name in FIELDS:
        array = np.lib.format.open_memmap(_partial(out, name), "w+", FIELDS[name], (frames, *shapes[name]))
        del array
    _fill(out, scans)
    images = _write_images(out, scans) if settings["keep_images"] else []
    for name in FIELDS:
        _partial(out, name).replace(out / f"{name}.npy")
    files = [f"{name}.npy" for name in FIELDS] + images
    content = {
        **{key: value for key, value in settings.items() if key in ("format", "kind", "teacher", "scans", "source")},
        "settings": settings,
        "frames": frames,
        "skipped": skipped,
        "skipped_count": len(skipped),
        "files": {name: _describe(out / name) for name in track(files, "hashing")},
    }
    manifest.write_json(out / manifest.NAME, content)
    shutil.rmtree(out / "parts")


def _partial(out: Path, name: str) -> Path:
    return out / f"{name}.npy.partial"


def _survey(out: Path, scans: list[str]) -> tuple[list[np.ndarray], dict[str, tuple[int, ...]], list[dict]]:
    """Point counts a scan, the shape of one row of each array, and all skipped frames."""
    counts, shapes, skipped = [], {}, []
    for scan in scans:
        with np.load(part_path(out, scan), allow_pickle=False) as part:
            counts.append(part["counts"])
            skipped += json.loads(str(part["skipped"]))
            if not shapes and len(part["counts"]):
                shapes = {name: part[name].shape[1:] for name in FIELDS if name in part and name != "points"}
    return counts, shapes, skipped


def _fill(out: Path, scans: list[str]) -> None:
    arrays = {name: np.lib.format.open_memmap(_partial(out, name), "r+") for name in FIELDS}
    row = 0
    for number, scan in enumerate(track(scans, "putting scans together")):
        with np.load(part_path(out, scan), allow_pickle=False) as part:
            counts = part["counts"]
            if not len(counts):
                continue
            rows = slice(row, row + len(counts))
            for name in FIELDS:
                if name == "scans":
                    arrays[name][rows] = number
                elif name == "points":
                    for offset, points in enumerate(np.split(part[name], np.cumsum(counts)[:-1])):
                        arrays[name][row + offset, : len(points)] = points
                else:
                    arrays[name][rows] = part[name]
            row += len(counts)
    for array in arrays.values():
        array.flush()


def _write_images(out: Path, scans: list[str]) -> list[str]:
    """All jpegs one after the other, and where each begins; the last offset is the end."""
    sizes = []
    partial = out / "images.bin.partial"
    with ExitStack() as stack:
        file = stack.enter_context(partial.open("wb"))
        for scan in scans:
            part = stack.enter_context(np.load(part_path(out, scan), allow_pickle=False))
            file.write(part["images"].tobytes())
            sizes.append(part["image_bytes"])
    partial.replace(out / "images.bin")
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    with (out / "image_offsets.npy.partial").open("wb") as file:
        np.save(file, offsets, allow_pickle=False)
    (out / "image_offsets.npy.partial").replace(out / "image_offsets.npy")
    return ["images.bin", "image_offsets.npy"]


def _describe(path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": manifest.file_sha256(path)}
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        entry |= {"dtype": str(array.dtype), "shape": list(array.shape)}
    return entry

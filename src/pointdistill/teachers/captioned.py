"""A folder of captioned images as arrays: decoded once, at the encoder's size, and augmented in batches."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy.lib.format import open_memmap
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pointdistill.console import track
from pointdistill.datasets.captions import Caption, read_captions
from pointdistill.errors import DataError
from pointdistill.files import UNREADABLE_ARRAY, UNREADABLE_IMAGE, read_json, read_text, write_json
from pointdistill.teachers.image_encoder import to_network_range
from pointdistill.teachers.small import load_pixels
from pointdistill.teachers.text import leave_out

TRUTH = "truth.jsonl"


@dataclass(frozen=True)
class CaptionedImages:
    """Images with one or more captions each.

    Attributes:
        pixels: 8-bit RGB, memory mapped.
        texts: the captions of each image.
        classes: names of the object classes visible in each image, where the folder says so.
    """

    pixels: UInt8[np.ndarray, "images height width 3"]
    texts: list[tuple[str, ...]]
    classes: list[frozenset[str]] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, indices: Int64[np.ndarray, "chosen"]) -> "CaptionedImages":
        """The images at `indices`, in that order."""
        classes = None if self.classes is None else [self.classes[i] for i in indices]
        return CaptionedImages(self.pixels[indices], [self.texts[i] for i in indices], classes)


def group_captions(captions: Sequence[Caption]) -> dict[Path, tuple[str, ...]]:
    """The captions of each image, images in the order of their names (some data sets give several an image)."""
    grouped: dict[Path, list[str]] = {}
    for caption in captions:
        grouped.setdefault(Path(caption.path), []).append(caption.text)
    return {path: tuple(grouped[path]) for path in sorted(grouped)}


def load_captioned_images(
    folder: str | Path, size: tuple[int, int], cache: Path, unwanted: Sequence[str] = ()
) -> CaptionedImages:
    """Read a folder of images and captions.jsonl, and truth.jsonl ({"file_name", "classes"}) where there is one.

    Args:
        folder: see `datasets.captions.read_captions`.
        size: width and height to decode to.
        cache: the .npy file that keeps the decoded images; read instead of them as long as their files are the same.
        unwanted: words to leave out of the captions.

    Raises:
        DataError: no captions, an image that cannot be read, or a damaged truth.jsonl.
    """
    grouped = group_captions(read_captions(folder))
    made_from, sources = cache.with_suffix(".json"), [list(size), *map(_file_state, grouped)]
    if not (cache.exists() and made_from.exists() and read_json(made_from) == sources):
        made_from.unlink(missing_ok=True)
        _decode(list(grouped), size, cache)
        write_json(made_from, sources)
    try:
        pixels = np.load(cache, mmap_mode="r", allow_pickle=False)
    except UNREADABLE_ARRAY as error:
        raise DataError(cache, f"not a readable array ({error})", "Delete it: it is made again.") from None
    texts = [tuple(leave_out(text, unwanted) for text in texts) for texts in grouped.values()]
    return CaptionedImages(pixels, texts, _read_truth(Path(folder) / TRUTH, list(grouped)))


def _file_state(path: Path) -> list[object]:
    """Name, size and time of an image file: another picture under the same name has another."""
    try:
        state = path.stat()
    except FileNotFoundError:
        raise DataError(path, "no such image", "Put it there or remove its line from captions.jsonl.") from None
    return [path.name, state.st_size, state.st_mtime_ns]


def _decode(paths: Sequence[Path], size: tuple[int, int], cache: Path) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.with_name(f".{cache.name}")
    pixels = open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=(len(paths), size[1], size[0], 3))
    for index, path in enumerate(track(paths, "reading images")):
        try:
            with Image.open(path) as image:
                pixels[index] = load_pixels(image, size)
        except UNREADABLE_IMAGE as error:
            remedy = "Replace it or remove its line from captions.jsonl."
            raise DataError(path, f"not a readable image ({error})", remedy) from None
    pixels.flush()
    unfinished.replace(cache)


def _read_truth(path: Path, images: Sequence[Path]) -> list[frozenset[str]] | None:
    if not path.exists():
        return None
    truth: dict[str, frozenset[str]] = {}
    for number, line in enumerate(read_text(path, "Save it as UTF-8.").splitlines(), start=1):
        try:
            entry = json.loads(line)
            truth[entry["file_name"]] = frozenset(entry["classes"])
        except (ValueError, KeyError, TypeError, RecursionError):
            remedy = 'Each line is {"file_name": ..., "classes": [...]}.'
            raise DataError(path, "not a line of truth", remedy, f"line {number}") from None
    found = [truth.get(str(image.relative_to(path.parent)), truth.get(image.name)) for image in images]
    if any(classes is None for classes in found):
        missing = images[found.index(None)].name
        raise DataError(path, f"no line for {missing}", "Add it, or remove the file: it is only used to measure.")
    return [classes for classes in found if classes is not None]


@dataclass(frozen=True)
class Jitter:
    """Mild changes of an image that leave its caption true.

    Attributes:
        brightness: largest relative change of all channels together.
        tint: largest relative change of each channel by itself.
        zoom: largest relative crop; `shift` the largest move, as a part of the image.
        flip: mirror half of the images (not when captions speak of left and right).
    """

    brightness: float = 0.2
    tint: float = 0.05
    zoom: float = 0.1
    shift: float = 0.05
    flip: bool = True


def augment(
    pixels: UInt8[Tensor, "batch height width 3"], jitter: Jitter, generator: torch.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """The encoder's input from a batch of images, each changed in its own way."""
    batch = len(pixels)

    def uniform(limit: float, *shape: int) -> Tensor:
        return limit * (2 * torch.rand(batch, *shape, generator=generator) - 1)

    images = to_network_range(pixels)
    scale = 1 - jitter.zoom * torch.rand(batch, generator=generator)
    mirror = 1 - 2 * (torch.rand(batch, generator=generator) < 0.5).float() if jitter.flip else torch.ones(batch)
    affine = torch.zeros(batch, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1] = scale * mirror, scale
    affine[:, :, 2] = 2 * uniform(jitter.shift, 2)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    gain = (1 + uniform(jitter.brightness, 1)) * (1 + uniform(jitter.tint, 3))
    return ((images + 1) * gain[:, :, None, None] - 1).clamp(-1, 1)

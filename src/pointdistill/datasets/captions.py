"""Images with captions: jpegs or pngs beside a captions.jsonl of {"file_name": ..., "text": ...} lines."""

import json
from dataclasses import dataclass
from pathlib import Path

from pointdistill.errors import DataError
from pointdistill.files import is_below, read_text

_FORM = 'Each line must be {"file_name": "image.jpg", "text": "what is seen"}.'


@dataclass(frozen=True)
class Caption:
    """An image file and what it shows."""

    path: Path
    text: str


def read_captions(folder: str | Path) -> list[Caption]:
    """All captioned images of a folder, in the file's order; an image may have several lines.

    Raises:
        DataError: no captions.jsonl, an empty one, a line of another form, an image that is missing or not below the
            folder; with the line.
    """
    path = Path(folder) / "captions.jsonl"
    if not path.is_file():
        raise DataError(path, "no such captions", "Put a captions.jsonl beside the images. " + _FORM)
    captions, present = [], {entry.name for entry in Path(folder).iterdir()}
    for number, line in enumerate(read_text(path, "Save it as UTF-8.").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            name, text = entry["file_name"], entry["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(path, "not a captioned image", _FORM, f"line {number}") from None
        if not (isinstance(name, str) and isinstance(text, str) and text.strip()):
            raise DataError(path, "file_name or text is not a text", _FORM, f"line {number}")
        if not is_below(name):
            raise DataError(path, f"names {name[:40]!r}, no file below its folder", _FORM, f"line {number}")
        image = Path(folder) / name
        if name not in present and not _is_file(image):
            raise DataError(path, f"image {name[:200]} is not there", "Add it or take the line out.", f"line {number}")
        captions.append(Caption(image, text))
    if not captions:
        raise DataError(path, "holds no captions", _FORM)
    return captions


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False

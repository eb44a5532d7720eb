"""Where the files of a ScanNetV2 folder lie: split lists, the label table, scans."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pointdistill.datasets.scannet.sens import SensReader
from pointdistill.errors import DataError
from pointdistill.files import is_plain, read_text

LABEL_TABLE = "scannetv2-labels.combined.tsv"
_LIST_FOLDERS = (".", "Tasks/Benchmark", "meta_data")
_SCAN_FOLDERS = ("scans", "scans_test", ".")
_TERMS = "ScanNet's terms of use (www.scan-net.org)"
_EMBEDDED_TERMS = "Apache-2.0 (the embedded world's scans)"
_GET = "Ask for the data set at http://www.scan-net.org, or write an embedded one with `pointdistill world`."


@dataclass(frozen=True)
class ScanNetRecording:
    """One scan's .sens file; its world has z up."""

    name: str
    path: Path
    up: ClassVar[str] = "z"

    def open(self) -> SensReader:
        return SensReader(self.path)


def find_file(root: str | Path, name: str) -> Path:
    """A file that belongs to the whole data set: in root, root/Tasks/Benchmark or root/meta_data.

    Raises:
        DataError: no such data set, or no such file in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(root, "no such ScanNet folder", _GET)
    for folder in _LIST_FOLDERS:
        path = root / folder / name
        if path.is_file():
            return path
    remedy = f"Put it there; it comes with the data set and with its repository (Tasks/Benchmark). {_GET}"
    raise DataError(root, f"holds no {name}", remedy)


def is_data_set(root: Path) -> bool:
    """Whether a folder has a split list of ScanNet's, or scans with a recording or a mesh."""
    return bool(split_names(root)) or any(
        path.name.startswith(path.parent.name)
        for folder in _SCAN_FOLDERS
        for kind in ("*/*.sens", "*/*_vh_clean_2.ply")
        for path in (root / folder).glob(kind)
    )


def split_names(root: Path) -> list[str]:
    """The splits that have a list."""
    found = [path.stem for folder in _LIST_FOLDERS for path in (root / folder).glob("scannetv2_*.txt")]
    return sorted({name.removeprefix("scannetv2_") for name in found})


def scan_names(root: str | Path) -> list[str]:
    """Names of all scans whose .sens file is there, in any list or none, sorted.

    Raises:
        DataError: there are none.
    """
    below = [path for place in _SCAN_FOLDERS for path in (Path(root) / place).glob("*/*.sens")]
    names = sorted({path.stem for path in below if path.stem == path.parent.name})
    if not names:
        raise DataError(root, "holds no .sens recording", _GET)
    for name in names:
        if not is_plain(name):
            raise DataError(root, f"{name[:40]!r} is no name of a scan", "Rename it.")
    return names


def read_split(root: str | Path, split: str) -> list[str]:
    """Names of the scans of a split ("train", "val", "test"), in the list's order.

    Raises:
        DataError: no such data set or list, or an empty list.
    """
    path = find_file(root, f"scannetv2_{split}.txt")
    names = read_text(path, "Restore the official list.").split()
    if not names:
        raise DataError(path, "the split list is empty", "Restore the official list.")
    for name in names:
        if not is_plain(name):
            raise DataError(path, f"{name[:40]!r} is no name of a scan", "Restore the official list.")
    return names


def find_scan(root: str | Path, scan: str) -> Path | None:
    """The folder of one scan, if it is there: under root/scans, root/scans_test or root itself."""
    return next((path for folder in _SCAN_FOLDERS if (path := Path(root) / folder / scan).is_dir()), None)


def scan_folder(root: str | Path, scan: str) -> Path:
    """The folder of one scan (`find_scan`).

    Raises:
        DataError: there is none.
    """
    found = find_scan(root, scan)
    if found is not None:
        return found
    problem = f"holds no scan {scan}, which its split list names"
    raise DataError(Path(root) / "scans", problem, f"Download it, or take it out of the list. {_GET}")


def terms_of_use(root: str | Path) -> str:
    """Under whose terms the scans of a folder are: their owners', or this package's own if it wrote them."""
    return _EMBEDDED_TERMS if (Path(root) / "world.json").is_file() else _TERMS


def recordings(root: str | Path, split: str) -> list[ScanNetRecording]:
    """The .sens recordings of a split ("all": of every scan there), sorted by name.

    Raises:
        DataError: a scan of the list, or its .sens file, is missing.
    """
    found = []
    for scan in scan_names(root) if split == "all" else sorted(read_split(root, split)):
        path = scan_folder(root, scan) / f"{scan}.sens"
        if not path.is_file():
            remedy = "Download it (ScanNet's downloader: --type .sens), or take the scan out of the split list."
            raise DataError(path, "no such recording", remedy)
        found.append(ScanNetRecording(scan, path))
    return found

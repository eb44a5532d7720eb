"""What a folder is: the one place that recognises data sets, and that finds the RGB-D recordings of a split, or the
labelled shapes, in any."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pointdistill.datasets.modelnet40 import is_modelnet40, modelnet40
from pointdistill.datasets.objects import ObjectSource
from pointdistill.datasets.recording import Recording
from pointdistill.datasets.rgbd import FolderRecording, plain, redwood, seven_scenes, tum
from pointdistill.datasets.scannet import layout as scannet
from pointdistill.datasets.scanobjectnn import VARIANTS, ScanObjectNN, is_scanobjectnn
from pointdistill.datasets.shapenet55 import is_shapenet55
from pointdistill.errors import DataError
from pointdistill.files import LONGEST_NAME, read_text

ALL = "all"
_DEFAULT_SPLIT = "train"
_USUAL_SPLITS = ("train", "val", "test")
_DEPTH_OF_SEARCH = 2
_SEE = 'docs/data.md says how each lies on disk, and how any other is described ("Your own recordings").'


@dataclass(frozen=True)
class Layout:
    """A way in which a data set lies on disk.

    Attributes:
        name: short, as stores name it.
        title: as people call it.
        looked_for: the files by which it is recognised.
        records: whether it holds RGB-D recordings; else it is labelled data.
    """

    name: str
    title: str
    looked_for: str
    records: bool = True


SCANNET = Layout("scannet", "ScanNetV2", "scannetv2_SPLIT.txt or scans/SCAN/SCAN.sens")
PLAIN = Layout("plain", "recording.json", "recording.json")
TUM = Layout("tum", "TUM RGB-D", "rgb.txt and depth.txt")
SEVEN_SCENES = Layout("7-scenes", "7-Scenes", "frame-XXXXXX.color.png")
REDWOOD = Layout("redwood", "Redwood or Open3D", "depth/ beside color/, rgb/ or image/")
MODELNET40 = Layout(
    "modelnet40", "ModelNet40", "modelnet40_SPLIT.txt, ply_data_*.h5 or CLASS/train/*.off", records=False
)
SCANOBJECTNN = Layout("scanobjectnn", "ScanObjectNN", "main_split/*_objectdataset*.h5", records=False)
SHAPENETPART = Layout("shapenetpart", "ShapeNetPart", "synsetoffset2category.txt", records=False)
SHAPENET55 = Layout("shapenet55", "ShapeNet-55", "shapenet_pc/ and ShapeNet-55/SPLIT.txt", records=False)
OBJECTS = (MODELNET40, SCANOBJECTNN)
CAPTIONS = Layout("captions", "captioned images", "captions.jsonl", records=False)

_DATA_SETS: tuple[tuple[Layout, Callable[[Path], bool]], ...] = (
    (SCANNET, scannet.is_data_set),
    (MODELNET40, is_modelnet40),
    (SCANOBJECTNN, is_scanobjectnn),
    (SHAPENETPART, lambda root: (root / "synsetoffset2category.txt").is_file()),
    (SHAPENET55, is_shapenet55),
    (CAPTIONS, lambda root: (root / "captions.jsonl").is_file()),
)
_FORMATS = ((PLAIN, plain), (TUM, tum), (SEVEN_SCENES, seven_scenes), (REDWOOD, redwood))
"""Those whose recordings are folders of images: a data set is one such folder, or a folder of them."""


@dataclass(frozen=True)
class Selection:
    """The recordings of a split.

    Attributes:
        layout: what the folder is.
        split: whose recordings these are: as asked for, or "all" where there was no list to choose by.
        recordings: sorted by name.
        note: what a user should know of the choice, or None.
    """

    layout: Layout
    split: str
    recordings: list[Recording]
    note: str | None = None


def layout_of(root: str | Path) -> Layout:
    """What a folder is.

    Raises:
        DataError: it is not there, or nothing known; what was looked for is listed.
    """
    root = Path(root)
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "no such folder"
        raise DataError(root, problem, f"Name the folder of a data set; {_SEE}")
    known = next((layout for layout, is_here in _DATA_SETS if is_here(root)), None)
    known = known or next((layout for layout, _ in _image_folders(root)), None)
    if known is None:
        layouts = [layout for layout, _ in (*_DATA_SETS, *_FORMATS)]
        looked_for = "; ".join(f"{layout.title}: {layout.looked_for}" for layout in layouts)
        raise DataError(root, f"is no data set that is known here. Looked for {looked_for}", _SEE)
    return known


def is_known(root: Path) -> bool:
    """Whether a folder is one of these."""
    try:
        layout_of(root)
    except DataError:
        return False
    return True


def label_lists(root: Path, variant: str | None = None) -> tuple[str, ...]:
    """Names of the splits that a folder has of labelled scenes or shapes, in the usual order.

    Args:
        variant: of ScanObjectNN.

    Raises:
        DataError: nothing known, or a variant missing or out of place.
    """
    layout = layout_of(root)
    if layout == SCANNET:
        found = scannet.split_names(root)
    elif layout in OBJECTS:
        found = object_source(root, variant).splits()
    elif layout == SHAPENETPART:
        below = (root / "train_test_split").glob("shuffled_*_file_list.json")
        found = [path.name.removeprefix("shuffled_").removesuffix("_file_list.json") for path in below]
    else:
        found = []
    return usual_order(found)


def usual_order(splits: Iterable[str]) -> tuple[str, ...]:
    """Names of splits: training, validation, test, then any others by name."""
    return tuple(sorted(splits, key=lambda split: ((*_USUAL_SPLITS, split).index(split), split)))


def object_source(root: str | Path, variant: str | None = None) -> ObjectSource:
    """The labelled shapes of a folder, whatever layout they lie in.

    Args:
        variant: of ScanObjectNN; needed there, and only there.

    Raises:
        DataError: nothing known, no labelled shapes of whole objects, or a variant missing or out of place.
    """
    root, layout = Path(root), layout_of(root)
    if layout == SCANOBJECTNN:
        if variant is None:
            raise DataError(root, "is ScanObjectNN, which has variants", f"Name one of {', '.join(VARIANTS)}.")
        return ScanObjectNN(root, variant)
    if variant is not None:
        raise DataError(root, f"is {layout.title}, which has no variants", "Leave the variant out.")
    if layout not in OBJECTS:
        raise DataError(root, f"is {layout.title}: no labelled objects", f"Name ModelNet40 or ScanObjectNN; {_SEE}")
    return modelnet40(root)


def select(root: str | Path, split: str = _DEFAULT_SPLIT) -> Selection:
    """The RGB-D recordings of a split, whatever layout they lie in.

    Args:
        split: ScanNet: one of its lists. Elsewhere: SPLIT.txt in the folder, names of recordings; 7-Scenes' own lists;
            "train" is all recordings where no list of any split exists. "all": every recording there is.

    Raises:
        DataError: nothing known, labelled data, no such split, a recording of a list that is not there, one whose
            description is wrong.
    """
    root, layout = Path(root), layout_of(root)
    if not layout.records:
        problem = f"is {layout.title}: no RGB-D recordings to prepare frames from"
        remedy = (
            "In Python: prepare_shapes." if layout == SHAPENET55 else "Name a folder of recordings, or add --labels."
        )
        raise DataError(root, problem, remedy)
    if layout == SCANNET:
        return Selection(layout, split, [*scannet.recordings(root, split)])
    found = image_recordings(root)
    chosen = found if split == ALL else _of_list(root, found, split) or _of_scenes(root, found, split)
    if chosen is not None:
        return Selection(layout, split, [*chosen])
    if split != _DEFAULT_SPLIT or split_lists(root):
        remedy = f"Write {split}.txt there, a name a line, or take --split all: {_some([r.name for r in found])}."
        raise DataError(root, f"has no list of the split {split!r}", remedy)
    return Selection(layout, ALL, [*found], f"{root}: no list of a split, so all {len(found)} recordings are taken")


def image_recordings(root: Path) -> list[FolderRecording]:
    """All recordings that are folders of images: `root` itself, or those up to two levels below it, sorted by name.

    Raises:
        DataError: two of the same name, one whose name files cannot be called after, or whose description is wrong.
    """
    formats = dict(_FORMATS)
    found = [formats[layout].recording(folder, _name(root, folder)) for layout, folder in _image_folders(root)]
    found.sort(key=lambda recording: recording.name)
    for recording in found:
        if len(recording.name) > LONGEST_NAME:
            problem = f"its path below {root} makes a name of {len(recording.name)} characters"
            raise DataError(recording.path, problem, f"Rename its folders: {LONGEST_NAME} are the most.")
    for one, next_one in pairwise(found):
        if one.name == next_one.name:
            raise DataError(next_one.path, f"would have the name of {one.path}", "Rename one of these folders.")
    return found


def split_lists(root: Path) -> list[str]:
    """Names of the splits that a folder has lists of."""
    if scannet.is_data_set(root):
        return scannet.split_names(root)
    scenes = {folder.parent for layout, folder in _image_folders(root) if layout == SEVEN_SCENES and folder != root}
    return [
        split
        for split in _USUAL_SPLITS
        if (root / f"{split}.txt").is_file()
        or any((scene / seven_scenes.SPLIT_FILES.get(split, "")).is_file() for scene in scenes)
    ]


def _image_folders(root: Path, levels: int = _DEPTH_OF_SEARCH) -> list[tuple[Layout, Path]]:
    """Folders that are recordings; what lies below one belongs to it."""
    for layout, module in _FORMATS:
        if module.is_recording(root):
            return [(layout, root)]
    if levels == 0:
        return []
    below = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return [found for entry in below for found in _image_folders(entry, levels - 1)]


def _name(root: Path, folder: Path) -> str:
    """A recording's name: its path below the data set, fit for a file's name."""
    return "_".join(folder.relative_to(root).parts) or root.resolve().name or "recording"


def _of_list(root: Path, found: list[FolderRecording], split: str) -> list[FolderRecording] | None:
    """The recordings that SPLIT.txt names (or their folders); None if there is no such list."""
    path = root / f"{split}.txt"
    if not path.is_file():
        return None
    by_name = {name: recording for recording in found for name in (recording.name, _below(root, recording.path))}
    chosen = {}
    for number, line in enumerate(read_text(path, "Save it as UTF-8.").splitlines(), 1):
        if name := line.strip():
            if name not in by_name:
                remedy = f"Take it out; there are {_some([recording.name for recording in found])}."
                raise DataError(path, f"there is no recording {name!r}", remedy, f"line {number}")
            chosen[by_name[name].name] = by_name[name]
    if not chosen:
        raise DataError(path, "the list is empty", "Write a recording's name a line.")
    return [chosen[name] for name in sorted(chosen)]


def _of_scenes(root: Path, found: list[FolderRecording], split: str) -> list[FolderRecording] | None:
    """The sequences that 7-Scenes' own lists name; None if no scene has one."""
    scenes = sorted({recording.path.parent for recording in found if recording.path != root})
    lists = {scene: seven_scenes.split_sequences(scene, split) for scene in scenes}
    if all(names is None for names in lists.values()):
        return None
    chosen = []
    for scene, names in lists.items():
        if names is None:
            path = scene / seven_scenes.SPLIT_FILES[split]
            raise DataError(path, "no such list, but other scenes have theirs", "Restore it, or take --split all.")
        there = {recording.path.name: recording for recording in found if recording.path.parent == scene}
        for name in names:
            if name not in there:
                problem = f"holds no {name}, which {seven_scenes.SPLIT_FILES[split]} names"
                raise DataError(scene, problem, "Unpack it, or take it out of the list.")
            chosen.append(there[name])
    return sorted(chosen, key=lambda recording: recording.name)


def _below(root: Path, folder: Path) -> str:
    return folder.relative_to(root).as_posix()


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

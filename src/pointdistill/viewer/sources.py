"""From what a user names to pictures: a cloud file, a folder of them, a prepared store, saved predictions."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from pointdistill import manifest
from pointdistill.applications.clouds import Z_UP_TO_CAMERA, cloud_files, frame_cloud, read_cloud, turn
from pointdistill.datasets.axes import Axis
from pointdistill.datasets.coordinates import usable
from pointdistill.datasets.scannet import SEMANTIC_CLASSES, class_names
from pointdistill.errors import DataError
from pointdistill.geometry import corners
from pointdistill.geometry.cameras import project, transform
from pointdistill.io.ply import read_vertices
from pointdistill.labelled import kind_of
from pointdistill.prepared_labels import ObjectStore, SceneStore, open_objects, open_part_shapes
from pointdistill.report.examples import (
    AttentionExample,
    DetectionExample,
    Example,
    PipelineExample,
    SegmentationExample,
    load_examples,
)
from pointdistill.store import FrameStore
from pointdistill.viewer.pictures import (
    GREY,
    RIGHT,
    WRONG,
    Boxes,
    Colour,
    Gallery,
    Picture,
    by_class,
    by_height,
    by_share,
    drawn,
    near_origin,
    palette,
)
from pointdistill.viewer.words import Student, TeachersWords, open_frames

TRUE: Colour = (60, 190, 90)
PREDICTED: Colour = (240, 130, 40)
_LEVEL = np.array(Z_UP_TO_CAMERA, np.float32).T
"""From a camera's frame to z up, the camera taken to be level."""
_NYU40 = {info.nyu40: info.colour for info in SEMANTIC_CLASSES}


def open_gallery(
    path: str | Path, student: Student | None = None, teacher: str | None = None, up: Axis | None = None
) -> Gallery:
    """What there is to look at in a file or folder.

    Args:
        path: a cloud file, a folder of such files, a store of frames, shapes, labelled scenes, objects or parts, or a
            folder that holds examples/: an evaluation, a quickstart, analyses, or a fine-tuned run that was evaluated.
        student: of a run, for its captions and features of cloud files and frames.
        teacher: of a store's targets, as `prepare` takes it; None tries the embedded one.
        up: which axis of a cloud file points up; None: z.

    Raises:
        DataError: nothing of that, or damaged.
            Or a student, teacher or axis that says nothing of it.
        PointdistillError: a teacher that is not the targets'.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(path, "no such file or folder", "Name a cloud, a store, or the folder of a run")
    given = {option for option, value in (("run", student), ("teacher", teacher), ("up", up)) if value is not None}
    of_files = given if student is not None else given - {"teacher"}
    if path.is_file():
        _require_use(path, given, of_files)
        return _files(path.name, [path], student, up)
    if manifest.is_there(path):
        kind = kind_of(path)
        _require_use(path, given, {"run", "teacher"} if kind in _FRAMES else set())
        return _store(path, kind, student, teacher)
    if found := _with_examples(path):
        _require_use(path, given, set())
        return _predictions(path, found)
    if files := cloud_files(path):
        _require_use(path, given, of_files)
        return _files(str(path), files, student, up)
    raise DataError(path, *_why_not(path))


_USES = {"run": "for files and frames", "teacher": "for frames, and for what --run says", "up": "for cloud files"}
"""Options, and what they are for."""
_FRAMES = ("frames", "shapes")
"""Kinds of stores whose rows a run and a teacher say something of."""


def _require_use(path: Path, given: set[str], useful: set[str]) -> None:
    """Refuse an option that says nothing of what is to be shown."""
    for option, use in _USES.items():
        if option in given - useful:
            raise DataError(path, f"has no use for --{option}", f"Leave --{option} out: it is {use}")


def _with_examples(path: Path) -> list[Path]:
    """The folder itself, or the tests of a fine-tuned run and the analyses of a pre-training below it."""
    below = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    return [entry for entry in (path, *below) if any((entry / "examples").glob("*.npz"))]


def _why_not(path: Path) -> tuple[str, str]:
    if (path / "model.json").is_file():
        remedy = f"Write some first: pointdistill evaluate {path} --data STORE"
        return "is a fine-tuned model without predictions", remedy
    if (path / "run.json").is_file():
        remedy = (
            f"Write some first: pointdistill analyse {path} --data STORE --heldout STORE; or view a STORE --run {path}"
        )
        return "is a pre-training without pictures", remedy
    kind_of(path)  # says what else it is, and how it becomes a store
    return "holds nothing to look at", "Name a cloud, a store, or the folder of a run"


def _files(title: str, files: Sequence[Path], student: Student | None, up: Axis | None) -> Gallery:
    def picture(number: int) -> Picture:
        path = files[number]
        rows = read_cloud(path)
        kept = usable(rows)
        if not kept.any():
            raise DataError(path, "has no finite points", "Give one that has some")
        points, origin = near_origin(rows[kept])
        chosen = drawn(len(points))
        shown = np.ascontiguousarray(points[chosen] @ turn(up, "gravity").T)
        colours = {"height": by_height(shown)}
        own = _own_colours(path)
        if own is not None:
            colours = {"picture": own[kept][chosen], **colours}
        said = [] if np.array_equal(origin, np.zeros(3)) else [("origin at", " ".join(f"{x:g}" for x in origin))]
        if student is not None:
            colours["features"] = student.colours(points, chosen, up)
            said += student.says(points, up)
        return Picture(str(path), shown, colours, said=said)

    return Gallery(title, [path.name for path in files], "file", picture)


def _own_colours(path: Path) -> UInt8[np.ndarray, "points 3"] | None:
    """A .ply's colours, where its points have any of eight bits."""
    if path.suffix.lower() != ".ply":
        return None
    try:
        vertices = read_vertices(path, ("red", "green", "blue"))
    except DataError:
        return None
    found = np.stack([vertices[name] for name in ("red", "green", "blue")], 1)
    return found if found.dtype == np.uint8 else None


def _store(path: Path, kind: str, student: Student | None, teacher: str | None) -> Gallery:
    if kind in _FRAMES:
        return _frames(*open_frames(path, teacher), student)
    if kind == "scenes":
        return _scenes(SceneStore.open(path))
    if kind in ("objects", "parts"):
        return _objects(path, kind)
    raise DataError(path, f"is a store of {kind}", "Name one of frames, shapes, scenes, objects or parts")


def _frames(store: FrameStore, words: TeachersWords, student: Student | None) -> Gallery:
    level = not store.has_targets or store.up is not None
    images = "images.bin" in store.manifest["files"]

    def upright(points: np.ndarray, frame: int) -> np.ndarray:
        return frame_cloud(store, frame, "gravity") if level else points @ _LEVEL.T

    def picture(frame: int) -> Picture:
        seen = frame_cloud(store, frame, "camera")
        chosen = drawn(len(seen))
        shown = np.ascontiguousarray(upright(seen, frame)[chosen].astype(np.float32))
        colours, image = {"height": by_height(shown)}, None
        if images:
            image = np.asarray(store.image(frame))
            colours = {"picture": _painted(store, frame, seen, image)[chosen], **colours}
        said = words.of(frame)
        if student is not None:
            theirs = frame_cloud(store, frame, student.encoder.frame)
            colours["features"] = student.colours(theirs, chosen)
            if student.distilled is not None:
                said += student.says(frame_cloud(store, frame, student.distilled.recipe.frames.frame))
        title = f"frame {frame}: {store.scan_of(frame)} {store.frames[frame]}"
        return Picture(title, shown, colours, said=said, image=image)

    return Gallery(str(store.path), _frame_names(store), "frame", picture)


def _frame_names(store: FrameStore) -> list[str]:
    """What each frame of a store is called."""
    return [
        f"{scan} {number}" for scan, number in zip(map(store.scan_of, range(len(store))), store.frames, strict=True)
    ]


def _painted(
    store: FrameStore, frame: int, points: Float32[np.ndarray, "points 3"], image: UInt8[np.ndarray, "height width 3"]
) -> UInt8[np.ndarray, "points 3"]:
    """The image's colour where each point is in it; grey where it is outside."""
    to_colour = np.linalg.inv(store.colour_to_depth[frame].astype(np.float64))
    seen = transform(points.astype(np.float64), to_colour)
    intrinsics = store.colour_intrinsics[frame].astype(np.float64)
    size = np.array(image.shape[1::-1], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = (np.asarray(project(seen, intrinsics)) + 0.5) * (size / store.colour_size[frame]) - 0.5
        at = np.where(np.isfinite(at), at, -1e6).round().clip(-1e6, 1e6).astype(np.int64)
    inside = (seen[:, 2] > 0) & (at >= 0).all(1) & (at < size).all(1)
    found = np.full((len(points), 3), GREY, np.uint8)
    found[inside] = image[at[inside, 1], at[inside, 0]]
    return found


def _scenes(store: SceneStore) -> Gallery:
    entries = [(split, name) for split, names in store.splits.items() for name in names]

    def picture(number: int) -> Picture:
        split, name = entries[number]
        scene = store.scene(name)
        chosen = drawn(len(scene.points))
        ids = np.unique(scene.semantic).tolist()
        names = ["none" if nyu40 <= 0 else class_names([nyu40])[0] for nyu40 in ids]
        spare = palette(len(ids))
        table = [GREY if i <= 0 else _NYU40.get(i, spare[place]) for place, i in enumerate(ids)]
        classes, legend = by_class(np.searchsorted(ids, scene.semantic[chosen]), names, table)
        boxes = Boxes("true boxes", scene.boxes, list(class_names(scene.box_classes.tolist())), TRUE)
        colours = {"picture": scene.colours[chosen], "class": classes, "height": by_height(scene.points[chosen])}
        return Picture(f"{name} ({split})", scene.points[chosen], colours, {"class": legend}, [boxes])

    return Gallery(str(store.path), [f"{name} ({split})" for split, name in entries], "scene", picture)


def _objects(path: Path, kind: str) -> Gallery:
    content = manifest.read(path)
    with manifest.reading(path):
        splits = ObjectStore(path, dict(content["splits"].items()), kind).splits
    opened: dict[str, Any] = {
        split: (open_objects if kind == "objects" else open_part_shapes)(path, split) for split in splits
    }
    entries = [(split, row) for split, data in opened.items() for row in range(len(data.names))]

    def called(split: str, row: int) -> str:
        data = opened[split]
        of = data.classes[data.labels[row]] if kind == "objects" else data.category_names[data.categories[row]]
        return f"{data.names[row]}: {of} ({split})"

    def picture(number: int) -> Picture:
        split, row = entries[number]
        data = opened[split]
        points = data.points[row] if kind == "objects" else data.points[row, : data.counts[row]]
        points = _z_up(points, content.get("up", "z"))
        colours, legends = {"height": by_height(points)}, {}
        if kind == "parts":
            ids = list(data.part_ids[data.categories[row]])
            places = np.array([ids.index(part) for part in data.parts[row, : data.counts[row]].tolist()])
            painted, legend = by_class(places, [data.part_names[part] for part in ids], palette(len(ids)))
            colours, legends = {"part": painted, **colours}, {"part": legend}
        return Picture(called(split, row), points, colours, legends)

    return Gallery(str(path), [called(*entry) for entry in entries], "object", picture)


def _z_up(points: Float32[np.ndarray, "points 3"], up: str) -> Float32[np.ndarray, "points 3"]:
    return np.ascontiguousarray(points @ turn("y" if up == "y" else "z", "gravity").T)


def _predictions(path: Path, folders: Sequence[Path]) -> Gallery:
    named: list[tuple[str, Example]] = []
    for folder in folders:
        found, before = load_examples(folder), "" if folder == path else f"{folder.name}: "
        for examples in (found.detection, found.segmentation, found.parts, found.pipeline, found.attention):
            named += [(f"{before}{one.title} ({one.kind})", one) for one in examples]
    if not named:
        remedy = f"Look at them on a page: pointdistill report {path}"
        raise DataError(path / "examples", "holds no scenes, parts or frames", remedy)
    return Gallery(str(path), _distinct([name for name, _ in named]), "scene", lambda at: _picture(*named[at]))


def _distinct(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return found


def _picture(title: str, example: Example) -> Picture:
    match example:
        case DetectionExample():
            boxes = [
                Boxes("true boxes", example.true_boxes, example.true_names, TRUE),
                Boxes("predicted boxes", example.predicted_boxes, example.predicted_names, PREDICTED, example.scores),
            ]
            points = example.points.astype(np.float32)
            return Picture(title, points, {"picture": example.colours, "height": by_height(points)}, boxes=boxes)
        case SegmentationExample():
            return _segmented(title, example)
        case PipelineExample():
            points = (example.cloud @ _LEVEL.T).astype(np.float32)
            said = [
                ("truth", example.truth),
                ("from the picture", example.teacher),
                ("from the points", example.student),
            ]
            patch = np.full(len(points), -1)
            for number, rows in enumerate(example.patches):
                patch[rows] = number
            patches, _ = by_class(patch, [""] * len(example.patches), palette(len(example.patches)))
            image = np.asarray(Image.open(io.BytesIO(example.colour)).convert("RGB"))
            return Picture(title, points, {"height": by_height(points), "patch": patches}, said=said, image=image)
        case AttentionExample():
            points = (example.points @ _LEVEL.T).astype(np.float32)
            colours = {"all concepts": _attended(example, example.attention.mean(0))}
            for number, row in enumerate(example.attention):
                colours[f"concept {number + 1}"] = _attended(example, row)
            return Picture(title, points, colours)
    raise TypeError(type(example).__name__)


def _segmented(title: str, example: SegmentationExample) -> Picture:
    given = example.class_colours
    table = palette(len(example.names)) if given is None else [(int(r), int(g), int(b)) for r, g, b in given]
    predicted, of_predicted = by_class(example.predicted, example.names, table)
    truth, of_truth = by_class(example.truth, example.names, table)
    right = np.where(example.truth < 0, -1, (example.truth == example.predicted).astype(np.int64))
    errors, of_errors = by_class(right, ["wrong", "right"], [WRONG, RIGHT])
    colours = {"predicted": predicted, "truth": truth, "errors": errors}
    if example.colours is not None:
        colours["picture"] = example.colours
    legends = {"predicted": of_predicted, "truth": of_truth, "errors": of_errors}
    return Picture(title, example.points.astype(np.float32), colours, legends)


def _attended(example: AttentionExample, shares: np.ndarray) -> UInt8[np.ndarray, "points 3"]:
    """A point has the largest share of the patches that it is in; grey in none."""
    each = np.full(len(example.points), -1.0)
    for rows, share in zip(example.patches, shares, strict=True):
        each[rows] = np.maximum(each[rows], share)
    found, inside = np.full((len(each), 3), GREY, np.uint8), each >= 0
    found[inside] = by_share(each[inside])
    return found


def edges(boxes: np.ndarray) -> Float32[np.ndarray, "edges 2 3"]:
    """The twelve edges of each box, from corner to corner."""
    import torch

    places = corners(torch.from_numpy(np.asarray(boxes, np.float32).reshape(-1, 7))).numpy()
    ends = [(a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit]  # corners' numbers differ in one axis
    return places[:, np.array(ends)].reshape(-1, 2, 3)

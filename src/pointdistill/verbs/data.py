"""What lies on disk: the embedded world, stores, and what a folder is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from pointdistill.console import answer, say
from pointdistill.errors import PointdistillError
from pointdistill.verbs.arguments import Axis, Outcome, Positional, arg, at_least

if TYPE_CHECKING:
    from pointdistill.store import FrameStore
    from pointdistill.user_code import UserCode


def world(
    layout: Annotated[Literal["scannet", "modelnet40", "shapenetpart", "shapenet55", "captions"], Positional],
    out: Annotated[Path, Positional, arg(metavar="OUT")],
    count: int = 8,
    frames: int = 60,
    rate: float = 1.0,
    frames_only: bool = False,
    workers: int | None = None,
):
    """Write a piece of the embedded world in a data set's own file format.

    Args:
        layout: whose format.
        out: folder to write into.
        count: rooms (scannet, captions) or objects a class (modelnet40, shapenetpart, shapenet55) for training; a
            quarter as many for validation and for test, but for captions, which have no such splits, and shapenet55,
            which has none for validation.
        frames: frames a room (scannet, captions).
        rate: frames a second of the walk through a room (scannet).
        frames_only: leave out the fused mesh and its labels (scannet).
        workers: processes; default the usable cores.
    """
    from pointdistill.world.write import write_world

    at_least(1, count=count, frames=frames, workers=workers)
    if rate <= 0:
        raise PointdistillError(f"--rate {rate:g}: must be above 0")
    write_world(layout, out, count, frames, rate, frames_only, workers)
    return {"out": out, "layout": layout}


def prepare(
    data: Annotated[Path, Positional, arg(metavar="DATA")],
    out: Annotated[Path, Positional, arg(metavar="OUT")],
    labels: bool = False,
    split: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    every: int = 25,
    points: int = 16384,
    keep_images: int | None = None,
    teacher: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    up: Axis | None = None,
    variant: str | None = None,
    reader: str | None = None,
):
    """Walk RGB-D recordings, run the frozen teacher once a frame, write a store of clouds and targets.

    On a finished store, another teacher's targets are added to what is there. With --labels: parse labelled scenes,
    objects or part-labelled shapes into a store for `finetune` and `evaluate` instead. Of ShapeNet-55: a store of its
    clouds without targets, for recipes that reconstruct.

    Args:
        data: folder of the data set: ScanNetV2, TUM RGB-D, 7-Scenes, Redwood or Open3D, or one with recording.json (any
            other: --reader); with --labels ScanNetV2, ModelNet40, ScanObjectNN or ShapeNetPart; ShapeNet-55.
        out: folder of the store.
        labels: the labelled data of the folder instead of its recordings.
        split: which split list to take recordings from, default train; `all` takes every recording. A folder without
            any list is taken whole. With --labels once for each split, default all that there are lists of.
        every: take every n-th frame.
        points: points kept a frame.
        keep_images: also keep jpegs of this short side, for methods that train on images.
        teacher: default the embedded one; else a folder of `teacher train`, clipcap:WEIGHTS@CLIP, clip-feature:CLIP,
            clip-patches:CLIP, hf:MODEL, hf-pooled:MODEL, imagenet, imagenet-map, small-feature, small-patches, random,
            or FILE.py:CLASS. CLIP and MODEL are folders or OWNER/NAME on the model hub (docs/teacher.md).
        workers: processes; default the usable cores.
        scheduler: work on the workers of this dask scheduler instead, for instance tcp://node7:8786; they must see
            DATA, OUT and the teacher under the same paths.
        up: the axis of the recordings' world that points up, where they do not say so; poses are turned to have z up.
        variant: of ScanObjectNN: obj_only, obj_bg or pb_t50_rs, with --labels.
        reader: FILE.py:CLASS, a class of your own that reads DATA, whatever its layout (docs/own-data.md).
    """
    from contextlib import nullcontext

    from pointdistill.cluster import cluster_executor
    from pointdistill.prepare import load_user_reader, prepare_frames
    from pointdistill.prepare_shapes import holds_shapes, prepare_shapes
    from pointdistill.teachers.named import teacher_factory
    from pointdistill.user_code import user_code

    at_least(1, every=every, points=points, keep_images=keep_images, workers=workers)
    code = user_code(reader, "--reader") if reader else None
    if reader and code is None:
        raise PointdistillError(f"--reader {reader}: name a class in a Python file: FILE.py:CLASS")
    if labels:
        of_frames = {"teacher": teacher, "keep_images": keep_images, "up": up, "scheduler": scheduler}
        return _prepare_labels(data, out, split, workers, variant, code, **of_frames)
    if variant:
        raise PointdistillError("--variant belongs to --labels. Leave it out")
    if len(split) > 1:
        raise PointdistillError("several --split belong to --labels; recordings are prepared a split a store")
    if code is None and holds_shapes(data):
        _refuse("Leave it out for shapes", teacher=teacher, keep_images=keep_images, up=up, scheduler=scheduler)
        return _frames(prepare_shapes(data, out, split[0] if split else "train", points))
    if scheduler and workers:
        raise PointdistillError("--scheduler and --workers exclude each other: the cluster has its own workers")
    if scheduler:  # its workers may stand in other folders
        data = data.absolute()
    factory = teacher_factory(teacher)
    with cluster_executor(scheduler) if scheduler else nullcontext() as executor:
        store = prepare_frames(
            data,
            out,
            factory,
            split=split[0] if split else "train",
            every=every,
            points=points,
            keep_images=keep_images,
            workers=workers,
            executor=executor,
            up_axis=up,
            reader=load_user_reader(code, data) if code else None,
        )
    return _frames(store)


def _prepare_labels(
    data: Path,
    out: Path,
    splits: tuple[str, ...],
    workers: int | None,
    variant: str | None,
    code: "UserCode | None",
    **of_frames: object,
) -> dict[str, Any]:
    from pointdistill.prepare import in_words, load_user_reader, prepare_labels, prepare_user_labels, sizes

    _refuse("Leave it out with --labels", **of_frames)
    if code is None:
        store = prepare_labels(data, out, splits, workers, variant)
    elif variant:
        raise PointdistillError("--variant is of ScanObjectNN, which --reader does not read. Leave one out")
    else:
        store = prepare_user_labels(load_user_reader(code, data), out, splits, workers)
    say(f"{store.path}: {in_words(store)}")
    return {"out": store.path, "kind": store.kind, "splits": sizes(store)}


def _frames(store: "FrameStore") -> dict[str, Any]:
    skipped = store.manifest.get("skipped", [])
    teacher = store.teacher["identity"] if store.has_targets else None
    return {
        "out": store.path,
        "frames": len(store),
        "scans": len(store.scan_names),
        "skipped": skipped,
        "teacher": teacher,
    }


def _refuse(remedy: str, **of_frames: object) -> None:
    """Raises PointdistillError if one of these is given."""
    given = next((name for name, value in of_frames.items() if value is not None), None)
    if given:
        raise PointdistillError(f"--{given.replace('_', '-')} belongs to recordings. {remedy}")


def doctor(path: Annotated[Path, Positional, arg(metavar="PATH")], every: int = 25, points: int = 32):
    """Say what a folder is, what of it is missing or broken, how many pairs it would give, and at what cost.

    Labelled data are read whole, and every problem in them is listed. Exit code: 0 where all can be used, 1 where
    problems of labelled data were listed, 2 where nothing can be used or nothing is known.

    Args:
        path: a data set in any layout, a store, or the folder of a pre-training.
        every: count every n-th frame.
        points: fewest points that a labelled cloud or scene may hold; the default is one patch.
    """
    from pointdistill.doctor import Problem, examine

    at_least(1, every=every, points=points)
    lines = []
    for line in examine(path, every, points):
        answer(line)
        lines.append(line)
    problems = [line.strip() for line in lines if isinstance(line, Problem)]
    return Outcome({"path": path, "lines": lines, "problems": problems}, code=1 if problems else 0)

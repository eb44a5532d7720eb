"""What page.js draws in 3D, as plain JSON values: points decimated and quantised to 16 bits, boxes, labels as bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from pointdistill.geometry.boxes import iou_3d
from pointdistill.report.examples import (
    AttentionExample,
    DetectionExample,
    Examples,
    NeighboursExample,
    PipelineExample,
    SamplingExample,
    SegmentationExample,
)
from pointdistill.report.packing import as_base64, quantised, upright
from pointdistill.report.pictures import depth_uri, jpeg_uri, prefix_uri
from pointdistill.seeding import numpy_generator

POINT_BUDGET = 300_000  # over all scenes of a page: with 11 bytes a point some 4.5 MB of text
FOUND_IOU = 0.25

# 12 hues that stay apart on light and dark grounds, for classes that bring no colours.
CLASS_COLOURS = np.array(
    [(59, 125, 221), (240, 140, 46), (46, 160, 103), (214, 72, 84), (145, 99, 203), (158, 112, 84), (226, 112, 178),
     (140, 145, 153), (188, 178, 40), (45, 182, 200), (110, 70, 30), (120, 200, 120)], dtype=np.uint8,
)  # fmt: skip

Entry = dict[str, Any]
Sources = Sequence[tuple[str, Examples]]
"""Whose predictions, and the examples with them."""


def examples_payload(sources: Sources) -> dict[str, list[Entry]]:
    """All that the page's script draws, section by section; scenes that several sources show are one entry."""
    every = [examples for _, examples in sources]
    return {
        "pipeline": [pipeline(one) for examples in every for one in examples.pipeline],
        "scenes": scenes(sources),
        "attention": [attention(one, *_named(who, sources)) for who, found in sources for one in found.attention],
        "sampling": [sampling(one) for examples in every for one in examples.sampling],
        "neighbours": [neighbours(one, *_named(who, sources)) for who, found in sources for one in found.neighbours],
    }


def _named(who: str, sources: Sources) -> tuple[str, ...]:
    """Whose an example is, where there are several who could have it."""
    return (who,) if len(sources) > 1 else ()


def scenes(sources: Sources) -> list[Entry]:
    """Scenes and shapes with what is true and what each source predicts of them, kind by kind."""
    shown = [
        (who, one)
        for kind in ("detection", "segmentation", "parts")
        for who, examples in sources
        for one in getattr(examples, kind)
    ]
    limit = _share(len({_key(one) for _, one in shown}))
    found: dict[tuple, Entry] = {}
    for who, one in shown:
        if (entry := found.get(_key(one))) is None:
            entry = found[_key(one)] = scene(one, limit)
        run = detected(one) if isinstance(one, DetectionExample) else labelled(one, limit)
        names = [run["name"] for run in entry["runs"]]
        entry["runs"].append({"name": f"{who} ({names.count(who) + 1})" if who in names else who, **run})
        if isinstance(one, DetectionExample):
            entry["names"] = sorted({*entry["names"], *one.predicted_names, *one.true_names})
    return list(found.values())


def _key(example: DetectionExample | SegmentationExample) -> tuple:
    """What makes two examples one scene: kind, name, points, truth."""
    truth = example.true_boxes if isinstance(example, DetectionExample) else example.truth
    names = () if isinstance(example, DetectionExample) else tuple(example.names)
    return example.kind, example.title, names, example.points.tobytes(), np.asarray(truth).tobytes()


def scene(example: DetectionExample | SegmentationExample, limit: int) -> Entry:
    """A scene without predictions: points, their picture's colours where known, true boxes or classes."""
    keep = _keep(len(example.points), limit)
    colours = example.colours
    entry: Entry = {
        "kind": example.kind,
        "title": example.title,
        "cloud": quantised(example.points[keep]),
        "colours": None if colours is None else as_base64(colours[keep].astype(np.uint8)),
        "names": [],
        "palette": None,
        "truth": None,
        "true": None,
        "runs": [],
    }
    if isinstance(example, DetectionExample):
        return entry | {"true": {"boxes": example.true_boxes.round(3).tolist(), "names": example.true_names}}
    palette = example.class_colours
    if palette is None:
        palette = CLASS_COLOURS[np.arange(len(example.names)) % len(CLASS_COLOURS)]
    truth = _classes(example.truth[keep])
    return entry | {"names": example.names, "palette": palette.tolist(), "truth": truth}


def pipeline(example: PipelineExample) -> Entry:
    """A frame's pictures, captions and its cloud with the patches; camera frame turned to x right, y forward, z up."""
    prefixes = [prefix for prefix in (example.teacher_prefix, example.student_prefix) if prefix is not None]
    limit = float(np.quantile(np.abs(np.concatenate(prefixes)), 0.98)) if prefixes else 1.0
    return {
        "title": example.title,
        "colour": jpeg_uri(example.colour),
        "depth": depth_uri(example.depth),
        "truth": example.truth,
        "teacher": example.teacher,
        "student": example.student,
        "teacher_prefix": None if example.teacher_prefix is None else prefix_uri(example.teacher_prefix, limit),
        "student_prefix": None if example.student_prefix is None else prefix_uri(example.student_prefix, limit),
        "cloud": quantised(upright(example.cloud)),
        "patches": as_base64(example.patches.astype("<u4")),
        "size": example.patches.shape[1],
    }


def detected(example: DetectionExample) -> Entry:
    """Predicted boxes by descending score, with what each found."""
    order = np.argsort(-example.scores, kind="stable")
    boxes, names = example.predicted_boxes[order], [example.predicted_names[index] for index in order]
    found, overlap = matches(boxes, names, example.true_boxes, example.true_names)
    predicted = {
        "boxes": boxes.round(3).tolist(),
        "names": names,
        "scores": example.scores[order].round(3).tolist(),
        "found": found.tolist(),
        "overlap": overlap.round(2).tolist(),
    }
    return {"labels": None, "right": None, "boxes": predicted}


def matches(
    boxes: Float[np.ndarray, "predicted 7"],
    names: Sequence[str],
    true_boxes: Float[np.ndarray, "true 7"],
    true_names: Sequence[str],
) -> tuple[Bool[np.ndarray, " predicted"], Float[np.ndarray, " predicted"]]:
    """Which predictions, best score first, find a true box of their class, and the greatest overlap with one.

    As in AP: a prediction takes the true box it overlaps most; it counts if the IoU is above 0.25 and no better scored
    one had taken that box. Since only better scored ones matter, a score threshold does not change who found what.
    """
    found, best = np.zeros(len(boxes), dtype=bool), np.zeros(len(boxes))
    overlap = iou_3d(torch.from_numpy(boxes).double(), torch.from_numpy(true_boxes).double()).numpy()
    taken: set[int] = set()
    for index, name in enumerate(names):
        same = np.array([other == name for other in true_names], dtype=bool)
        if not same.any():
            continue
        overlaps = np.where(same, overlap[index], -1.0)
        target = int(overlaps.argmax())
        best[index] = overlaps[target]
        found[index] = overlaps[target] > FOUND_IOU and target not in taken
        taken |= {target} if found[index] else set()
    return found, best


def labelled(example: SegmentationExample, limit: int) -> Entry:
    """The predicted class of each point, and the share of labelled points that are right."""
    known = example.truth >= 0
    right = float((example.truth == example.predicted)[known].mean()) if known.any() else None
    keep = _keep(len(example.points), limit)
    return {"labels": _classes(example.predicted[keep]), "right": right, "boxes": None}


def attention(example: AttentionExample, *who: str) -> Entry:
    """A frame's points, which of them each patch holds, and how much each concept reads of each patch."""
    return {
        "title": ": ".join([*who, example.title]),
        "cloud": quantised(upright(example.points)),
        "patches": as_base64(example.patches.astype("<u4")),
        "size": example.patches.shape[1],
        "attention": as_base64(example.attention.astype("<f4")),
        "groups": example.attention.shape[1],
        "concepts": example.attention.shape[0],
    }


def sampling(example: SamplingExample) -> Entry:
    """A frame's cloud, and the numbers of the points of each draw."""
    ends = np.cumsum(example.counts)
    draws = np.split(example.rows, ends[:-1])
    return {
        "title": example.title,
        "cloud": quantised(upright(example.points)),
        "all": len(example.points),
        "draws": [
            {"count": int(count), "rows": as_base64(rows.astype("<u4")), "distance": float(distance)}
            for count, rows, distance in zip(example.counts, draws, example.distances, strict=True)
        ],
    }


def neighbours(example: NeighboursExample, *who: str) -> Entry:
    """A cloud and those most like it, best first, each with its name and what the teacher says of it."""
    ends = np.cumsum(example.counts)
    return {
        "title": ": ".join([*who, example.names[0]]),
        "clouds": [quantised(upright(points)) for points in np.split(example.points, ends[:-1])],
        "names": example.names,
        "said": example.said,
        "likeness": example.likeness.round(3).tolist(),
    }


def _share(count: int) -> int:
    """Points that each of so many scenes may keep, so that a page of fifty stays quick."""
    return int(np.clip(POINT_BUDGET // max(count, 1), 2000, 20000))


def _keep(count: int, limit: int) -> Int[np.ndarray, " kept"]:
    """Indices of at most `limit` points, chosen at random but the same in each page."""
    if count <= limit:
        return np.arange(count)
    return np.sort(numpy_generator(0, "report", count).choice(count, limit, replace=False))


def _classes(labels: Int[np.ndarray, " points"]) -> str:
    """Class indices as bytes, 255 for none."""
    return as_base64(np.where((labels < 0) | (labels > 254), 255, labels).astype(np.uint8))

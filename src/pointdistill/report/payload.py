"""What page.js draws, as plain JSON values: points decimated and quantised to 16 bits, curves, figures a seed."""

import html
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from pointdistill.geometry.boxes import iou_3d
from pointdistill.report.comparison import FINE_TUNING, INIT_NAMES, Line, mean_and_std, task_lines, title
from pointdistill.report.examples import DetectionExample, Examples, PipelineExample, SegmentationExample
from pointdistill.report.packing import as_base64, quantised, short, upright
from pointdistill.report.pictures import depth_uri, jpeg_uri, prefix_uri
from pointdistill.report.schema import CurvePoint, PretrainingRun, Results, Row, TaskResult
from pointdistill.seeding import numpy_generator

POINT_BUDGET = 300_000  # over all scenes of a section: with 9 bytes a point some 4 MB of text
FOUND_IOU = 0.25

# 12 hues that stay apart on light and dark grounds, for classes that bring no colours.
CLASS_COLOURS = np.array(
    [(59, 125, 221), (240, 140, 46), (46, 160, 103), (214, 72, 84), (145, 99, 203), (158, 112, 84), (226, 112, 178),
     (140, 145, 153), (188, 178, 40), (45, 182, 200), (110, 70, 30), (120, 200, 120)], dtype=np.uint8,
)  # fmt: skip


def payload(results: Results, examples: Examples) -> dict[str, Any]:
    """All that the page's script needs, section by section."""
    return {
        **examples_payload(examples),
        "bars": [bars(name, task) for name, task in results.tasks.items()],
        "pretraining": pretraining_charts(results.pretraining),
        "finetuning": [chart for name, task in results.tasks.items() if (chart := validation_chart(name, task))],
    }


def examples_payload(examples: Examples) -> dict[str, Any]:
    """The same without results: examples alone."""
    labelled: list[SegmentationExample] = [*examples.segmentation, *examples.parts]
    return {
        **{kind: [] for kind in ("bars", "pretraining", "finetuning", "attention", "sampling")},
        "pipeline": [pipeline(example) for example in examples.pipeline],
        "detection": [detection(example, _share(examples.detection)) for example in examples.detection],
        "labelled": [labelling(example, _share(labelled)) for example in labelled],
    }


def bars(name: str, task: TaskResult) -> dict[str, Any]:
    """A task's main metric under each protocol and label fraction, a bar an initialisation with its figures a seed."""
    shown = [line for line in task_lines(name, task) if line.metric == task.metric]
    several = len({line.labels for line in shown}) > 1
    groups = [
        {"label": _group_label(line, several), "bars": [_bar(line, init) for init in line.figures]} for line in shown
    ]
    tuned = sum(line.protocol == FINE_TUNING for line in shown)
    return {"title": title(name), "groups": groups, "tuned": tuned, "no_learning": task.no_learning}


def _group_label(line: Line, several: bool) -> str:
    """Protocol or, where there are several label budgets, the budget; in short lines, which plotly parts by <br>."""
    text = line.labels if several and line.protocol == FINE_TUNING else line.protocol
    return "<br>".join(html.escape(part, quote=False) for part in textwrap.wrap(text, 10, break_on_hyphens=False))


def _bar(line: Line, init: str) -> dict[str, Any]:
    mean, std = mean_and_std(line.figures[init])
    return {"init": init, "name": INIT_NAMES[init], "figures": line.figures[init], "mean": mean, "std": std}


def pretraining_charts(runs: Sequence[PretrainingRun]) -> list[dict[str, Any]]:
    """Loss curves and the R^2 of the prefix on unseen rooms; reconstruction has another loss, so a chart of its own."""
    reconstructions = [run for run in runs if run.method == "point_mae"]
    distillations = [run for run in runs if run.method != "point_mae"]
    charts = [
        ("Distillation loss", "loss", [_run_series(run, "loss") for run in distillations]),
        ("Held-out R² of the predicted prefix", "R²", [_run_series(run, "r2") for run in runs]),
        ("Reconstruction loss (Point-MAE)", "loss", [_run_series(run, "loss") for run in reconstructions]),
    ]
    return [
        {"title": heading, "x": "step", "y": axis, "series": kept}
        for heading, axis, series in charts
        if (kept := [one for one in series if len(one["x"]) > 1])
    ]


def _run_series(run: PretrainingRun, what: str) -> dict[str, Any]:
    points = [point for point in run.curve if getattr(point, what) is not None]
    name = f"{INIT_NAMES.get(run.method, run.method)}, seed {run.seed}"
    return {
        "init": run.method,
        "name": name,
        "x": [point.step for point in points],
        "y": [short(getattr(point, what)) for point in points],
    }


def validation_chart(name: str, task: TaskResult) -> dict[str, Any] | None:
    """Validation curves of fine-tuning at the main label fraction: seeds thin, their mean thick where steps agree."""
    rows = [row for row in task.rows if row.protocol == "fine-tuning" and row.labels == task.labels and any(row.curves)]
    series = [one for row in rows for one in _row_series(row)]
    axis = f"{task.metric} ({task.unit})" if task.unit else task.metric
    return {"title": title(name), "x": "step", "y": axis, "series": series} if series else None


def _row_series(row: Row) -> list[dict[str, Any]]:
    name = INIT_NAMES[row.init]
    curves = [curve for curve in row.curves if curve]
    series = [_curve_series(row.init, f"{name}, {index + 1} of {len(curves)}", c) for index, c in enumerate(curves)]
    steps = {tuple(point.step for point in curve) for curve in curves}
    if len(steps) != 1:
        return series
    means = np.mean([[point.value for point in curve] for curve in curves], axis=0)
    mean = {"init": row.init, "name": f"{name}, mean", "x": list(steps.pop()), "y": [short(value) for value in means]}
    return [mean] if len(curves) == 1 else [*({**one, "thin": True} for one in series), mean]


def _curve_series(init: str, name: str, curve: Sequence[CurvePoint]) -> dict[str, Any]:
    return {"init": init, "name": name, "x": [point.step for point in curve], "y": [short(p.value) for p in curve]}


def pipeline(example: PipelineExample) -> dict[str, Any]:
    """A frame's pictures, captions and its cloud with the patches; camera frame turned to x right, y forward, z up."""
    centres = upright(example.centres)
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
        "centres": centres.round(4).tolist(),
    }


def detection(example: DetectionExample, points: int) -> dict[str, Any]:
    """A scene's points, its true boxes, and its predicted boxes by descending score with what each found."""
    keep = _keep(len(example.points), points)
    order = np.argsort(-example.scores, kind="stable")
    boxes, names = example.predicted_boxes[order], [example.predicted_names[index] for index in order]
    found, overlap = matches(boxes, names, example.true_boxes, example.true_names)
    return {
        "title": example.title,
        "cloud": quantised(example.points[keep]),
        "colours": as_base64(example.colours[keep]),
        "true": {"boxes": example.true_boxes.round(3).tolist(), "names": example.true_names},
        "predicted": {
            "boxes": boxes.round(3).tolist(),
            "names": names,
            "scores": example.scores[order].round(3).tolist(),
            "found": found.tolist(),
            "overlap": overlap.round(2).tolist(),
        },
    }


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


def labelling(example: SegmentationExample, points: int) -> dict[str, Any]:
    """A labelled cloud: true and predicted class a point (-1: none), names and colours, the share of points right."""
    keep = _keep(len(example.points), points)
    colours = example.class_colours
    if colours is None:
        colours = CLASS_COLOURS[np.arange(len(example.names)) % len(CLASS_COLOURS)]
    known = example.truth >= 0
    right = float((example.truth == example.predicted)[known].mean()) if known.any() else None
    return {
        "title": example.title,
        "kind": example.kind,
        "cloud": quantised(example.points[keep]),
        "truth": _classes(example.truth[keep]),
        "predicted": _classes(example.predicted[keep]),
        "names": example.names,
        "colours": colours.tolist(),
        "right": right,
    }


def _share(scenes: Sequence[Any]) -> int:
    """Points a scene may keep, so that a page of fifty scenes stays quick."""
    return int(np.clip(POINT_BUDGET // max(len(scenes), 1), 4000, 20000))


def _keep(count: int, limit: int) -> Int[np.ndarray, " kept"]:
    """Indices of at most `limit` points, chosen at random but the same in each page."""
    if count <= limit:
        return np.arange(count)
    return np.sort(numpy_generator(0, "report", count).choice(count, limit, replace=False))


def _classes(labels: Int[np.ndarray, " points"]) -> str:
    """Class indices as bytes, 255 for none."""
    return as_base64(np.where((labels < 0) | (labels > 254), 255, labels).astype(np.uint8))

"""What analyses.js draws, as plain JSON values."""

import html
from typing import Any

import numpy as np

from pointdistill.report.analyses.schema import (
    Analyses,
    FeatureMap,
    LabelCurves,
    Predictability,
    ProtocolFigures,
    Reading,
)
from pointdistill.report.comparison import INIT_NAMES, mean_and_std
from pointdistill.report.examples import AttentionExample, Examples, SamplingExample
from pointdistill.report.packing import as_base64, quantised, short, upright
from pointdistill.report.payload import examples_payload

HOW = {"prediction": "its own prediction", "ridge": "ridge regression on frozen features"}


def analyses_payload(analyses: Analyses, examples: Examples) -> dict[str, Any]:
    """All that the page's script needs, section by section."""
    found = analyses.predictability
    return {
        **examples_payload(examples),
        "bars": [protocol_bars(one) for one in analyses.protocols],
        "columns": [] if found is None else [token_columns(found), component_columns(found)],
        "maps": [] if analyses.features is None else maps(analyses.features),
        "curves": [label_curves(one) for one in analyses.label_curves],
        "attention": [attention(example) for example in examples.attention],
        "sampling": [sampling(example) for example in examples.sampling],
        "ink": {"hit": "miss"},  # Figure 3 has all predictions in one colour, red
    }


def init_name(init: str) -> str:
    """An initialisation as the page calls it, known or not."""
    return INIT_NAMES.get(init, init.replace("_", " "))


def reading_name(reading: Reading) -> str:
    """Whose prediction it is."""
    return f"{init_name(reading.init)}, {HOW[reading.how]}"


def token_columns(found: Predictability) -> dict[str, Any]:
    """R^2 of each token of the prefix, a bar a reading."""
    count = len(found.readings[0].tokens)
    return _columns("R² of each token of the prefix", "token", count, found, "tokens", None)


def component_columns(found: Predictability) -> dict[str, Any]:
    """R^2 along each principal component, with its share of the variance."""
    title = "R² along the targets' principal components"
    return _columns(title, "principal component", len(found.shares), found, "components", found.shares)


def _columns(
    title: str, axis: str, count: int, found: Predictability, field: str, shares: list[float] | None
) -> dict[str, Any]:
    series = [
        {
            "init": one.init,
            "how": one.how,
            "name": reading_name(one),
            "y": [None if value is None else short(value) for value in getattr(one, field)],
        }
        for one in found.readings
    ]
    return {
        "title": title,
        "x": axis,
        "labels": [str(index + 1) for index in range(count)],
        "series": series,
        "shares": None if shares is None else [short(share) for share in shares],
    }


def maps(found: FeatureMap) -> list[dict[str, Any]]:
    """t-SNE of each backbone, then PCA of each."""
    pictures = [("t-SNE", "tsne", one) for one in found.features] + [("PCA", "pca", one) for one in found.features]
    return [
        {
            "title": f"{name}, {init_name(one.init)}",
            "places": [list(place) for place in getattr(one, field)],
            "labels": found.labels,
            "classes": found.classes,
        }
        for name, field, one in pictures
    ]


def label_curves(found: LabelCurves) -> dict[str, Any]:
    """Means and bands of one standard deviation against the share of labels."""
    return {
        "title": found.title,
        "y": f"{found.metric}, {found.unit}" if found.unit else found.metric,
        "series": [
            {"init": init, "name": init_name(init), "points": [_point(x, figures[x]) for x in sorted(figures)]}
            for init, figures in found.figures.items()
        ],
    }


def _point(x: float, figures: list[float]) -> dict[str, Any]:
    mean, std = mean_and_std(figures)
    return {"x": x, "mean": mean, "std": std, "figures": figures}


def protocol_bars(found: ProtocolFigures) -> dict[str, Any]:
    """A group a protocol, a mark an initialisation: drawn like the results' charts, with a legend of its own."""
    groups = []
    for protocol, inits in found.figures.items():
        bars = []
        for init, figures in inits.items():
            mean, std = mean_and_std(figures)
            bars.append({"init": init, "name": init_name(init), "figures": figures, "mean": mean, "std": std})
        groups.append({"label": html.escape(protocol, quote=False), "bars": bars})
    return {"title": found.title, "groups": groups, "tuned": len(groups), "no_learning": None, "legend": True}


def attention(example: AttentionExample) -> dict[str, Any]:
    """A frame's points, which of them each patch holds, and how much each concept reads of each patch."""
    return {
        "title": example.title,
        "cloud": quantised(upright(example.points)),
        "patches": as_base64(example.patches.astype("<u4")),
        "size": example.patches.shape[1],
        "attention": as_base64(example.attention.astype("<f4")),
        "groups": example.attention.shape[1],
        "concepts": example.attention.shape[0],
    }


def sampling(example: SamplingExample) -> dict[str, Any]:
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

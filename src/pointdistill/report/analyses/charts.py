"""The charts of analyses."""

import numpy as np

from pointdistill.report.analyses.schema import FeatureMap, LabelCurves, Predictability, ProtocolFigures, Reading
from pointdistill.report.charts import HUES, Line, column_chart, dot_chart, ink_of, line_chart, map_chart
from pointdistill.report.comparison import INIT_NAMES, mean_and_std
from pointdistill.report.html import Html, tag
from pointdistill.report.result_charts import dots

HOW = {"prediction": "its own prediction", "ridge": "ridge regression on frozen features"}


def init_name(init: str) -> str:
    """An initialisation as the page calls it, known or not."""
    return INIT_NAMES.get(init, init.replace("_", " "))


def reading_name(reading: Reading) -> str:
    """Whose prediction it is."""
    return f"{init_name(reading.init)}, {HOW[reading.how]}"


def column_charts(found: Predictability) -> list[Html]:
    """R^2 of each token of the prefix, and along each principal component with its share of the variance."""
    tokens = [str(index + 1) for index in range(len(found.readings[0].tokens))]
    components = [str(index + 1) for index in range(len(found.shares))]
    return [
        _columns("R² of each token of the prefix", "token", tokens, found, None),
        _columns("R² along the targets' principal components", "principal component", components, found, found.shares),
    ]


def _columns(heading: str, axis: str, labels: list[str], found: Predictability, shares: list[float] | None) -> Html:
    columns = [
        (reading_name(one), _ink(one.init), one.how == "ridge", one.components if shares else one.tokens)
        for one in found.readings
    ]
    said = [
        f"{name}: {', '.join('none' if value is None else f'{value:.2f}' for value in column)}"
        for name, _, _, column in columns
    ]
    drawn = column_chart(f"{heading}. {'; '.join(said)}", axis, "R²", labels, columns, shares)
    keys = [
        tag("li", tag("span", class_=f"swatch square {ink}{' hatched' if hatched else ''}", aria_hidden="true"), name)
        for name, ink, hatched, _ in columns
    ]
    if shares:
        keys.append(tag("li", tag("span", class_="swatch dotted", aria_hidden="true"), "share of the variance"))
    legend = tag("ul", keys, class_="legend", aria_label="Colours")
    return tag("figure", tag("figcaption", heading), legend, drawn, class_="card wide-chart")


def maps(found: FeatureMap) -> list[Html]:
    """t-SNE of each backbone, then PCA of each."""
    pictures = [("t-SNE", one.tsne, one) for one in found.features] + [("PCA", one.pca, one) for one in found.features]
    return [
        tag(
            "figure",
            tag("figcaption", f"{name}, {init_name(one.init)}"),
            map_chart(
                f"{name}, {init_name(one.init)}: objects by class; the table above says what it shows",
                np.array(places, dtype=float),
                found.labels,
                found.classes,
            ),
            class_="card",
        )
        for name, places, one in pictures
    ]


def map_series(found: FeatureMap) -> list[tuple[int, str, str]]:
    """The classes, as `widgets.toggles` takes them."""
    return [(number, name, f"hue{number % HUES}") for number, name in enumerate(found.classes)]


def label_chart(found: LabelCurves) -> Html:
    """Means and bands of one standard deviation against the share of labels."""
    names = list(found.figures)
    lines = []
    for number, (init, figures) in enumerate(found.figures.items()):
        shares = sorted(figures)
        means = [mean_and_std(figures[share]) for share in shares]
        spread = [std or 0.0 for _, std in means]
        lines.append(
            Line(init_name(init), _ink(init, names), shares, [mean for mean, _ in means], number, spread=spread)
        )
    shares = sorted({share for figures in found.figures.values() for share in figures})
    axis = f"{found.metric}, {found.unit}" if found.unit else found.metric
    said = f"{found.title}, {axis}, by labels; the table below says the same"
    drawn = line_chart(said, f"labels, {found.axis}", axis, lines, logarithmic=min(shares, default=0) > 0, ticks=shares)
    return tag("figure", tag("figcaption", found.title), drawn, class_="card wide-chart")


def label_series(found: LabelCurves) -> list[tuple[int, str, str]]:
    """The initialisations, as `widgets.toggles` takes them."""
    names = list(found.figures)
    return [(number, init_name(init), _ink(init, names)) for number, init in enumerate(names)]


def protocol_chart(found: ProtocolFigures) -> Html:
    """A group a protocol, a mark an initialisation."""
    inits = list(dict.fromkeys(init for figures in found.figures.values() for init in figures))
    groups = [
        (protocol, [dots(init_name(init), _ink(init, inits), values) for init, values in figures.items()])
        for protocol, figures in found.figures.items()
    ]
    heading = f"{found.title}: {found.metric}, {found.unit}"
    said = "; ".join(
        f"{protocol}: {', '.join(f'{dot.name} {dot.mean:.1f}' for dot in shown)}" for protocol, shown in groups
    )
    keys = [
        tag("li", tag("span", class_=f"swatch {_ink(init, inits)}", aria_hidden="true"), init_name(init))
        for init in inits
    ]
    legend = tag("ul", keys, class_="legend", aria_label="Colours")
    drawn = dot_chart(f"{heading}. {said}", groups, narrow=False)
    return tag("figure", tag("figcaption", heading), legend, drawn, class_="card wide-chart")


def _ink(init: str, others: list[str] | None = None) -> str:
    """An initialisation's colour: its own, or one by its place among those that have none."""
    return ink_of(init, [name for name in others or [init] if name not in INIT_NAMES])

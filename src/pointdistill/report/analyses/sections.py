"""The sections of analyses: each returns None where nothing was computed for it."""

from typing import Any

from pointdistill.report.analyses import words
from pointdistill.report.analyses.payload import init_name, reading_name
from pointdistill.report.analyses.schema import Analyses, ConceptFigures, FeatureMap, Predictability
from pointdistill.report.comparison import figure_text
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.sections import detection_section
from pointdistill.report.widgets import picker, plot, scrolling

Part = tuple[str, str, Html | None]


def analyses_parts(analyses: Analyses, content: dict[str, Any], split: str = "test") -> list[Part]:
    """Name, heading and body of each section, for `report.page.document`.

    Args:
        analyses: what was computed.
        content: its `payload.analyses_payload`.
        split: where detections come from.
    """
    return [
        ("prefix", "What geometry says of the prefix", prefix_section(analyses.predictability, content["columns"])),
        ("concepts", "Where the concepts look", concepts_section(analyses.concepts, content["attention"])),
        ("features", "Frozen features by class", features_section(analyses.features, content["maps"])),
        ("labels", "Fewer labels", labels_section(analyses, content["curves"])),
        ("protocols", "Linear probe beside fine-tuning", protocols_section(analyses, content["bars"])),
        ("detection", "Detected boxes (Figure 3)", boxes_section(content["detection"], split)),
        ("sampling", "A cloud and draws of it (Figure 4)", sampling_section(content["sampling"])),
        ("facts", "What was analysed", facts_section(analyses.facts)),
    ]


def prefix_section(found: Predictability | None, charts: list[dict[str, Any]]) -> Html | None:
    """R^2 in all, as a table; by token and by component, as charts."""
    if found is None:
        return None
    rows = [[reading_name(one), _figure(one.total)] for one in found.readings]
    first = sum(found.shares)
    counted = (
        f"Figures are of {found.heldout_frames:,} frames of {found.heldout_scans:,} held-out rooms; components and "
        f"regressions were fitted on {found.train_frames:,} training frames. The {len(found.shares)} components "
        f"shown hold {100 * first:.0f} % of the training targets' variance."
    )
    return join(
        [
            tag("p", words.PREFIX, class_="prose"),
            tag("p", counted, class_="prose quiet"),
            scrolling(table(["predicted by", "R² in all"], rows, [1]), "R² in all"),
            tag("div", [_chart("columns", index, one, _described(one)) for index, one in enumerate(charts)]),
        ]
    )


def _described(spec: dict[str, Any]) -> str:
    said = [
        f"{one['name']}: {', '.join('none' if value is None else f'{value:.2f}' for value in one['y'])}"
        for one in spec["series"]
    ]
    return f"{spec['title']}. {'; '.join(said)}"


def _chart(kind: str, index: int, spec: dict[str, Any], description: str) -> Html:
    return tag("figure", tag("figcaption", spec["title"]), plot(kind, index, description), class_="card wide-chart")


def concepts_section(found: ConceptFigures | None, entries: list[dict[str, Any]]) -> Html | None:
    """One 3D canvas, a menu of frames and one of concepts, and how spread out and alike the concepts are."""
    if found is None or not entries:
        return None
    read = f"{min(found.read):.1f} to {max(found.read):.1f}"
    figures = (
        f"Means over {found.frames:,} held-out frames: a concept's attention is as spread out as an even one over "
        f"{read} of {found.patches} patches."
    )
    if found.overlap is not None:
        figures += (
            f" Two concepts have {100 * found.overlap:.0f} % of their attention in common "
            "(100 %: all concepts look at the same patches)."
        )
    concepts = [{"title": str(index + 1)} for index in range(entries[0]["concepts"])]
    controls = [picker("attention", "Frame", entries), picker("concept", "Concept", concepts, draws="attention")]
    return join(
        [
            tag("p", words.CONCEPTS, class_="prose"),
            tag("p", figures, class_="prose"),
            tag("div", controls, class_="controls"),
            tag("p", id="attention-said", aria_live="polite", class_="quiet"),
            plot("attention", 0, "A frame's cloud coloured by a concept's attention to its patches", "scene"),
        ]
    )


def features_section(found: FeatureMap | None, entries: list[dict[str, Any]]) -> Html | None:
    """The pictures side by side, and figures that no projection distorts."""
    if found is None:
        return None
    rows = [
        [
            init_name(one.init),
            f"{100 * one.neighbours:.1f} %",
            f"{one.silhouette:.3f}",
            f"{100 * sum(one.pca_shares):.0f} %",
        ]
        for one in found.features
    ]
    head = ["backbone", "nearest neighbours, accuracy", "silhouette", "variance in the PCA picture"]
    counted = (
        f"{len(found.labels):,} objects of {len(found.classes)} classes, of the test split. t-SNE: perplexity "
        f"{found.perplexity:.0f}, begun from the PCA, seed {found.seed}."
    )
    charts = [
        tag(
            "figure",
            tag("figcaption", one["title"]),
            plot("maps", index, f"{one['title']}: objects coloured by class"),
            class_="card map",
        )
        for index, one in enumerate(entries)
    ]
    return join(
        [
            tag("p", words.FEATURES, class_="prose"),
            tag("p", counted, class_="prose quiet"),
            scrolling(table(head, rows, range(1, len(head))), "Figures of frozen features"),
            tag("div", charts, class_="charts"),
        ]
    )


def labels_section(analyses: Analyses, charts: list[dict[str, Any]]) -> Html | None:
    """Curves against the share of labels, and the same as tables."""
    if not charts:
        return None
    parts = [tag("p", words.LABELS, class_="prose")]
    for index, (spec, found) in enumerate(zip(charts, analyses.label_curves, strict=True)):
        shares = sorted({share for figures in found.figures.values() for share in figures})
        head = [found.title, *(f"{share:g} %" for share in shares)]
        rows = [
            [init_name(init), *(figure_text(figures.get(share)) for share in shares)]
            for init, figures in found.figures.items()
        ]
        parts.append(_chart("curves", index, spec, f"{spec['title']}, {spec['y']}; the table below says the same"))
        parts.append(scrolling(table(head, rows, range(1, len(head))), f"{found.title} by share of labels"))
    return join(parts)


def protocols_section(analyses: Analyses, charts: list[dict[str, Any]]) -> Html | None:
    """A group of marks a protocol."""
    if not charts:
        return None
    cards = [
        _chart("bars", index, {"title": f"{found.title}: {found.metric}, {found.unit}"}, _said(found.figures))
        for index, found in enumerate(analyses.protocols)
    ]
    return join([tag("p", words.PROTOCOLS, class_="prose"), tag("div", cards, class_="charts")])


def _said(figures: dict[str, dict[str, list[float]]]) -> str:
    return "; ".join(
        f"{protocol}: {', '.join(f'{init_name(init)} {figure_text(values)}' for init, values in inits.items())}"
        for protocol, inits in figures.items()
    )


def boxes_section(entries: list[dict[str, Any]], split: str) -> Html | None:
    """The report's boxes in 3D, in the colours of the paper's Figure 3."""
    section = detection_section(entries, split)
    return None if section is None else join([tag("p", words.BOXES, class_="prose"), section])


def sampling_section(entries: list[dict[str, Any]]) -> Html | None:
    """Panels side by side that turn together, and what each draw leaves between points."""
    if not entries:
        return None
    rows = [
        [
            entry["title"],
            f"{entry['all']:,}",
            *(f"{1000 * draw['distance']:.1f} mm" for draw in entry["draws"]),
        ]
        for entry in entries
    ]
    head = ["frame", "all points", *(f"{draw['count']:,} drawn" for draw in entries[0]["draws"])]
    return join(
        [
            tag("p", words.SAMPLING, class_="prose"),
            tag("h3", "Mean distance of all points to the nearest one drawn"),
            scrolling(table(head, rows, range(1, len(head))), "Distances to drawn points"),
            picker("sampling", "Frame", entries),
            plot("sampling", 0, "A frame's cloud in full and draws of it, side by side", "scene"),
        ]
    )


def facts_section(facts: dict[str, str]) -> Html | None:
    """What the figures are of."""
    return scrolling(table(["", ""], [[*pair] for pair in facts.items()]), "What was analysed") if facts else None


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"

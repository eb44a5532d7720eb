"""The sections of analyses: each returns None where nothing was computed for it."""

from typing import Any

from pointdistill.report.analyses import words
from pointdistill.report.analyses.charts import (
    column_charts,
    init_name,
    label_chart,
    label_series,
    map_series,
    maps,
    protocol_chart,
    reading_name,
)
from pointdistill.report.analyses.schema import (
    Analyses,
    Caption,
    ConceptFigures,
    FeatureMap,
    Predictability,
    ProtocolFigures,
)
from pointdistill.report.comparison import figure_text
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.sections import scenes_section
from pointdistill.report.widgets import picker, scrolling, toggles, viewer

Part = tuple[str, str, Html | None]


def analyses_parts(analyses: Analyses, content: dict[str, Any], split: str = "test") -> list[Part]:
    """Name, heading and body of each section, for `report.page.document`.

    Args:
        analyses: what was computed.
        content: the `payload.examples_payload` of its examples.
        split: where detections come from.
    """
    return [
        ("prefix", "What geometry says of the prefix", prefix_section(analyses.predictability)),
        ("captions", "In words", captions_section(analyses.captions)),
        ("attention", "Where the concepts look", concepts_section(analyses.concepts, content["attention"])),
        ("neighbours", "Nearest by frozen features", neighbours_section(content["neighbours"])),
        ("features", "Frozen features by class", features_section(analyses.features)),
        ("labels", "Fewer labels", labels_section(analyses)),
        ("protocols", "Linear probe beside fine-tuning", protocols_section(analyses)),
        ("scenes", "Detected boxes (Figure 3)", scenes_section(content["scenes"], split)),
        ("sampling", "A cloud and draws of it (Figure 4)", sampling_section(content["sampling"])),
        ("facts", "What was analysed", facts_section(analyses.facts)),
    ]


def prefix_section(found: Predictability | None) -> Html | None:
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
            tag("div", column_charts(found)),
        ]
    )


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
            viewer("attention", "A frame's cloud coloured by a concept's attention to its patches", "large"),
            _scale(),
        ]
    )


def _scale() -> Html:
    """What the colours of attention mean."""
    ends = [tag("span", "0"), tag("span", class_="ramp", aria_hidden="true"), tag("span", class_="scale-most")]
    return tag("p", ends, class_="scale quiet")


def captions_section(found: list[Caption]) -> Html | None:
    """What the teacher's language model reads from the picture's prefix, and from the one predicted of the points."""
    if not found:
        return None
    rows = [[one.frame, one.teacher, one.student] for one in found]
    head = ["frame", "from the picture", "from the points alone"]
    shown = scrolling(table(head, rows, class_="wrapping"), "Captions")
    return join([tag("p", words.CAPTIONS, class_="prose"), shown])


def neighbours_section(entries: list[dict[str, Any]]) -> Html | None:
    """A held-out frame beside those of other scans whose features are most like its own."""
    if not entries:
        return None
    head = tag("tr", [tag("th", text, scope="col") for text in ("", "frame", "cosine", "the teacher's words")])
    listed = tag("table", tag("thead", head), tag("tbody"), id="neighbours-list")
    return join(
        [
            tag("p", words.NEIGHBOURS, class_="prose"),
            picker("neighbours", "Frame", entries),
            viewer(
                "neighbours", "A cloud and those most like it, side by side; the table below says the same", "large"
            ),
            scrolling(listed, "Nearest neighbours"),
        ]
    )


def features_section(found: FeatureMap | None) -> Html | None:
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
    return join(
        [
            tag("p", words.FEATURES, class_="prose"),
            tag("p", counted, class_="prose quiet"),
            scrolling(table(head, rows, range(1, len(head))), "Figures of frozen features"),
            toggles(map_series(found), shape=True),
            tag("div", maps(found), class_="charts"),
        ]
    )


def labels_section(analyses: Analyses) -> Html | None:
    """Curves against the share of labels, and the same as tables."""
    if not analyses.label_curves:
        return None
    parts = [tag("p", words.LABELS, class_="prose"), toggles(label_series(analyses.label_curves[0]))]
    for found in analyses.label_curves:
        shares = sorted({share for figures in found.figures.values() for share in figures})
        head = [found.title, *(f"{share:g} {found.axis}" for share in shares)]
        rows = [
            [init_name(init), *(figure_text(figures.get(share)) for share in shares)]
            for init, figures in found.figures.items()
        ]
        parts.append(label_chart(found))
        parts.append(scrolling(table(head, rows, range(1, len(head))), f"{found.title} by share of labels"))
    return join(parts)


def protocols_section(analyses: Analyses) -> Html | None:
    """A group of marks a protocol, and the same as a table."""
    if not analyses.protocols:
        return None
    cards = [join([protocol_chart(found), _protocol_table(found)]) for found in analyses.protocols]
    return join([tag("p", words.PROTOCOLS, class_="prose"), tag("div", cards)])


def _protocol_table(found: ProtocolFigures) -> Html:
    inits = list(dict.fromkeys(init for figures in found.figures.values() for init in figures))
    head = [found.title, *(init_name(init) for init in inits)]
    rows = [
        [protocol, *(figure_text(figures.get(init)) for init in inits)] for protocol, figures in found.figures.items()
    ]
    return scrolling(table(head, rows, range(1, len(head))), f"{found.title} by protocol")


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
            viewer("sampling", "A frame's cloud in full and draws of it, side by side", "large"),
        ]
    )


def facts_section(facts: dict[str, str]) -> Html | None:
    """What the figures are of."""
    return scrolling(table(["", ""], [[*pair] for pair in facts.items()]), "What was analysed") if facts else None


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"

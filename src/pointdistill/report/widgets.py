"""The pieces that several sections of the page share: places for plots, pickers, legends, pictures, sliders."""

from typing import Any

from pointdistill.report.comparison import INIT_NAMES
from pointdistill.report.html import Html, tag


def plot(kind: str, index: int, description: str, height: str = "") -> Html:
    """The place of a plot, which page.js draws; those with a height of their own are in 3D."""
    spatial = height != ""
    return tag(
        "div",
        class_=f"plot {height}".strip(),
        data_plot=kind,
        data_index=index,
        role="application" if spatial else "img",
        tabindex=0 if spatial else None,
        aria_label=f"{description}. Arrow keys turn it, plus and minus zoom" if spatial else description,
    )


def chart(kind: str, index: int, spec: dict[str, Any]) -> Html:
    """A card with curves; to those who cannot see them it tells where each ends."""
    ends = "; ".join(f"{one['name']} ends at {one['y'][-1]:g}" for one in spec["series"] if not one.get("thin"))
    return tag("figure", tag("figcaption", spec["title"]), plot(kind, index, f"{spec['title']}: {ends}"), class_="card")


def legend(inits: list[str], no_learning: bool = False) -> Html:
    """What the colours mean, once for all charts of a section."""
    entries = [tag("li", tag("span", class_=f"swatch {init}", aria_hidden="true"), INIT_NAMES[init]) for init in inits]
    if no_learning:
        entries.append(tag("li", tag("span", class_="swatch dotted", aria_hidden="true"), "naive, no learning"))
    return tag("ul", entries, class_="legend", aria_label="Colours")


def picker(kind: str, label: str, entries: list[dict[str, Any]], draws: str | None = None) -> Html:
    """Choose among the examples of a section; hidden if there is only one.

    Args:
        draws: the kind of plot that it changes, where that is another.
    """
    options = [tag("option", entry["title"], value=index) for index, entry in enumerate(entries)]
    return tag(
        "div",
        tag("label", label, " ", tag("select", options, id=f"{kind}-choice", autocomplete="off")),
        tag("button", "‹", type="button", data_step="-1", aria_label="Previous"),
        tag("button", "›", type="button", data_step="1", aria_label="Next"),
        class_="picker",
        data_for=kind,
        data_draws=draws,
        hidden=len(entries) == 1,
    )


def slider(name: str, label: str, low: str = "0") -> Html:
    """A slider from `low` to 1 that shows its value; page.js sets where it begins."""
    control = tag("input", type="range", id=name, min=low, max="1", step="0.01", autocomplete="off")
    return tag("label", label, " ", tag("output", id=f"{name}-value"), control)


def step(heading: str, body: Html) -> Html:
    """One stage of the pipeline with its caption."""
    return tag("figure", body, tag("figcaption", heading), class_="step")


def picture(field: str, source: str, description: str) -> Html:
    """An image that page.js exchanges when another example is picked."""
    return tag("img", src=source, alt=description, data_field=field)


def scrolling(content: Html, label: str) -> Html:
    """A wide table that scrolls by itself, with the keyboard too."""
    return tag("div", content, class_="wide", tabindex=0, role="region", aria_label=label)

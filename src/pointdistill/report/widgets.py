"""The pieces that several sections of the page share: viewers, pickers, legends, pictures, sliders."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pointdistill.report import words
from pointdistill.report.charts import KNOWN, key, stroke
from pointdistill.report.comparison import INIT_NAMES
from pointdistill.report.html import Html, tag

_CAMERA = {
    "left": ("⟲", "Turn left"),
    "right": ("⟳", "Turn right"),
    "in": ("+", "Zoom in"),
    "out": ("\N{MINUS SIGN}", "Zoom out"),
    "above": ("Above", "Look from above"),
    "reset": ("Reset", "Reset the view"),
    "full": ("Full screen", "Full screen, and back"),
}


def viewer(kind: str, description: str, height: str = "") -> Html:
    """The place of a picture in 3D, which page.js draws, with buttons for all that the mouse does."""
    space = tag(
        "div",
        tag("canvas"),
        tag("div", class_="labels", aria_hidden="true"),
        tag("p", words.NO_WEBGL, class_="missing", hidden=True),
        class_=f"space {height}".strip(),
        role="application",
        tabindex=0,
        aria_label=f"{description}. {words.KEYS}",
    )
    buttons = [
        tag("button", text, type="button", data_camera=name, aria_label=said, title=said)
        for name, (text, said) in _CAMERA.items()
    ]
    dots = tag("input", type="range", min="0.5", max="3", step="0.1", value="1", data_size=True, autocomplete="off")
    tools = tag("div", buttons, tag("label", "Points ", dots), class_="tools")
    return tag("div", space, tools, class_="viewer", data_view=kind)


def legend(inits: Sequence[str], no_learning: bool = False) -> Html:
    """What the colours mean, once for all charts of a section."""
    entries = [tag("li", key(KNOWN.index(init), init), INIT_NAMES[init]) for init in inits]
    if no_learning:
        entries.append(tag("li", tag("span", class_="swatch dotted", aria_hidden="true"), "naive, no learning"))
    return tag("ul", entries, class_="legend", aria_label="Colours")


def toggles(series: Sequence[tuple[int, str, str]], shape: bool = False) -> Html:
    """A legend whose buttons hide and show the series of a section's charts.

    Args:
        series: number, name and class of the colour of each.
        shape: with their marks instead of their lines.
    """
    buttons = [
        tag(
            "button",
            key(number, ink) if shape else stroke(ink),
            tag("span", name),
            type="button",
            aria_pressed="true",
            data_series=number,
        )
        for number, name, ink in series
    ]
    return tag("div", buttons, class_="legend toggles", role="group", aria_label="Show or hide")


def picker(kind: str, label: str, entries: Sequence[dict[str, Any]], draws: str | None = None) -> Html:
    """Choose among the examples of a section; hidden if there is only one.

    Args:
        entries: each with a title; those that follow each other with the same "group" stand under its name.
        draws: the kind of picture that it changes, where that is another.
    """
    options: list[Html] = []
    for group, found in groupby(enumerate(entries), key=lambda pair: pair[1].get("group")):
        made = [tag("option", entry["title"], value=index) for index, entry in found]
        options += made if group is None else [tag("optgroup", made, label=group)]
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


def slider(name: str, label: str, low: str = "0", **attributes: str) -> Html:
    """A slider from `low` to 1 that shows its value; page.js sets where it begins."""
    control = tag("input", type="range", id=name, min=low, max="1", step="0.01", autocomplete="off")
    return tag("label", label, " ", tag("output", id=f"{name}-value"), control, **attributes)


def checkbox(text: str, checked: bool = False, swatch: str | None = None, **attributes: str) -> Html:
    """A box to tick; with the colour and dash of what it shows, where it shows lines."""
    line = tag("span", class_=f"swatch edge {swatch}", aria_hidden="true") if swatch else None
    return tag("label", tag("input", type="checkbox", checked=checked, autocomplete="off", **attributes), line, text)


def radios(name: str, heading: str, choices: dict[str, str], chosen: str) -> Html:
    """One of several."""
    made = [
        tag(
            "label",
            tag("input", type="radio", name=name, value=value, checked=value == chosen, autocomplete="off"),
            text,
        )
        for value, text in choices.items()
    ]
    return tag("fieldset", tag("legend", heading), made, class_="radios")


def step(heading: str, body: Html) -> Html:
    """One stage of the pipeline with its caption."""
    return tag("figure", body, tag("figcaption", heading), class_="step")


def picture(field: str, source: str, description: str) -> Html:
    """An image that page.js exchanges when another example is picked."""
    return tag("img", src=source, alt=description, data_field=field)


def scrolling(content: Html, label: str) -> Html:
    """A wide table that scrolls by itself, with the keyboard too."""
    return tag("div", content, class_="wide", tabindex=0, role="region", aria_label=label)

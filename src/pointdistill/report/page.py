"""The report: one HTML file that holds everything it needs and opens without a network.

Scripts and styles stand in scene.js, page.js and page.css; charts are SVG (`report.charts`). A Content-Security-Policy
in the page forbids every request, so that "offline" is the browser's promise and not only ours.
What a run did not save is left out; verdicts ("won") appear only where results.json holds them.
"""

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pointdistill.files import write_text
from pointdistill.report import sections, words
from pointdistill.report.examples import Examples, load_examples
from pointdistill.report.html import Html, join, tag
from pointdistill.report.payload import examples_payload
from pointdistill.report.results_section import results_section, summary
from pointdistill.report.run_details import run_section
from pointdistill.report.schema import Results, read_results

# There is no source but this file.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def write_page(run_folder: Path) -> Path:
    """Write RUN/report.html from RUN/results.json and RUN/examples/; raises DataError if these cannot be read."""
    results, examples = read_results(run_folder / "results.json"), load_examples(run_folder)
    target = run_folder / "report.html"
    write_text(target, page(results, examples))
    return target


def page(results: Results, examples: Examples) -> str:
    """The whole page as text."""
    content = examples_payload([("distilled", examples)])
    parts = [
        ("results", "Results", results_section(results)),
        ("pipeline", "How it works", sections.pipeline_section(content["pipeline"])),
        ("pretraining", "Pre-training", sections.pretraining_section(results)),
        ("finetuning", "Fine-tuning", sections.finetuning_section(results)),
        ("scenes", "Scenes in 3D", sections.scenes_section(content["scenes"])),
        ("run", "The run", run_section(results)),
        ("reading", "How to read this", sections.reading_section(results)),
    ]
    count = len(results.tasks)
    smoke = tag("p", words.SMOKE, class_="banner", role="note")
    hero = [
        tag("h1", f"Distilled against scratch on {count} {'task' if count == 1 else 'tasks'}"),
        tag("p", words.LEAD, class_="lead"),
        smoke if results.mode == "fast" else tag("p", summary(results), class_="summary"),
    ]
    title = f"pointdistill report, {results.mode} run"
    return document(title, results.version, f"{results.mode} run", join(hero), parts, content)


def document(
    title: str,
    version: str,
    what: str,
    hero: Html,
    parts: Sequence[tuple[str, str, Html | None]],
    content: dict[str, Any],
) -> str:
    """A page around its sections.

    Args:
        title: as the browser's window shows it.
        version: of pointdistill.
        what: beside the version, in few words.
        hero: what comes first.
        parts: name, heading and body of each section; those without a body are left out.
        content: what page.js draws (`payload`).
    """
    shown = [(name, heading, body) for name, heading, body in parts if body]
    navigation = tag("nav", [tag("a", heading, href=f"#{name}") for name, heading, _ in shown], aria_label="Sections")
    silent = tag("noscript", tag("p", words.NO_SCRIPT, class_="banner"))
    main = tag("main", silent, [_section(name, heading, body) for name, heading, body in shown], id="content")
    skip = tag("a", "Skip to the content", href="#content", class_="skip")
    closing = f"pointdistill {version}. This file is complete: it opens without a network."
    footer = tag("footer", tag("p", closing))
    body = tag("body", skip, _header(f"{version} · {what}", navigation, hero), main, footer, _scripts(content))
    return "<!doctype html>\n" + tag("html", _head(title), body, lang="en")


def _head(title: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(_resource("page.css"))),
    )


def _header(what: str, navigation: Html, hero: Html) -> Html:
    bar = [
        tag("span", "pointdistill", class_="brand"),
        tag("span", what, class_="quiet"),
        navigation,
        tag("button", "Theme: auto", type="button", id="theme", hidden=True),
    ]
    return tag("header", tag("div", bar, class_="bar"), tag("div", hero, class_="hero"))


def _section(name: str, heading: str, body: Html) -> Html:
    return tag("section", tag("h2", heading, id=f"{name}-heading"), body, id=name, aria_labelledby=f"{name}-heading")


def _scripts(content: dict[str, Any]) -> Html:
    """Data and our script. "<" inside the JSON is escaped, so that no text can end the element."""
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return join(
        [
            tag("script", Html(data), type="application/json", id="data"),
            tag("script", Html(_resource("scene.js") + _resource("page.js"))),
        ]
    )


def _resource(name: str) -> str:
    return resources.files("pointdistill.report").joinpath(name).read_text(encoding="utf-8")

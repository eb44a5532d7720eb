"""The report: one HTML file that holds everything it needs and opens without a network.

Scripts and styles stand in page.js and page.css; plotly.js comes from the plotly package. A Content-Security-Policy in the
page forbids every request, so that "offline" is the browser's promise and not only ours. Whatever a run did not save is left
out; verdicts ("won") appear only where results.json holds them.
"""

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from pointdistill.report.comparison import (
    INIT_NAMES,
    Line,
    difference_text,
    figure_text,
    lines,
    mean_and_std,
    notes,
    p_text,
    shown_inits,
    title,
)
from pointdistill.report.examples import Examples, load_examples
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.payload import payload
from pointdistill.report.run_details import run_section
from pointdistill.report.schema import Results, read_results
from pointdistill.report.tables import captions, columns

# plotly compiles its shaders' bindings with `new Function`, hence 'unsafe-eval'; there is no source but this file.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def write_page(run_folder: Path) -> Path:
    """Write RUN/report.html from RUN/results.json and RUN/examples/; raises DataError if the results cannot be read."""
    results, examples = read_results(run_folder / "results.json"), load_examples(run_folder)
    target, partial = run_folder / "report.html", run_folder / "report.html.part"
    partial.write_text(page(results, examples), encoding="utf-8")
    os.replace(partial, target)
    return target


def page(results: Results, examples: Examples) -> str:
    """The whole page as text."""
    content = payload(results, examples)
    sections = [
        ("results", "Results", _results(results)),
        ("pipeline", "How it works", _pipeline(content["pipeline"])),
        ("pretraining", "Pre-training", _pretraining(content["pretraining"], results)),
        ("finetuning", "Fine-tuning", _finetuning(content["finetuning"])),
        ("detection", "Boxes in 3D", _detection(content["detection"])),
        ("labelled", "Labels in 3D", _labelled(content["labelled"])),
        ("run", "The run", run_section(results)),
        ("reading", "How to read this", _reading(results)),
    ]
    shown = [(name, heading, body) for name, heading, body in sections if body]
    navigation = tag("nav", [tag("a", heading, href=f"#{name}") for name, heading, _ in shown], aria_label="Sections")
    main = tag("main", [_section(name, heading, body) for name, heading, body in shown], id="content")
    skip = tag("a", "Skip to the content", href="#content", class_="skip")
    body = tag("body", skip, _header(results, navigation), main, _footer(results), _scripts(content))
    return "<!doctype html>\n" + tag("html", _head(results), body, lang="en")


def _head(results: Results) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"pointdistill report, {results.mode} run"),
        tag("style", Html(_resource("page.css"))),
    )


def _scripts(content: dict[str, Any]) -> Html:
    """Data, plotly, our script; "<" inside JSON is escaped so that no text can end the element."""
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    library = get_plotlyjs().replace("</script", "<\\/script")
    scripts = [tag("script", Html(data), type="application/json", id="data")]
    return join([*scripts, tag("script", Html(library)), tag("script", Html(_resource("page.js")))])


def _resource(name: str) -> str:
    return resources.files("pointdistill.report").joinpath(name).read_text(encoding="utf-8")


def _section(name: str, heading: str, body: Html) -> Html:
    return tag("section", tag("h2", heading, id=f"{name}-heading"), body, id=name, aria_labelledby=f"{name}-heading")


def _header(results: Results, navigation: Html) -> Html:
    smoke = "This is a smoke run: it shows that everything works, and its figures mean nothing."
    return tag(
        "header",
        tag(
            "div",
            tag("span", "pointdistill", class_="brand"),
            tag("span", f"{results.version} · {results.mode} run", class_="quiet"),
            navigation,
            tag("button", "Theme: auto", type="button", id="theme", hidden=True),
            class_="bar",
        ),
        tag(
            "div",
            tag("h1", _headline(results)),
            tag("p", Html(LEAD), class_="lead"),
            tag("p", smoke, class_="banner", role="note") if results.mode == "fast" else tag("p", _summary(results)),
            class_="hero",
        ),
    )


LEAD = (
    "A point-cloud backbone learned to predict, from geometry alone, what a frozen image teacher makes of the picture of "
    "the same view. Then it was fine-tuned on labelled point clouds, beside the same network started from random weights."
)


def _headline(results: Results) -> str:
    count = len(results.tasks)
    return f"Distilled against scratch on {count} {'task' if count == 1 else 'tasks'}"


def _summary(results: Results) -> Html:
    """What the figures say, in a sentence, and the run's own verdicts where it gave any."""
    heads = [line for line in lines(results) if line.main and line.difference is not None]
    higher = sum(line.difference > 0 for line in heads if line.difference is not None)
    said = [f"After fine-tuning, the distilled backbone has the higher mean on {higher} of {len(heads)} tasks."]
    judged = [task.won for task in results.tasks.values() if task.won is not None]
    if judged:
        said.append(f" By the run's own criterion (see below) {sum(judged)} of {len(judged)} count as won.")
    return tag("span", "".join(said), class_="summary")


def _footer(results: Results) -> Html:
    return tag("footer", tag("p", f"pointdistill {results.version}. This file is complete: it opens without a network."))


def _legend(inits: list[str], no_learning: bool = False) -> Html:
    """What the colours mean, once for all charts of a section."""
    entries = [tag("li", tag("span", class_=f"swatch {init}", aria_hidden="true"), INIT_NAMES[init]) for init in inits]
    if no_learning:
        entries.append(tag("li", tag("span", class_="swatch dotted", aria_hidden="true"), "without learning"))
    return tag("ul", entries, class_="legend", aria_label="Colours")


def _results(results: Results) -> Html:
    rows = lines(results)
    heads = [line for line in rows if line.main]
    known = any(line.no_learning is not None for line in heads)
    return join(
        [
            tag("p", "Dots are seeds, the bold mark is their mean, the whisker one standard deviation. ",
                "Axes do not start at zero.", class_="quiet"),
            _legend(shown_inits(rows), known),
            tag("div", [_card(index, line) for index, line in enumerate(heads)], class_="cards"),
            _results_table(results),
        ]
    )  # fmt: skip


def _card(index: int, line: Line) -> Html:
    difference = line.difference
    sign = "" if difference is None else "up" if difference >= 0.05 else "down" if difference <= -0.05 else ""
    test = (line.significance or {}).get("scratch")
    verdict = None if line.won is None else tag("span", "won" if line.won else "not won", class_="chip")
    figures = [(INIT_NAMES[init], figure_text(line.figures[init])) for init in ("scratch", "distilled") if init in line.figures]
    points = " points" if line.unit == "%" else f" {line.unit}"
    return tag(
        "article",
        tag("h3", title(line.task), verdict),
        tag("p", f"{line.metric}, {line.labels}", class_="quiet"),
        tag("p", tag("span", difference_text(difference), class_=f"difference {sign}"), tag("span", points) if difference is not None else None,
            tag("span", f"{p_text(test.p)}, {test.test}", class_="quiet") if test else None, class_="headline-figure"),
        tag("dl", [join([tag("dt", name), tag("dd", text)]) for name, text in figures], class_="pair"),
        _plot("bars", index, f"{title(line.task)}: {'; '.join(f'{name} {text}' for name, text in figures)}"),
        class_="card",
    )  # fmt: skip


def _results_table(results: Results) -> Html:
    rows, shown = lines(results), columns(lines(results))
    numbers = [index for index, column in enumerate(shown) if column.number]
    body = [[column.cells[index] for column in shown] for index in range(len(rows))]
    whole = table([column.heading for column in shown], body, numbers, class_="results")
    said = [tag("p", line, class_="quiet") for line in captions(results)]
    return join([tag("div", whole, class_="wide", tabindex="0", role="region", aria_label="Results table"), *said])


def _plot(kind: str, index: int, description: str, height: str = "") -> Html:
    """The place of a plot; page.js draws into it."""
    return tag("div", class_=f"plot {height}".strip(), data_plot=kind, data_index=index, role="img", aria_label=description)


def _picker(kind: str, label: str, entries: list[dict[str, Any]]) -> Html:
    """Choose among the examples of a section; left out if there is only one."""
    options = [tag("option", entry["title"], value=index) for index, entry in enumerate(entries)]
    single = len(entries) == 1
    return tag(
        "div",
        tag("label", label, " ", tag("select", options, id=f"{kind}-choice", autocomplete="off")),
        tag("button", "‹", type="button", data_step="-1", aria_label="Previous"),
        tag("button", "›", type="button", data_step="1", aria_label="Next"),
        class_="picker",
        data_for=kind,
        hidden=single,
    )


def _pipeline(entries: list[dict[str, Any]]) -> Html | None:
    if not entries:
        return None
    first = entries[0]
    teacher = [
        _step("Colour frame", _picture("colour", first["colour"], f"Colour frame: {first['truth']}")),
        _prefix("teacher", "What the frozen teacher makes of it", first),
        _caption("teacher", "The frozen language model reads the teacher's prefix", first["teacher"]),
    ]
    student = [
        _step("Depth of the same view", _picture("depth", first["depth"], "Depth of the same view; near is bright")),
        _step("Its point cloud, cut into patches", _plot("pipeline", 0, "Point cloud with its patches, can be turned", "tall")),
        _prefix("student", "What the student predicts from the points alone", first),
        _caption("student", "The same language model reads the student's prefix", first["student"]),
    ]
    return join(
        [
            tag("p", "While it is pre-trained, the student never sees a picture or a caption: it sees points, and its only goal is "
                "the teacher's prefix, a handful of vectors. The language model below is the teacher's own and stays frozen, so "
                "whatever it says from the student's prefix was found in the shape of things.", class_="prose"),
            _picker("pipeline", "Frame", entries),
            tag("div", tag("h3", "The teacher sees the picture"), tag("div", teacher, class_="steps"), class_="lane"),
            tag("div", tag("h3", "The student sees the points"), tag("div", student, class_="steps"), class_="lane"),
            tag("p", tag("b", "The true description: "), tag("span", first["truth"], data_field="truth"), class_="truth"),
            tag("p", "Underlined: words that the true description has as well.", class_="quiet"),
        ]
    )  # fmt: skip


def _step(heading: str, body: Html) -> Html:
    return tag("figure", body, tag("figcaption", heading), class_="step")


def _picture(field: str, source: str, description: str) -> Html:
    return tag("img", src=source, alt=description, data_field=field)


def _prefix(who: str, heading: str, entry: dict[str, Any]) -> Html | None:
    source = entry[f"{who}_prefix"]
    return None if source is None else _step(heading, _picture(f"{who}_prefix", source, f"{heading}: a row a prefix vector"))


def _caption(who: str, heading: str, text: str) -> Html:
    return _step(heading, tag("blockquote", text, data_field=who))


def _pretraining(charts: list[dict[str, Any]], results: Results) -> Html | None:
    if not results.pretraining:
        return None
    measured = any(run.heldout_r2 is not None for run in results.pretraining)
    rows = [
        [
            INIT_NAMES.get(run.method, run.method),
            str(run.seed),
            f"{run.steps:,}",
            f"{run.seconds / 60:.1f} min",
            "" if run.heldout_r2 is None else f"{run.heldout_r2:.3f}",
        ]
        for run in results.pretraining
    ]
    heading = ["pre-training", "seed", "steps", "time", "held-out R²"]
    present = {run.method for run in results.pretraining}
    explained = "R² is the share of the prefix's variance that is predicted, on rooms never trained on: 0 is the mean predictor, 1 is perfect."
    return join(
        [
            tag("p", explained, class_="prose") if measured else None,
            _legend([init for init in INIT_NAMES if init in present]) if charts else None,
            tag("div", [_chart("pretraining", index, chart) for index, chart in enumerate(charts)], class_="charts"),
            tag("div", table(heading, rows, range(1, 5)), class_="wide"),
        ]
    )


def _chart(kind: str, index: int, chart: dict[str, Any]) -> Html:
    ends = "; ".join(f"{one['name']} ends at {one['y'][-1]:g}" for one in chart["series"] if not one.get("thin"))
    return tag("figure", tag("figcaption", chart["title"]), _plot(kind, index, f"{chart['title']}: {ends}"), class_="card")


def _finetuning(charts: list[dict[str, Any]]) -> Html | None:
    if not charts:
        return None
    present = {one["init"] for chart in charts for one in chart["series"]}
    return join(
        [
            tag("p", "The main metric on the validation set while fine-tuning, each seed thin, their mean bold. Look at the end of "
                "the curves: where scratch still climbs, a gap is partly a matter of speed; where it is flat, more steps would "
                "not have closed it.", class_="prose"),
            _legend([init for init in INIT_NAMES if init in present]),
            tag("div", [_chart("finetuning", index, chart) for index, chart in enumerate(charts)], class_="charts"),
        ]
    )  # fmt: skip


def _detection(entries: list[dict[str, Any]]) -> Html | None:
    if not entries:
        return None
    score = tag("label", "Predictions with a score of at least ", tag("output", id="score-value"),
                tag("input", type="range", id="score", min="0", max="1", step="0.01", autocomplete="off"))  # fmt: skip
    height = tag("label", "Cut the room off at ", tag("output", id="cut-value"), tag("input", type="range", id="cut", min="0", max="1", step="0.01", autocomplete="off"))  # fmt: skip
    heading = tag("tr", [tag("th", text, scope="col") for text in ("predicted", "score", "IoU", "")])
    boxes = tag("table", tag("thead", heading), tag("tbody", id="boxes"))
    return join(
        [
            tag("p", "Scenes of the test split. Turn with the mouse, zoom with the wheel, click a legend entry to hide it. A prediction "
                "counts as found if it overlaps a true box of its class with an IoU above 0.25. At first the score threshold shows "
                "about as many predictions as there are true boxes.", class_="prose"),
            tag("div", _picker("detection", "Scene", entries), score, height, class_="controls"),
            tag("div", _plot("detection", 0, "Scene in 3D with true and predicted boxes; the list beside says the same", "scene"),
                tag("div", tag("p", id="found", aria_live="polite"), tag("div", boxes, class_="wide", tabindex="0", role="region",
                    aria_label="Predicted boxes"), class_="beside"), class_="split"),
        ]
    )  # fmt: skip


def _labelled(entries: list[dict[str, Any]]) -> Html | None:
    if not entries:
        return None
    kinds = {entry["kind"] for entry in entries}
    what = {"segmentation": "Scenes, a class for each point", "parts": "Objects, a part for each point"}
    choices = [("truth", "Truth"), ("predicted", "Prediction"), ("errors", "Errors")]
    radios = [
        tag("label", tag("input", type="radio", name="colouring", value=value, checked=value == "predicted", autocomplete="off"), text)
        for value, text in choices
    ]
    return join(
        [
            tag("p", f"{' and '.join(what[kind] for kind in ('segmentation', 'parts') if kind in kinds)}, of the test split. ",
                "Click a legend entry to hide a class.", class_="prose"),
            tag("div", _picker("labelled", "Example", entries),
                tag("fieldset", tag("legend", "Colour by"), radios, class_="radios"), class_="controls"),
            tag("p", id="right", aria_live="polite", class_="quiet"),
            _plot("labelled", 0, "Labelled points in 3D", "scene"),
        ]
    )  # fmt: skip


def _reading(results: Results) -> Html:
    said = [
        ("Fine-tuning", "the whole network is trained on the labels; the two columns share data, schedule, learning rate and seeds, and "
         "differ only in the weights they start from."),
        ("Linear probe", "the backbone is frozen and only a linear layer is trained: it tells what the features hold before any label was "
         "seen. Scratch means random weights there."),
        ("The spread", "is that between fine-tuning seeds. " + " ".join(note for note in notes(results)[1:] if "pre-training" in note)),
    ]  # fmt: skip
    if any("permuted" in line.figures for line in lines(results)):
        said.append(("Permuted targets", "the same distillation with the targets shuffled between frames. What it gains is not knowledge of the "
                     "picture but the use of having been trained at all."))  # fmt: skip
    if any("point_mae" in line.figures for line in lines(results)):
        said.append(("Point-MAE", "reconstruction of hidden patches, on the same frames for as many steps: what the points teach without a teacher."))
    if any(task.won is not None for task in results.tasks.values()):
        said.append(("Won", "the run's own criterion: distilled is significantly better than scratch and than the permuted control, and clears the "
                     "answer without learning."))  # fmt: skip
    if _single_seed(results):
        said.append(("One seed", "a figure without a spread. A difference between two such figures may be chance."))
    said.append(("These figures", "come from the data named above and hold for them. Figures on other data, or of other people's protocols, "
                 "cannot be compared with them directly."))  # fmt: skip
    return tag("dl", [tag("div", tag("dt", term), tag("dd", text)) for term, text in said], class_="reading")


def _single_seed(results: Results) -> bool:
    return any(mean_and_std(figures)[1] is None for line in lines(results) for figures in line.figures.values())

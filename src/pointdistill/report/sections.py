"""The page's sections between results and run details. Each returns None where the run saved nothing for it."""

from typing import Any

from pointdistill.report import words
from pointdistill.report.comparison import INIT_NAMES, LINEAR_PROBE, lines, mean_and_std, notes
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.schema import Results
from pointdistill.report.widgets import chart, legend, picker, picture, plot, scrolling, slider, step

Entry = dict[str, Any]  # one of payload.py's values


def pipeline_section(entries: list[Entry]) -> Html | None:
    """From the picture to the teacher's caption, and from the points to the student's."""
    if not entries:
        return None
    first = entries[0]
    teacher = [
        step("Colour frame", picture("colour", first["colour"], f"Colour frame: {first['truth']}")),
        _prefix("teacher", "What the frozen teacher makes of it", first),
        _caption("teacher", "The frozen language model reads the teacher's prefix", first["teacher"]),
    ]
    student = [
        step("Depth of the same view", picture("depth", first["depth"], "Depth of the same view; near is bright")),
        step("Its point cloud, cut into patches", plot("pipeline", 0, "Point cloud with its patches", "tall")),
        _prefix("student", "What the student predicts from the points alone", first),
        _caption("student", "The same language model reads the student's prefix", first["student"]),
    ]
    truth = tag("span", first["truth"], data_field="truth")
    return join(
        [
            tag("p", words.PIPELINE, class_="prose"),
            picker("pipeline", "Frame", entries),
            _lane("The teacher sees the picture", teacher),
            _lane("The student sees the points", student),
            tag("p", tag("b", "The true description: "), truth, class_="truth"),
            tag("p", words.UNDERLINED, class_="quiet"),
        ]
    )


def _lane(heading: str, steps: list[Html | None]) -> Html:
    return tag("div", tag("h3", heading), tag("div", steps, class_="steps"), class_="lane")


def _prefix(who: str, heading: str, entry: Entry) -> Html | None:
    source = entry[f"{who}_prefix"]
    description = f"{heading}: a row a prefix vector, blue below zero, red above"
    return None if source is None else step(heading, picture(f"{who}_prefix", source, description))


def _caption(who: str, heading: str, text: str) -> Html:
    return step(heading, tag("blockquote", text, data_field=who))


def pretraining_section(charts: list[Entry], results: Results) -> Html | None:
    """Loss and held-out R^2, as curves and as a table."""
    if not results.pretraining:
        return None
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
    measured = any(run.heldout_r2 is not None for run in results.pretraining)
    present = {run.method for run in results.pretraining}
    heading = ["pre-training", "seed", "steps", "time", "held-out R²"]
    return join(
        [
            tag("p", words.R2, class_="prose") if measured else None,
            legend([init for init in INIT_NAMES if init in present]) if charts else None,
            tag("div", [chart("pretraining", index, one) for index, one in enumerate(charts)], class_="charts"),
            scrolling(table(heading, rows, range(1, 5)), "Pre-trainings"),
        ]
    )


def finetuning_section(charts: list[Entry]) -> Html | None:
    """The validation curves of each task."""
    if not charts:
        return None
    present = {one["init"] for spec in charts for one in spec["series"]}
    return join(
        [
            tag("p", words.FLAT, class_="prose"),
            legend([init for init in INIT_NAMES if init in present]),
            tag("div", [chart("finetuning", index, one) for index, one in enumerate(charts)], class_="charts"),
        ]
    )


def detection_section(entries: list[Entry], split: str = "test") -> Html | None:
    """One 3D canvas for all scenes, and the boxes as a list beside it."""
    if not entries:
        return None
    controls = [
        picker("detection", "Scene", entries),
        slider("score", "Predictions with a score of at least"),
        slider("detection-cut", "Cut the room off at", low="0.05"),
    ]
    heading = tag("tr", [tag("th", text, scope="col") for text in ("predicted", "score", "IoU", "")])
    boxes = tag("table", tag("thead", heading), tag("tbody", id="boxes"))
    found = tag("p", id="found", aria_live="polite")
    beside = tag("div", found, scrolling(boxes, "Predicted boxes"), class_="beside")
    canvas = plot("detection", 0, "Scene in 3D with true and predicted boxes; the list beside says the same", "scene")
    return join(
        [
            tag("p", f"Scenes of the {split} split. {words.BOXES}", class_="prose"),
            tag("div", controls, class_="controls"),
            tag("div", canvas, beside, class_="split"),
        ]
    )


def labelled_section(entries: list[Entry], split: str = "test") -> Html | None:
    """One 3D canvas for all clouds with a label a point: scenes and objects."""
    if not entries:
        return None
    kinds = {entry["kind"] for entry in entries}
    what = {"segmentation": "scenes with a class for each point", "parts": "objects with a part for each point"}
    shown = " and ".join(what[kind] for kind in what if kind in kinds)
    choices = {"truth": "Truth", "predicted": "Prediction", "errors": "Errors"}
    radios = [tag("label", _radio("colouring", value, value == "predicted"), text) for value, text in choices.items()]
    controls = [
        picker("labelled", "Example", entries),
        tag("fieldset", tag("legend", "Colour by"), radios, class_="radios"),
        slider("labelled-cut", "Cut the room off at", low="0.05"),
    ]
    return join(
        [
            tag("p", f"From the {split} split: {shown}. Click a legend entry to hide a class.", class_="prose"),
            tag("div", controls, class_="controls"),
            tag("p", id="right", aria_live="polite", class_="quiet"),
            plot("labelled", 0, "Labelled points in 3D", "scene"),
        ]
    )


def _radio(name: str, value: str, checked: bool) -> Html:
    return tag("input", type="radio", name=name, value=value, checked=checked, autocomplete="off")


def reading_section(results: Results) -> Html:
    """What each word of the tables means, and what the figures cannot tell; only what occurs in this run."""
    rows = lines(results)
    spread = ["is that between fine-tuning seeds.", *(note for note in notes(results) if note.startswith("One pre-"))]
    single = any(mean_and_std(figures)[1] is None for row in rows for figures in row.figures.values())
    entries = [
        ("Fine-tuning", words.FINE_TUNING, True),
        ("Linear probe", words.LINEAR_PROBE, any(row.protocol == LINEAR_PROBE for row in rows)),
        ("The spread", " ".join(spread), True),
        ("Permuted targets", words.PERMUTED, any("permuted" in row.figures for row in rows)),
        ("Point-MAE", words.POINT_MAE, any("point_mae" in row.figures for row in rows)),
        ("Won", words.WON, any(task.won is not None for task in results.tasks.values())),
        ("One seed", words.ONE_SEED, single),
        ("These figures", words.THESE_FIGURES, True),
    ]
    shown = [tag("div", tag("dt", term), tag("dd", text)) for term, text, occurs in entries if occurs]
    return tag("dl", shown, class_="reading")

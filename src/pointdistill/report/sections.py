"""The page's sections between results and run details. Each returns None where the run saved nothing for it."""

from pointdistill.report import words
from pointdistill.report.comparison import INIT_NAMES, LINEAR_PROBE, lines, mean_and_std, notes
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.payload import Entry
from pointdistill.report.result_charts import pretraining_charts, series_of, shown_inits, validation_charts
from pointdistill.report.schema import Results
from pointdistill.report.widgets import (
    checkbox,
    picker,
    picture,
    radios,
    scrolling,
    slider,
    step,
    toggles,
    viewer,
)


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
        step("Its point cloud, cut into patches", viewer("pipeline", "Point cloud with its patches")),
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


def pretraining_section(results: Results) -> Html | None:
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
    present = list(dict.fromkeys(run.method for run in results.pretraining if len(run.curve) > 1))
    charts = pretraining_charts(results.pretraining)
    return join(
        [
            tag("p", words.R2, class_="prose") if measured else None,
            toggles(series_of(present)) if charts else None,
            tag("div", charts, class_="charts"),
            scrolling(
                table(["pre-training", "seed", "steps", "time", "held-out R²"], rows, range(1, 5)), "Pre-trainings"
            ),
        ]
    )


def finetuning_section(results: Results) -> Html | None:
    """The validation curves of each task."""
    charts = validation_charts(results)
    if not charts:
        return None
    shown = toggles(series_of(shown_inits(results)))
    return join([tag("p", words.FLAT, class_="prose"), shown, tag("div", charts, class_="charts")])


_KINDS = {"detection": "Detection", "segmentation": "Semantic segmentation", "parts": "Part segmentation"}


def scenes_section(entries: list[Entry], split: str = "test") -> Html | None:
    """One viewer for all scenes and shapes with what is true and predicted; classes and boxes as tables beside it."""
    if not entries:
        return None
    titled = [{**entry, "group": _KINDS[entry["kind"]]} for entry in entries]
    choices = {
        "colour": "Picture",
        "truth": "Truth",
        "predicted": "Prediction",
        "errors": "Errors",
        "height": "Height",
    }
    layers = [
        checkbox("true", True, "true", data_layer="true"),
        checkbox("predicted, match", True, "hit", data_layer="hit"),
        checkbox("predicted, no match", True, "miss", data_layer="miss"),
        checkbox("names", True, id="names"),
    ]
    controls = [
        picker("scenes", "Scene", titled),
        tag("label", "Predicted by ", tag("select", id="scenes-run", autocomplete="off")),
        checkbox("truth beside it", id="beside"),
        radios("colouring", "Colour by", choices, "predicted"),
        tag("fieldset", tag("legend", "Boxes"), layers, class_="radios", data_only="boxes"),
        slider("score", "Score at least", data_only="boxes"),
        slider("scenes-cut", "Cut off at", low="0.05"),
    ]
    every = [
        tag("button", text, type="button", data_classes=which) for which, text in (("all", "All"), ("none", "None"))
    ]
    classes = tag("table", tag("thead"), tag("tbody"), id="classes")
    heading = tag("tr", [tag("th", text, scope="col") for text in ("predicted", "score", "IoU", "")])
    boxes = tag("table", tag("thead", heading), tag("tbody", id="boxes"))
    beside = [
        tag("p", id="found", aria_live="polite"),
        tag("p", "Classes: ", every, class_="all-or-none"),
        scrolling(classes, "Classes"),
        tag("details", tag("summary", "Predicted boxes"), scrolling(boxes, "Predicted boxes"), data_only="boxes"),
    ]
    kinds = {entry["kind"] for entry in entries}
    what = "; ".join(words.SCENES[kind] for kind in _KINDS if kind in kinds)
    many = f"{len(entries)} scenes or objects" if len(entries) > 1 else "One scene or object"
    return join(
        [
            tag("p", f"{many} of the {split} split: {what}. {words.CLICK}", class_="prose"),
            tag("p", words.BOXES, class_="prose") if "detection" in kinds else None,
            tag("div", controls, class_="controls"),
            tag(
                "div",
                tag("div", viewer("scenes", "Scene in 3D; the tables beside say the same", "large"), _picked()),
                tag("div", beside, class_="beside"),
                class_="split",
            ),
        ]
    )


def _picked() -> Html:
    return tag("p", id="picked", aria_live="polite", class_="quiet")


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

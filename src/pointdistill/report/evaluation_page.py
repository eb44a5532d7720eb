"""The page of one test: its figures, class by class, and a few scenes or shapes with truth and prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointdistill.files import read_json, write_text
from pointdistill.report import sections
from pointdistill.report.examples import Examples, load_examples
from pointdistill.report.figures import figure_table, in_words
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.page import document
from pointdistill.report.payload import examples_payload
from pointdistill.report.run_details import value_text
from pointdistill.report.widgets import scrolling

PAGE = "index.html"
_SCENES = {"detection": "detection", "semantic_segmentation": "segmentation"}
_FILES = {
    "semantic_segmentation": "SCAN.ply: each vertex in the colour of its predicted class",
    "detection": "SCAN.ply with SCAN.boxes.ply over it, SCAN.boxes.json",
    "part_segmentation": "CATEGORY_NAME.ply: each point in the colour of its predicted part",
    "classification": "predictions.csv: name, true and predicted class, probabilities",
}


def write_evaluation_page(folder: Path) -> Path:
    """Write FOLDER/index.html from its results.json and examples; raises DataError if these cannot be read."""
    target = folder / PAGE
    write_text(target, evaluation_page(read_json(folder / "results.json"), load_examples(folder)))
    return target


def evaluation_page(results: dict[str, Any], examples: Examples) -> str:
    """The whole page as text.

    Args:
        results: the content of an evaluation's results.json.
        examples: what it saved.
    """
    content: dict[str, Any] = {**examples_payload([("prediction", examples)])}
    content["figures"], split = class_figures([("", results)]), results["data"]["split"]
    parts = [
        ("results", "Results", _figures(results)),
        ("confusions", "Most frequent mistakes", _confusions(results.get("confusions", []))),
        ("scenes", "Scenes in 3D", sections.scenes_section(content["scenes"], split)),
        ("run", "The test", _facts(results)),
    ]
    task = in_words(results["task"])
    heading = f"{task[0].upper()}{task[1:]}, {split} split"
    named = f"A model of the recipe {results['recipe']}" if results["recipe"] else "A model"
    lead = tag("p", f"{named}, tested with pointdistill {results['version']}.", class_="lead")
    return document(heading, results["version"], "evaluation", join([tag("h1", heading), lead]), parts, content)


def class_figures(tests: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """What the viewer puts beside each class: its figures over the whole split, by kind of scene.

    Args:
        tests: whose, "" where there is but one, and the content of its results.json.
    """
    found: dict[str, Any] = {}
    for who, results in tests:
        kind = _SCENES.get(results["task"])
        shown = figure_table(results["figures"], results["metric"])
        if kind is None:
            continue
        of = found.setdefault(kind, {"columns": [], "rows": {}})
        before = len(of["columns"])
        of["columns"] += [f"{name}, {who}" if who else f"{name}, all" for name in shown.columns]
        for name, values in shown.classes:
            of["rows"].setdefault(name, ["–"] * before).extend(values)
        for values in of["rows"].values():
            values += ["–"] * (len(of["columns"]) - len(values))
    return found


def _figures(results: dict[str, Any]) -> Html:
    shown = figure_table(results["figures"], results["metric"])
    means = table(["figure", "%"], [[name, value] for name, value in shown.means], [1])
    if not shown.classes:
        return scrolling(means, "Figures")
    head = ["class", *(f"{name}, %" for name in shown.columns)]
    classes = table(head, [[name, *values] for name, values in shown.classes], range(1, len(head)))
    return join([scrolling(means, "Figures"), tag("h3", "Class by class"), scrolling(classes, "Figures by class")])


def _confusions(entries: list[dict[str, Any]]) -> Html | None:
    rows = [[entry["true"], entry["predicted"], str(entry["count"])] for entry in entries]
    return scrolling(table(["true", "predicted", "objects"], rows, [2]), "Mistakes") if rows else None


def _facts(results: dict[str, Any]) -> Html:
    init = results["init"]
    start = init if isinstance(init, str) or init is None else init.get("recipe") or "a checkpoint"
    facts = {
        "started from": start,
        "labels": "all" if results["labels"] is None else results["labels"],
        "seed": results["seed"],
        "model": results["identity"],
        "store": results["data"]["store"][:16],
        "files": _FILES.get(results["task"]),
        **{f"setting: {name}": value for name, value in results["settings"].items() if not isinstance(value, dict)},
    }
    rows = [[name.replace("_", " "), value_text(value)] for name, value in facts.items() if value is not None]
    return scrolling(table(["", ""], rows), "The test")

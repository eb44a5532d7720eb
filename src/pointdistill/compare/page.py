"""The page that compares runs: `pointdistill report RUNS...`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointdistill import __version__
from pointdistill.compare import words
from pointdistill.compare.curves import curves_section
from pointdistill.compare.figures import Block, compare
from pointdistill.compare.found import Found, TestFound
from pointdistill.compare.groups import (
    Group,
    Starts,
    differing,
    finetuning_groups,
    pretraining_groups,
    without_seed,
)
from pointdistill.compare.lacking import lacking
from pointdistill.compare.tables import blocks_section, label_curves, paper_section
from pointdistill.files import write_text
from pointdistill.report import sections
from pointdistill.report.analyses.charts import label_chart, label_series
from pointdistill.report.analyses.schema import Analyses
from pointdistill.report.analyses.sections import (
    captions_section,
    concepts_section,
    features_section,
    neighbours_section,
    prefix_section,
    sampling_section,
)
from pointdistill.report.evaluation_page import class_figures
from pointdistill.report.examples import Examples
from pointdistill.report.html import Html, join, table, tag
from pointdistill.report.page import document
from pointdistill.report.payload import examples_payload
from pointdistill.report.results_section import results_section
from pointdistill.report.run_details import duration, value_text
from pointdistill.report.widgets import scrolling, toggles

PAGE = "report.html"
_MOST_SETTINGS = 40


def write_comparison(found: Found, out: Path) -> Path:
    """Write the page of what was found; the file is whole or absent."""
    write_text(out, comparison_page(found))
    return out


def blocks_of(found: Found) -> list[Block]:
    """What can be compared among the tests that were found."""
    tests = [*found.tests, *(run.test for run in found.finetunings if run.test is not None)]
    return compare(tests, Starts(found))


def comparison_page(found: Found) -> str:
    """The whole page as text."""
    starts, blocks = Starts(found), blocks_of(found)
    sources, tests = _sources(found, blocks)
    content: dict[str, Any] = {**examples_payload(sources), "figures": class_figures(tests)}
    split = _splits(tests)
    parts = [
        ("figures", "Figures", blocks_section(blocks)),
        *_of_results(found),
        ("labels", "Fewer labels", _labels(blocks)),
        ("paper", "Beside the paper", paper_section(found.tables)),
        ("pretraining", "Pre-training", curves_section(words.CURVES, pretraining_groups(found))),
        ("finetuning", "Fine-tuning", _finetunings(found, starts)),
        ("pipeline", "How it works", sections.pipeline_section(content["pipeline"])),
        ("scenes", "Scenes in 3D", _scenes(content, split)),
        *_of_analyses(found.analyses, content),
        ("settings", "What differs", _settings(found, blocks)),
        ("runs", "The runs", _runs(found)),
        ("lacking", "What is not here", _lacking(found)),
        ("reading", "How to read this", _reading()),
    ]
    title = "Runs side by side"
    hero = join([tag("h1", title), tag("p", words.LEAD, class_="lead"), tag("p", _counted(found), class_="summary")])
    return document(f"pointdistill: {title.lower()}", __version__, "comparison", hero, parts, content)


def _counted(found: Found) -> str:
    kinds = [
        ("pre-training", found.pretrainings),
        ("fine-tuning", found.finetunings),
        ("evaluation", found.tests),
        ("analysis", found.analyses),
        ("quickstart", found.results),
        ("table of the paper", found.tables),
    ]
    several = {"analysis": "analyses", "table of the paper": "tables of the paper"}
    said = [
        f"{len(there)} {name if len(there) == 1 else several.get(name, name + 's')}" for name, there in kinds if there
    ]
    return f"{', '.join(said)}."


def _of_results(found: Found) -> list[tuple[str, str, Html | None]]:
    """A quickstart's own table, where one was named."""
    return [
        (f"results{number}", f"Results of {path.name}", results_section(results))
        for number, (path, results, _) in enumerate(found.results)
    ]


def _labels(blocks: Sequence[Block]) -> Html | None:
    curves = label_curves(blocks)
    if not curves:
        return None
    cards = [join([toggles(label_series(one)), label_chart(one)]) for one in curves]
    return join([tag("p", words.LABELS, class_="prose"), *(tag("section", card) for card in cards)])


def _finetunings(found: Found, starts: Starts) -> Html | None:
    tasks = dict.fromkeys((run.card["task"], str(run.card.get("labels"))) for run in found.finetunings)
    parts = []
    for number, (task, labels) in enumerate(tasks):
        mine = [run for run in found.finetunings if (run.card["task"], str(run.card.get("labels"))) == (task, labels)]
        heading = task.replace("_", " ").capitalize() + ("" if labels == "None" else f", {labels} labels")
        shown = curves_section("" if number else words.CURVES, finetuning_groups(mine, starts), heading)
        parts.append(None if shown is None else tag("section", shown))
    return join(parts) if any(parts) else None


def _sources(found: Found, blocks: Sequence[Block]) -> tuple[list[tuple[str, Examples]], list[tuple[str, dict]]]:
    """Whose predictions are shown: of each group the lowest seed; and the tests with their figures by class."""
    sources: list[tuple[str, Examples]] = []
    tests: list[tuple[str, dict[str, Any]]] = []
    for block in blocks:
        for group in block.groups:
            shown = next((run for run in group.runs if _has_scenes(run)), None)
            if shown is not None:
                name = group.name if len(group.runs) == 1 else f"{group.name}, seed {shown.content['seed']}"
                sources.append((name, shown.examples))
                tests.append((name, shown.content))
    sources += [(f"{path.name}, distilled", examples) for path, _, examples in found.results]
    sources += [(path.parent.name if path.name == "analyses" else path.name, one) for path, _, one in found.analyses]
    return sources, tests


def _has_scenes(run: TestFound) -> bool:
    return bool(run.examples.detection or run.examples.segmentation or run.examples.parts)


def _splits(tests: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    return " and ".join(dict.fromkeys(str(test["data"]["split"]) for _, test in tests)) or "test"


def _scenes(content: dict[str, Any], split: str) -> Html | None:
    shown = sections.scenes_section(content["scenes"], split)
    return None if shown is None else join([tag("p", words.EXAMPLES, class_="prose"), shown])


def _of_analyses(
    found: Sequence[tuple[Path, Analyses, Examples]], content: dict[str, Any]
) -> list[tuple[str, str, Html | None]]:
    """What analyses say of each pre-training, one below the other; pictures in 3D share one viewer a kind."""

    def each(section: Any, field: str) -> Html | None:
        parts = []
        for path, analyses, _ in found:
            body = section(getattr(analyses, field))
            if body is not None:
                name = path.parent.name if path.name == "analyses" else path.name
                parts.append(tag("section", tag("h3", f"{name}: {analyses.title}") if len(found) > 1 else None, body))
        return join(parts) if parts else None

    concepts = next((analyses.concepts for _, analyses, _ in found if analyses.concepts), None)
    return [
        ("prefix", "What geometry says of the prefix", each(prefix_section, "predictability")),
        ("captions", "In words", each(captions_section, "captions")),
        ("attention", "Where the concepts look", concepts_section(concepts, content["attention"])),
        ("neighbours", "Nearest by frozen features", neighbours_section(content["neighbours"])),
        ("features", "Frozen features by class", each(features_section, "features")),
        ("sampling", "A cloud and draws of it", sampling_section(content["sampling"])),
    ]


def _settings(found: Found, blocks: Sequence[Block]) -> Html | None:
    """Tables of what differs, a table a kind of run."""
    parts = []
    trained: list[Group[Any]] = [*pretraining_groups(found)]
    parts.append(_differences("Pre-trainings", trained, [without_seed(group.runs[0].card) for group in trained]))
    for block in blocks:
        cards = [
            {name: group.runs[0].content.get(name) for name in ("recipe", "labels", "settings")}
            for group in block.groups
        ]
        parts.append(_differences(f"{block.task.replace('_', ' ')}, {block.split} split", block.groups, cards))
    kept = [part for part in parts if part is not None]
    return join([tag("p", words.SETTINGS, class_="prose"), *kept]) if kept else None


def _differences(heading: str, groups: Sequence[Group[Any]], cards: Sequence[Mapping[str, Any]]) -> Html | None:
    rows = differing(cards) if len(groups) > 1 else []
    if not rows:
        return None
    shown = [[key, *(_setting(value) for value in values)] for key, values in rows[:_MOST_SETTINGS]]
    more = len(rows) - len(shown)
    note = tag("p", f"and {more} more", class_="quiet") if more > 0 else None
    made = scrolling(table(["setting", *(group.name for group in groups)], shown), f"Settings of {heading}")
    return join([tag("h3", heading), made, note])


def _setting(value: Any) -> str:
    """A setting; of a hash its beginning."""
    text = value_text(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text


def _runs(found: Found) -> Html:
    """Every run: where, what, which seed, how long, whether it is finished."""
    rows = [
        [
            str(run.path),
            "pre-training",
            str(run.card["recipe"].get("name", "?")),
            str(run.seed),
            *_ended(run.log, run.result),
        ]
        for run in found.pretrainings
    ]
    rows += [
        [
            str(run.path),
            f"fine-tuning, {str(run.card['task']).replace('_', ' ')}",
            str(run.card.get("recipe") or ""),
            str(run.card.get("seed", "")),
            *_ended(run.log, run.result),
        ]
        for run in found.finetunings
    ]
    rows += [
        [
            str(test.path),
            f"evaluation, {str(test.content['task']).replace('_', ' ')}",
            str(test.content.get("recipe") or ""),
            str(test.content["seed"]),
            "",
            "",
            f"{test.content['data']['split']} split",
        ]
        for test in found.tests
    ]
    rows += [[str(path), "analysis", "", "", "", "", ""] for path, _, _ in found.analyses]
    rows += [
        [str(path), "quickstart", results.mode, "", "", duration(sum(results.seconds.values())), ""]
        for path, results, _ in found.results
    ]
    head = ["folder", "what", "recipe", "seed", "steps", "time", ""]
    return tag("details", tag("summary", f"{len(rows)} runs"), scrolling(table(head, rows, (3, 4, 5)), "The runs"))


def _ended(log: Sequence[Mapping[str, Any]], result: Mapping[str, Any] | None) -> list[str]:
    if result is None:
        return [f"{log[-1]['step']:,}" if log else "0", "", "not finished"]
    seconds = result.get("seconds")
    steps = result.get("steps")
    return [f"{steps:,}" if isinstance(steps, int) else "", duration(seconds) if seconds is not None else "", ""]


def _lacking(found: Found) -> Html | None:
    rows = lacking(found)
    if not rows:
        return None
    made = tag(
        "table",
        tag("thead", tag("tr", [tag("th", text, scope="col") for text in ("what", "of", "the command that adds it")])),
        tag(
            "tbody",
            [
                tag("tr", tag("th", what, scope="row"), tag("td", of), tag("td", tag("code", command)))
                for what, of, command in rows
            ],
        ),
        class_="wrapping",
    )
    return join([tag("p", words.LACKING, class_="prose"), scrolling(made, "What is lacking")])


def _reading() -> Html:
    return tag("dl", [tag("div", tag("dt", term), tag("dd", text)) for term, text in words.READING], class_="reading")

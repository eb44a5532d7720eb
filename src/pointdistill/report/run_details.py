"""What was run: time by stage, host, data, teacher and recipe, out of the free-form parts of results.json."""

from collections.abc import Iterator
from typing import Any

from pointdistill.report.html import Html, join, tag
from pointdistill.report.schema import Results


def run_section(results: Results) -> Html:
    """Stages as bars, the rest as lists of terms; the recipe, which is long, folded."""
    blocks = [("Host", results.host), ("Data", results.data), ("Teacher", results.teacher)]
    seeds = {name: ", ".join(map(str, task.seeds)) for name, task in results.tasks.items()}
    fractions = {name: task.label_fraction for name, task in results.tasks.items()}
    blocks += [("Seeds", seeds), ("Labels used", fractions)]
    shown = [tag("div", tag("h3", heading), terms(content), class_="card") for heading, content in blocks if content]
    recipe = tag("details", tag("summary", "Recipe"), terms(results.recipe)) if results.recipe else None
    return join([_stages(results.seconds), tag("div", shown, class_="facts"), recipe])


def terms(content: dict[str, Any]) -> Html:
    """Names and values, nested names joined by points."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", text)) for name, text in _flat(content)], class_="terms")


def _flat(content: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        name = f"{above}{str(key).replace('_', ' ')}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{name} · ")
        else:
            yield name, value_text(value)


def value_text(value: Any) -> str:
    """A value as people write it: 0.3 instead of 0.30000000000000004, yes instead of True, a dash for nothing."""
    if value is None or value == {} or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10000 else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def duration(seconds: float) -> str:
    """Such as "42 s", "7 min 05 s", "1 h 12 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _stages(seconds: dict[str, float]) -> Html | None:
    if not seconds:
        return None
    longest = max(max(seconds.values()), 1e-9)
    rows = [
        tag(
            "tr",
            tag("th", stage.replace("_", " "), scope="row"),
            tag("td", duration(spent), class_="number"),
            tag(
                "td",
                tag("span", class_="stage", style=f"width:{100 * spent / longest:.1f}%"),
                class_="stages-bar",
                aria_hidden="true",
            ),
        )
        for stage, spent in seconds.items()
    ]
    heading = tag("tr", tag("th", "stage", scope="col"), tag("th", "time", scope="col", class_="number"), tag("td"))
    total = tag(
        "tr", tag("th", "together", scope="row"), tag("td", duration(sum(seconds.values())), class_="number"), tag("td")
    )
    return tag(
        "div",
        tag("table", tag("thead", heading), tag("tbody", rows), tag("tfoot", total), class_="timing"),
        class_="wide",
    )

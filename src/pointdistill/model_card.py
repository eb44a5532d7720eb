"""The page beside a pre-trained backbone: what it learned, from what, under whose terms, and how to load it."""

from typing import Any

from pointdistill.console import in_markdown
from pointdistill.engine.pretrain import PROBED, in_words, is_figure, probed_of
from pointdistill.teachers.small import IDENTITY as EMBEDDED_TEACHER

USE = """## Use

```python
from pointdistill import from_pretrained

backbone = from_pretrained("FOLDER")  # this file's folder
```
"""
"""The last section, in whose place the hub's page has its own."""


def model_card(card: dict[str, Any], result: dict[str, Any], processes: int) -> str:
    """A pre-training as a page of Markdown.

    Args:
        card: the content of run.json: recipe, version, data, teacher.
        result: the content of result.json: steps, seconds, held-out figures, the curve.
        processes: how many trained it at the end.
    """
    names = ["loss", *(name for name in result["curve"][-1] if is_figure(name))]
    columns = " | ".join(["loss", *(in_words(name) for name in names[1:])])
    facts = "\n".join(f"| {name} | {in_markdown(value)} |" for name, value in _facts(card, result, processes).items())
    return f"""# A point-cloud backbone, pre-trained with the recipe {in_markdown(card["recipe"]["name"])}

Made by pointdistill {card["version"]}. run.json holds every setting, log.jsonl the curves.

| | |
|---|---|
{facts}

## Losses

| step | {columns} |
|---:|{"---:|" * len(names)}
{_rows(result["curve"], names)}

{USE}
Whoever passes these weights on keeps to the terms of the data and of the teacher.
"""


def _facts(card: dict[str, Any], result: dict[str, Any], processes: int) -> dict[str, str]:
    recipe, data, teacher = card["recipe"], card["data"], card["teacher"]
    engine, frames, backbone = recipe["engine"], recipe["frames"], recipe["backbone"]
    shape = " x ".join(str(size) for size in teacher["target_shape"])
    control = "; the targets were permuted between frames: a control" if data["targets_permuted"] else ""
    of_teacher = {
        "teacher": f"{teacher['identity']}, weights {teacher['weights_hash'][:12]}, targets of {shape}{control}",
        "terms of the teacher": _terms(teacher["identity"]),
    }
    frames_of = f"{data['frames']:,} frames of {data['scans']:,} scans"
    if not teacher["weights_hash"]:  # shapes, which no teacher has seen
        of_teacher, frames_of = {"teacher": "none"}, f"{data['frames']:,} shapes"
    return {
        "backbone": f"{backbone['depth']} blocks of width {backbone['width']}, {backbone['heads']} heads; "
        f"{backbone['groups']} patches of {backbone['group_size']} points",
        "input": f"{frames['points']} points (x, y, z), centred, in the unit sphere; {_AXES[frames['frame']]}",
        "data": f"{frames_of} ({data['source']}), store {data['store'][:12]}",
        "terms of the data": data["terms"],
        **of_teacher,
        "training": f"{result['steps']:,} steps of {engine['batch_size']} frames (epochs: {engine['epochs']}), AdamW "
        f"{engine['lr']:g}, weight decay {engine['weight_decay']:g}, {engine['precision']}, seed {engine['seed']}; "
        f"{processes} process{'es' if processes > 1 else ''}, {result['seconds']:.0f} s",
        "held-out figures": ", ".join(f"{name} {value:.4f}" for name, value in result["heldout"].items())
        or "none were measured; those below are of frames trained on",
        **{PROBED[name]: f"{value:.4f}" for name, value in probed_of(result["curve"][-1]).items()},
    }


_AXES = {"camera": "the depth camera's frame: x right, y down, z forward", "gravity": "z up"}
_SHOWN = 10
"""Rows of the curve on the page, and as many of those that were probed."""


def _terms(identity: str) -> str:
    if identity == EMBEDDED_TEACHER:
        return "Apache-2.0 for the weights that come with the package, else those of their owner"
    return "those of their owner"


def _rows(curve: list[dict[str, Any]], names: list[str]) -> str:
    """Some rows of the curve and some of the probed ones, evenly, the first and the last among them; what was not
    measured at a step is left empty."""
    probed = [row for row, content in enumerate(curve) if probed_of(content)]
    chosen = sorted({*_evenly(list(range(len(curve)))), *_evenly(probed)})
    return "\n".join(
        f"| {curve[row]['step']:,} | {' | '.join(_cell(curve[row], name) for name in names)} |" for row in chosen
    )


def _evenly(rows: list[int]) -> set[int]:
    return {rows[round(place * (len(rows) - 1) / (_SHOWN - 1))] for place in range(_SHOWN)} if rows else set()


def _cell(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.4f}" if name in row else ""

"""A fine-tuned model on a prepared store: one table, results.json, predictions as files, a page.

Each piece of the test (a scene, a batch of clouds) is predicted alone, on one thread, by whoever's turn it is; what is
counted adds up exactly. So neither the number of processes nor the order of work changes a bit of what is written.
"""

import csv
import io
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pointdistill import __version__, distributed, manifest
from pointdistill.console import answering, console, say, track
from pointdistill.errors import DataError, PointdistillError, RecipeError
from pointdistill.files import exclusive, read_json, write_json, write_text
from pointdistill.hub import MODEL, located
from pointdistill.labelled import kind_of, open_labelled
from pointdistill.parallel import parallel_map, torch_threads, usable_cores
from pointdistill.predictions import write_prediction
from pointdistill.recipes.user import load_downstream_recipe
from pointdistill.report.evaluation_page import write_evaluation_page
from pointdistill.report.examples import Example, save_examples
from pointdistill.report.figures import figure_table, in_words, print_figures
from pointdistill.tasks.base import Splits, Task, fingerprint
from pointdistill.tasks.saved import SavedModel, load_task_model, task_settings
from pointdistill.user_code import UserCode, user_code

PREDICTIONS = "predictions"
_SHARES = 8
"""Shares of the work a worker gets one after the other, so that the bar moves and nobody waits long for the last."""


@dataclass(frozen=True)
class Evaluation:
    """What is tested on what.

    Attributes:
        run: folder of a finished fine-tuning.
        data: store of labelled data.
        split: which of its splits.
        out: folder for everything that is written.
        device: where to predict.
        code: the user's own file whose recipe the model was trained by, where its task is from there.
    """

    run: Path
    data: Path
    split: str
    out: Path
    device: str = "cpu"
    code: UserCode | None = None


@dataclass
class Counted:
    """What came out of some pieces: the metric's state, rows of predictions.csv by piece, examples by piece."""

    tally: Any
    rows: dict[int, list[dict[str, Any]]]
    examples: dict[int, list[Example]]

    def merge(self, other: "Counted") -> None:
        """Add what another process counted."""
        self.tally.merge(other.tally)
        self.rows |= other.rows
        self.examples |= other.examples


def run_evaluation(test: Evaluation, workers: int | None = None) -> dict[str, Any]:
    """Test a model and write results.json, predictions/, examples/ and index.html into `test.out`.

    Of several processes (`distributed.processes`) all call this and each takes its share; the main one writes what is
    common. Files and figures have the same bits whatever the number of processes or workers.

    Args:
        test: what on what.
        workers: local processes; 1 works in this one. Only where torchrun has not started several.

    Returns:
        The content of results.json.

    Raises:
        DataError: no such store or split, another kind of data, other classes than the model's, data that the task
            cannot use, or `out` holds something else.
        CheckpointError: no finished fine-tuning.
    """
    saved, split = _opened(test)
    _check(test, saved, split)
    content = _described(test, saved, split)
    main = distributed.is_main()
    with exclusive(test.out) if main else nullcontext():
        if main:
            manifest.claim(test.out, {"kind": "evaluation", **{key: content[key] for key in ("identity", "data")}})
            (test.out / PREDICTIONS).mkdir(exist_ok=True)
        distributed.wait_for_all()
        counted = _counted(test, saved, split, workers)
        figures = saved.task.figures(counted.tally, split)
        content = {**content, "value": figures[saved.task.metric], "figures": figures}
        if main:
            _write(test.out, content, counted)
        distributed.wait_for_all()
    return content


def _opened(test: Evaluation) -> tuple[SavedModel, Any]:
    saved, kind = load_task_model(test.run, _own(test.code)), kind_of(test.data)
    if kind != saved.task.store:
        problem = f"is a store of {kind}, the model in {test.run} is for {saved.task.store}"
        raise DataError(test.data, problem, "Name another store, or another model.")
    return saved, open_labelled(test.data, test.split, in_memory=False)


def _own(code: UserCode | None) -> Task | None:
    """The task of the user's own recipe."""
    return load_downstream_recipe(code).task if code else None


def _check(test: Evaluation, saved: SavedModel, split: Any) -> None:
    """Raise DataError, by the split's own name, for data that the task cannot use or of other classes."""
    try:
        saved.task.check(Splits(split, split, split))
    except DataError as error:
        raise DataError(f"{test.data}, {test.split} split", error.problem, error.remedy, error.place) from error
    saved.facts.check(split)


def _described(test: Evaluation, saved: SavedModel, split: Any) -> dict[str, Any]:
    """What results.json says besides the figures; nothing of it depends on how the work was done."""
    card, task = saved.card, saved.task
    return {
        "task": task.name,
        "metric": task.metric,
        "recipe": card.get("recipe"),
        "init": card.get("init"),
        "labels": card.get("labels"),
        "identity": card["identity"],
        "seed": card["seed"],
        "settings": task_settings(task),
        "backbone": card["backbone"],
        "data": {
            "split": test.split,
            "pieces": task.pieces(split),
            "store": manifest.file_sha256(test.data / manifest.NAME),
            "content": fingerprint([fingerprint(scene) for scene in split] if isinstance(split, Sequence) else split),
        },
        "version": __version__,
        "trained_with": card.get("version"),
        **({"code": test.code.described} if test.code else {}),
    }


def _counted(test: Evaluation, saved: SavedModel, split: Any, workers: int | None) -> Counted:
    """All pieces, shared out by their index."""
    pieces = saved.task.pieces(split)
    if distributed.is_active():
        mine = range(distributed.rank(), pieces, distributed.ranks())
        shares = distributed.gathered(_share(test, saved, split, mine))
    elif workers == 1:
        shares = [_share(test, saved, split, range(pieces), f"testing on {test.split}")]
    else:
        shares = _on_workers(test, pieces, workers)
    counted, *others = shares
    for other in others:
        counted.merge(other)
    return counted


def _on_workers(test: Evaluation, pieces: int, workers: int | None) -> list[Counted]:
    count = min(pieces, _SHARES * (workers or usable_cores()))
    dealt = [range(number, pieces, count) for number in range(count)]
    return parallel_map(partial(_share_of_worker, test), dealt, f"testing on {test.split}", workers)


def _share_of_worker(test: Evaluation, pieces: range) -> Counted:
    return _share(test, *_opened(test), pieces)


def _share(test: Evaluation, saved: SavedModel, split: Any, pieces: range, description: str | None = None) -> Counted:
    """Predict, write and count some pieces, on one thread: the order of a sum within a network depends on it."""
    task, model = saved.task, saved.model.to(test.device)
    counted = Counted(task.tally(split), {}, {})
    with torch_threads(1):
        for piece in track(pieces, description) if description else pieces:
            prediction = task.predict(model, split, piece, saved.card["seed"])
            task.count(counted.tally, split, piece, prediction)
            written = write_prediction(task, split, piece, prediction, test.out / PREDICTIONS)
            counted.rows[piece], counted.examples[piece] = written.rows, written.examples
    return counted


def _write(out: Path, content: dict[str, Any], counted: Counted) -> None:
    """What is common to all pieces, in their order; results.json last but for the page, which is made from it."""
    rows = [row for piece in sorted(counted.rows) for row in counted.rows[piece]]
    if rows:
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(out / f"{PREDICTIONS}.csv", text.getvalue())
        content = {**content, "confusions": _confusions(rows)}
    save_examples(out, [one for piece in sorted(counted.examples) for one in counted.examples[piece]])
    write_json(out / "results.json", content)
    write_evaluation_page(out)


def _confusions(rows: list[dict[str, Any]], most: int = 12) -> list[dict[str, Any]]:
    """The most frequent mistakes."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        if {"true", "predicted"} <= row.keys() and row["true"] != row["predicted"]:
            pair = row["true"], row["predicted"]
            counts[pair] = counts.get(pair, 0) + 1
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]
    return [{"true": true, "predicted": predicted, "count": count} for (true, predicted), count in ranked]


def run_evaluation_command(
    run: Path,
    data: Path,
    split: str | None,
    out: Path | None,
    workers: int | None,
    device: str,
    recipe: str | None = None,
) -> dict[str, Any] | None:
    """`pointdistill evaluate RUN`, alone or as one of the processes that torchrun started; prints one table.

    Args:
        split: None: the one that the model's recipe tests on.
        recipe: FILE.py:NAME that the model was trained by, where its task is from there.

    Returns:
        The content of results.json with the folder; None where another process speaks.
    """
    code = user_code(recipe, "--recipe") if recipe else None
    if recipe and code is None:
        raise PointdistillError(f"--recipe {recipe}: only a task of a file of your own needs it: FILE.py:NAME")
    if workers is not None and distributed.started_by_torchrun():
        raise PointdistillError("--workers: torchrun has started the processes already. Leave it out")
    if workers not in (None, 1) and device != "cpu":
        raise RecipeError(f"--workers {workers}: on {device} one process predicts, or torchrun starts several")
    distributed.require_device(device)
    with distributed.processes(device) as own, code.telling("the recipe") if code else nullcontext():
        found = located(run, MODEL)
        card = load_task_model(found, _own(code)).card
        chosen: str = split or card.get("splits", ["test"])[-1]
        if code and code.described["sha256"] != (card.get("code") or {}).get("sha256"):
            say(f"note: {code.file} is not what it was when {run} was trained")
        written = f"evaluation-{chosen.replace('+', '-')}"
        beside = found / written if found == run else Path(f"{run.name.partition('@')[0]}-{written}")
        test = Evaluation(found, data, chosen, out or beside, own, code)
        content = run_evaluation(test, workers if device == "cpu" else 1)
        title = f"{in_words(content['task'])}, {chosen} split, in %"
        with answering():
            print_figures(title, figure_table(content["figures"], content["metric"]), console)
        say(f"{test.out / 'index.html'}: the page; beside it results.json, {PREDICTIONS}")
        return {"out": test.out, **read_json(test.out / "results.json")} if distributed.is_main() else None

"""The quickstart: the whole pipeline on embedded data, from nothing to a table and a page."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pointdistill.console import answering, console, say
from pointdistill.engine.jobs import run_jobs
from pointdistill.errors import RecipeError
from pointdistill.files import exclusive, is_temporary, read_json, write_json
from pointdistill.quickstart.data import prepare_data, write_data
from pointdistill.quickstart.examples import write_examples
from pointdistill.quickstart.layout import Layout
from pointdistill.quickstart.plan import plan
from pointdistill.quickstart.results import collect
from pointdistill.recipes.quickstart import Mode, QuickstartRecipe, quickstart
from pointdistill.recipes.recipe import as_json
from pointdistill.report.page import write_page
from pointdistill.report.schema import write_results
from pointdistill.report.tables import print_results

CLOCK_INTERVAL = 5.0
"""Seconds between two notes of how long a stage has taken so far."""


def run_quickstart(out: Path, mode: Mode = "full", workers: int | None = None) -> Path:
    """Run what is missing in `out`: data, stores, pre-training, fine-tuning, results.json, report.html.

    Args:
        out: the run's folder; a folder begun with another recipe is refused.
        mode: full, fast or thorough.
        workers: processes; default the usable cores.

    Returns:
        The page.

    Raises:
        RecipeError: the folder belongs to another recipe.
    """
    return run_recipe(out, quickstart(mode), workers)


def run_recipe(out: Path, recipe: QuickstartRecipe, workers: int | None = None) -> Path:
    """`run_quickstart` with any recipe of its kind."""
    layout = Layout(Path(out).absolute())
    _claim(layout, recipe)
    with exclusive(layout.root):
        return _run(layout, recipe, workers)


def _run(layout: Layout, recipe: QuickstartRecipe, workers: int | None) -> Path:
    if recipe.mode == "fast":
        say("A smoke run: it shows that everything works; its figures mean nothing.")
    _stage(layout, "data", "writing the embedded data", lambda: write_data(layout, recipe.world, workers))
    _stage(layout, "preparation", "preparing the stores", lambda: prepare_data(layout, recipe, workers))
    _stage(layout, "training", "training", lambda: run_jobs(plan(recipe, layout), "training", workers))
    _stage(layout, "examples", "drawing examples", lambda: write_examples(layout, recipe))
    results = collect(layout, recipe)
    write_results(layout.root / "results.json", results)
    page = write_page(layout.root)
    with answering():
        print_results(results, console)
    say(f"\nresults: {layout.root / 'results.json'}\nreport:  {page}")
    return page


def _claim(layout: Layout, recipe: QuickstartRecipe) -> None:
    wanted = as_json(recipe)
    if layout.recipe.exists():
        if read_json(layout.recipe, "Choose another --out, or delete the folder") != wanted:
            raise RecipeError(
                f"{layout.root}: was begun with another recipe (see {layout.recipe}). "
                "Choose another --out, or delete the folder"
            )
        return
    layout.root.mkdir(parents=True, exist_ok=True)
    strange = [path.name for path in layout.root.iterdir() if not is_temporary(path)]
    if strange:
        raise RecipeError(f"{layout.root}: is not empty ({strange[0]}) and not a quickstart. Choose another --out")
    write_json(layout.recipe, wanted)


def _stage(layout: Layout, name: str, title: str, work: Callable[[], object]) -> None:
    """Do a stage and add its wall seconds to those of earlier, interrupted calls.

    They are written as they pass: a call that is killed leaves no word, and its time was spent all the same.
    """
    console.rule(title, align="left", style="dim")
    earlier = read_json(layout.stages) if layout.stages.exists() else {}
    before, began = earlier.get(name, 0.0), time.perf_counter()
    over = threading.Event()

    def save() -> None:
        write_json(layout.stages, earlier | {name: round(before + time.perf_counter() - began, 1)})

    def keep() -> None:
        while not over.wait(CLOCK_INTERVAL):
            with suppress(OSError):  # a full disk is for the call itself to report
                save()

    clock = threading.Thread(target=keep, daemon=True)
    clock.start()
    try:
        work()
    finally:
        over.set()
        clock.join()
        save()

"""What runs lack of what the page could show, and the commands that add it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pointdistill.compare.found import Found

_NAMED = 2


def lacking(found: Found) -> list[tuple[str, str, str]]:
    """What, of how many runs, and the command for the first of them."""
    rows = []
    unfinished = [run.path for run in found.pretrainings if run.result is None]
    if unfinished:
        rows.append(_row("the end of pre-training", unfinished, "the command that began it, again: it goes on"))
    stopped = [run.path for run in found.finetunings if run.result is None]
    if stopped:
        rows.append(_row("the end of fine-tuning", stopped, "the command that began it, again: it goes on"))
    silent = [run.path for run in (*found.pretrainings, *found.finetunings) if not run.log]
    if silent:
        rows.append(_row("curves", silent, "its log.jsonl lies in the folder that it was trained in: name that one"))
    analysed = {path.parent.resolve() for path, _, _ in found.analyses}
    plain = [run.path for run in found.pretrainings if run.result is not None and run.path.resolve() not in analysed]
    if plain:
        command = f"pointdistill analyse {_quoted(plain[0])} --data STORE --heldout STORE"
        rows.append(_row("attention, captions, nearest neighbours", plain, command))
    tested = {test.path.parent.resolve() for test in found.tests} | {
        test.content.get("identity") for test in found.tests
    }
    seen = [
        run.path
        for run in found.finetunings
        if run.result is not None
        and run.path.resolve() not in tested
        and run.card.get("identity") not in tested
        and run.card.get("recipe")
        and run.card["task"] != "classification"
    ]
    if seen:
        rows.append(_row("scenes with predictions", seen, f"pointdistill evaluate {_quoted(seen[0])} --data STORE"))
    return rows


def _row(what: str, paths: Sequence[Path], command: str) -> tuple[str, str, str]:
    named = ", ".join(path.name for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return what, f"{named}{more}", command


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

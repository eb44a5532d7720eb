"""The command line: which verb, and how answers and errors leave."""

import inspect
import signal
import sys
import traceback
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from pointdistill import stopping
from pointdistill.console import print_json, speaking
from pointdistill.errors import DataError, PointdistillError, choose
from pointdistill.memory import keep_large_blocks
from pointdistill.verbs.arguments import Outcome, Positional, arg
from pointdistill.verbs.clouds import caption, classify, embed
from pointdistill.verbs.data import doctor, prepare, world
from pointdistill.verbs.examples import EXAMPLES
from pointdistill.verbs.export import export
from pointdistill.verbs.training import analyse, convert, evaluate, finetune, pretrain, probe, push, teacher
from pointdistill.verbs.whole import bench, quickstart, report, reproduce, view

VERBS: dict[str, Callable[..., Any]] = {
    "quickstart": quickstart,
    "reproduce": reproduce,
    "world": world,
    "prepare": prepare,
    "doctor": doctor,
    "pretrain": pretrain,
    "finetune": finetune,
    "probe": probe,
    "evaluate": evaluate,
    "analyse": analyse,
    "teacher": teacher,
    "caption": caption,
    "classify": classify,
    "embed": embed,
    "convert": convert,
    "export": export,
    "push": push,
    "bench": bench,
    "report": report,
    "view": view,
}
OF_EVERY_VERB = {
    "--quiet": "no progress and no remarks: answers, warnings and errors only",
    "--json": "print the answer as one JSON object; what people read goes to standard error",
    "--debug": "show where an error comes from",
}
_HELP = {"--help", "-h"}
_KINDS = {Path: "PATH", int: "INT", str: "TEXT"}


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Errors a user can mend: one line, exit code 2; `--debug` shows where they come from. Asked to stop
    (`stopping`): one line, and 128 + the signal's number."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    common = {option for option in OF_EVERY_VERB if option in given}
    given = [argument for argument in given if argument not in common]
    if given == ["--version"]:
        from pointdistill import __version__

        print(f"pointdistill {__version__}")
        return
    keep_large_blocks()
    try:
        with stopping.listening(), speaking("--quiet" in common, "--json" in common):
            found = _run(given)
    except PointdistillError as error:
        if "--debug" in common:
            traceback.print_exc()
        print(f"pointdistill: error: {error}{_neighbour(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, stopping.Stopped) else stopping.Stopped(signal.SIGINT)
        print(f"pointdistill: {stopped}", file=sys.stderr)
        raise SystemExit(128 + stopped.number) from None
    outcome = found if isinstance(found, Outcome) else Outcome(found, 0)
    if "--json" in common and outcome.content is not None:
        print_json(outcome.content)
    if outcome.code:
        raise SystemExit(outcome.code)


def _run(given: list[str]) -> Any:
    verb = given[0] if given else None
    if verb is not None and not verb.startswith("-"):
        _require_known(verb, given[1:])
    if _HELP & set(given):
        for function in VERBS.values():
            _describe(function)
    try:
        return tyro.extras.subcommand_cli_from_dict(
            VERBS,
            args=given,
            prog="pointdistill",
            config=(tyro.conf.FlagCreatePairsOff,),
            description="Pre-train point-cloud backbones by distilling frozen 2D image models into them.",
        )
    except SystemExit:
        if _HELP & set(given):
            print(_more_help(verb if verb in VERBS else None))
        raise


def _describe(verb: Callable[..., Any]) -> None:
    """Have options that may be left out shown as PATH, not {None}|PATH; what happens then, their text says."""
    hints = typing.get_type_hints(verb, include_extras=True)
    for name, parameter in inspect.signature(verb).parameters.items():
        if parameter.default is None and typing.get_origin(hints[name]) is not typing.Annotated:
            kinds = [kind for kind in typing.get_args(hints[name]) if kind is not type(None)]
            shown = _KINDS.get(kinds[0]) if len(kinds) == 1 else None
            hints[name] = typing.Annotated[hints[name], arg(metavar=shown, help_behavior_hint="")]
    verb.__annotations__ = inspect.unwrap(verb).__annotations__ = hints


def _require_known(verb: str, given: list[str]) -> None:
    """Raises PointdistillError for a verb or an option that is none, with the one it resembles."""
    if verb not in VERBS:
        raise PointdistillError(
            f"there is no verb {verb!r} (`pointdistill --help` has them all). {choose(verb, VERBS)}"
        )
    known = options(verb)
    for argument in given:
        option = argument.partition("=")[0].replace("_", "-")
        if argument.startswith("--") and len(argument) > 2 and option not in known | _HELP:
            raise PointdistillError(
                f"{verb} has no option {option} (`pointdistill {verb} --help` has them all). "
                f"{choose(option, sorted(known | set(OF_EVERY_VERB)))}"
            )


def options(verb: str) -> set[str]:
    """The options of a verb, without those of every verb."""
    hints = typing.get_type_hints(VERBS[verb], include_extras=True)
    return {
        f"--{name.rstrip('_').replace('_', '-')}"
        for name in inspect.signature(VERBS[verb]).parameters
        if Positional not in getattr(hints[name], "__metadata__", ())
    }


def _more_help(verb: str | None) -> str:
    """What stands below the help of a verb, or of all."""
    lines = [] if verb is None else ["examples:", *(f"  {line}" for line in EXAMPLES[verb]), ""]
    width = max(map(len, OF_EVERY_VERB)) + 2
    lines += ["of every verb:", *(f"  {option:<{width}}{what}" for option, what in OF_EVERY_VERB.items())]
    if verb is None:
        lines += ["", "pointdistill VERB --help has examples; pointdistill --version prints the version"]
    return "\n".join(lines)


def _neighbour(error: PointdistillError) -> str:
    """What lies where something is missing and is called much the same."""
    if not isinstance(error, DataError) or error.path.exists():
        return ""
    missing = error.path
    while missing.parent != missing and not missing.parent.exists():
        missing = missing.parent
    try:
        said = choose(missing.name, sorted(path.name for path in missing.parent.iterdir()))
    except OSError:
        return ""
    return f" {said}" if said.startswith("Did") else ""

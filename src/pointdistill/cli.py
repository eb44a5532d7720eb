"""The command line: which verb, and how errors leave."""

import signal
import sys
import traceback

import tyro

from pointdistill import stopping
from pointdistill.errors import PointdistillError
from pointdistill.memory import keep_large_blocks
from pointdistill.verbs.clouds import caption, classify, embed
from pointdistill.verbs.data import doctor, prepare, world
from pointdistill.verbs.training import analyse, convert, evaluate, finetune, pretrain, probe, teacher
from pointdistill.verbs.whole import bench, quickstart, report, reproduce

VERBS = {
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
    "bench": bench,
    "report": report,
}


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Errors a user can mend: one line, exit code 2; `--debug` shows where they come from. Asked to stop
    (`stopping`): one line, and 128 + the signal's number."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if given == ["--version"]:
        from pointdistill import __version__

        print(f"pointdistill {__version__}")
        return
    keep_large_blocks()
    try:
        with stopping.listening():
            _run(given)
    except PointdistillError as error:
        if debug:
            traceback.print_exc()
        print(f"pointdistill: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, stopping.Stopped) else stopping.Stopped(signal.SIGINT)
        print(f"pointdistill: {stopped}", file=sys.stderr)
        raise SystemExit(128 + stopped.number) from None


def _run(given: list[str]) -> None:
    tyro.extras.subcommand_cli_from_dict(
        VERBS,
        args=given,
        prog="pointdistill",
        config=(tyro.conf.FlagCreatePairsOff,),
        description="Pre-train point-cloud backbones by distilling frozen 2D image models into them. "
        "--debug after any verb shows tracebacks; --version prints the version.",
    )

"""The measurements by name, one after the other, as tables or as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pointdistill import __version__
from pointdistill.bench.figure import Figure, show
from pointdistill.bench.processes import in_own_process
from pointdistill.console import answering, console, silence
from pointdistill.errors import PointdistillError
from pointdistill.host import host_facts


@dataclass(frozen=True)
class Settings:
    """What measurements may be told; each reads what is its own.

    Attributes:
        store: a prepared store, for `feed`; None: one made for the purpose.
        recording: a .sens file, for `sens` and `prepare`; None: one made for the purpose.
        reference: the owners' reader of it.
        frames: of the recording that is made.
        every: which of its frames are read.
        steps: training steps measured, for those that train.
        device: where they are taken.
        rounds: turns of which the medians are taken.
        scenes: for `metrics`.
    """

    store: Path | None = None
    recording: Path | None = None
    reference: Path | None = None
    frames: int = 2000
    every: int = 25
    steps: int = 3
    device: str = "cpu"
    rounds: int = 7
    scenes: int = 312


def _feed(settings: Settings) -> list[Figure]:
    from pointdistill.bench.feed import figures

    return figures(settings.store, settings.steps, settings.device)


def _geometry(settings: Settings) -> list[Figure]:
    from pointdistill.bench.geometry import figures

    return figures(settings.rounds)


def _metrics(settings: Settings) -> list[Figure]:
    from pointdistill.bench.metrics import figures

    return figures(settings.scenes)


def _sens(settings: Settings) -> list[Figure]:
    from pointdistill.bench.sens import figures

    return figures(settings.recording, settings.frames, settings.every, settings.reference)


def _preparation(settings: Settings) -> list[Figure]:
    from pointdistill.bench.preparation import figures

    return figures(settings.recording, settings.frames, settings.every)


def _step(settings: Settings) -> list[Figure]:
    from pointdistill.bench.step import figures

    return figures(settings.rounds, settings.device)


def _loop(settings: Settings) -> list[Figure]:
    from pointdistill.bench.loop import figures

    return figures(2 * settings.steps, settings.device)


def _finetuning(settings: Settings) -> list[Figure]:
    from pointdistill.bench.finetuning import figures

    return figures(settings.rounds, settings.device)


def _embedding(settings: Settings) -> list[Figure]:
    from pointdistill.bench.embedding import figures

    return figures(settings.steps)


def _start(settings: Settings) -> list[Figure]:
    from pointdistill.bench.start import figures

    return figures(settings.rounds)


def _growth(settings: Settings) -> list[Figure]:
    from pointdistill.bench.growth import figures

    return figures(settings.rounds)


def _memory(settings: Settings) -> list[Figure]:
    from pointdistill.bench.memory import figures

    return figures()


PARTS: dict[str, tuple[str, Callable[[Settings], list[Figure]]]] = {
    "step": ("A distillation step of the paper's recipe", _step),
    "loop": ("What a training run adds to its steps", _loop),
    "finetune": ("A fine-tuning step of each task, and its stages", _finetuning),
    "feed": ("Does the store feed the trainer?", _feed),
    "geometry": ("Searches among points, distances of clouds, overlaps of boxes, one core", _geometry),
    "metrics": ("Metrics of ScanNet's validation split, one core", _metrics),
    "sens": ("Reading a .sens recording", _sens),
    "prepare": ("Preparing a recording", _preparation),
    "embed": ("Features of many clouds", _embedding),
    "growth": ("How cost grows with the work", _growth),
    "memory": ("Memory of a training run", _memory),
    "start": ("From the command to the first word", _start),
}
"""What each name measures, in words, and how."""


def measured(name: str, settings: Settings) -> list[Figure]:
    """One part's figures; what preparing its data says is not printed."""
    with silence():
        return PARTS[name][1](settings)


def bench(names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """Measure and print a table for each name; each part in a process of its own. All of it as JSON has it.

    Args:
        names: of `PARTS`, none for all.
        settings: see `Settings`.

    Raises:
        PointdistillError: a setting of a measurement that is not asked for, and whatever a measurement raises.
    """
    wanted = list(dict.fromkeys(names)) or list(PARTS)
    for field, readers in {"store": ("feed",), "recording": ("sens", "prepare"), "reference": ("sens",)}.items():
        if getattr(settings, field) is not None and not set(readers) & set(wanted):
            owner = " or ".join(readers)
            raise PointdistillError(f"--{field} belongs to bench {owner}. Leave it out, or name {owner}")
    found: dict[str, list[Figure]] = {}
    for name in wanted:
        found[name] = in_own_process(measured, name, settings)
        with answering():
            show(f"{name}: {PARTS[name][0]}", found[name], console)
    figures = {name: [figure.as_json() for figure in rows] for name, rows in found.items()}
    return {"version": __version__, "host": host_facts(), "settings": asdict(settings), "figures": figures}

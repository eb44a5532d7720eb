"""The command `pointdistill pretrain`, to which something happens: python troubled_pretrain.py TROUBLE pretrain ...

TROUBLE is a `Trouble` as JSON. torchrun starts it as it starts the command itself.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from pointdistill import cli, distributed, pretraining
from pointdistill.engine import pretrain as engine


@dataclass(frozen=True)
class Trouble:
    """What happens, and what is written down.

    Attributes:
        steps: of the whole run.
        notes: folder of what is written down; what happens once leaves a file there.
        save_every: steps between checkpoints.
        validate_every: steps between validations.
        counts: under which name each step's frames are written down; "" for not at all.
        deaths: (process, step): it kills itself before it takes that step, once.
        seconds: each step takes so much longer.
        validating: (process, seconds): its validations take so much longer, and leave a file when they begin.
        patience: seconds that a process waits for the others; 0 for as long as ever.
    """

    steps: int
    notes: str
    save_every: int = 4
    validate_every: int = 8
    counts: str = ""
    deaths: tuple[tuple[int, int], ...] = ()
    seconds: float = 0.0
    validating: tuple[int, float] = (0, 0.0)
    patience: float = 0.0

    def command(self, *options: object) -> list[str]:
        """What follows torchrun's own options."""
        return [__file__, json.dumps(asdict(self)), "pretrain", "quickstart", *map(str, options)]


def _step(trouble: Trouble, compute, module, run, batch, draw, *rest):
    step, rank, notes = round(draw.progress * trouble.steps), distributed.rank(), Path(trouble.notes)
    for number, death in enumerate(trouble.deaths):
        mark = notes / f"death{number}"
        if tuple(death) == (rank, step) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(trouble.seconds)
    if trouble.counts:
        row = [step, draw.epoch, rank, distributed.ranks(), batch.index.tolist()]
        with (notes / f"{trouble.counts}.{rank}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
    return compute(module, run, batch, draw, *rest)


def _validate(trouble: Trouble, validate, *given):
    rank, seconds = trouble.validating
    if rank == distributed.rank() and seconds:
        (Path(trouble.notes) / "validating").touch()
        time.sleep(seconds)
    return validate(*given)


def main() -> None:
    trouble = Trouble(**json.loads(sys.argv[1]))
    often = {"checkpoint_every": trouble.save_every, "validate_every": trouble.validate_every}
    pretraining.with_optimisation = partial(pretraining.with_optimisation, **often)
    engine.gradients = partial(_step, trouble, engine.gradients)
    engine._validate = partial(_validate, trouble, engine._validate)
    if trouble.patience:
        distributed._PATIENCE = timedelta(seconds=trouble.patience)
    cli.main(sys.argv[2:])


if __name__ == "__main__":
    main()

"""Pre-train, fine-tune and evaluate on the embedded world again and again in one process: does anything grow?

OMP_NUM_THREADS=1 THP_MEM_ALLOC_ENABLE=0 python soak.py --minutes 45 [--out samples.jsonl]
"""

import argparse
import contextlib
import ctypes
import gc
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from pointdistill.memory import keep_large_blocks, told_by_kernel
from pointdistill.verbs import data, training

BLOCKS = 10
"""Means of so many stretches are fitted: samples next to one another are alike, so that each alone says less."""
WARM_UP = 0.25
"""Share of the time that is not fitted: libraries and the allocator reach their size."""


@dataclass(frozen=True)
class Sample:
    """What this process holds after a turn.

    Attributes:
        hours: since the beginning.
        memory: MB that it owns (RssAnon: without pages of files), once what it has freed went back to the system.
        handles: open files, sockets and pipes.
        threads: of it.
        children: processes that it started.
    """

    hours: float
    memory: float
    handles: int
    threads: int
    children: int


@dataclass(frozen=True)
class Slope:
    """Attributes: an_hour: growth. low, high: its 95 % interval. mean: what grows, on average."""

    an_hour: float
    low: float
    high: float
    mean: float

    @property
    def is_flat(self) -> bool:
        """Whether it cannot be told from none."""
        return self.low <= 0 <= self.high


def turns(folder: Path) -> Iterator[None]:
    """Train and evaluate without end; each turn like the one before.

    The verbs are called as functions: a command line is read once a process, and its parser remembers each.
    """
    rooms, objects, store, labelled, pretrained, finetuned = (
        folder / name for name in ("rooms", "objects", "store", "labelled", "pretrained", "finetuned")
    )
    with _quiet():
        data.world("scannet", rooms, count=4, frames=20, workers=1)
        data.world("modelnet40", objects, count=4, workers=1)
        data.prepare(rooms, store, every=1, points=1024)
        data.prepare(objects, labelled, labels=True)
    while True:
        with _quiet():
            training.pretrain("quickstart", store, heldout=store, out=pretrained, epochs=2)
            training.finetune("classification-small", labelled, str(pretrained), finetuned, epochs=4)
            training.evaluate(finetuned, labelled, workers=1)
        shutil.rmtree(pretrained)
        shutil.rmtree(finetuned)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def sample(began: float) -> Sample:
    """What this process holds now.

    Args:
        began: when the soak did, by time.monotonic().
    """
    gc.collect()
    # The allocator keeps what is freed (`keep_large_blocks`), in pieces that come to lie in more and more places, by
    # steps of megabytes: how much of that is resident says nothing of what is held.
    ctypes.CDLL(None).malloc_trim(0)
    owned = told_by_kernel("/proc/self/status", "RssAnon")
    assert owned is not None
    status = Path("/proc/self/status").read_text()
    threads = int(status.split("Threads:")[1].split()[0])
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    hours = (time.monotonic() - began) / 3600
    return Sample(hours, owned / 1e6, len(os.listdir("/proc/self/fd")), threads, len(children))


def slope(hours: Sequence[float], values: Sequence[float]) -> Slope:
    """Growth an hour by least squares over the means of `BLOCKS` stretches."""
    x, y = (
        np.array([part.mean() for part in np.array_split(np.asarray(each, float), BLOCKS)]) for each in (hours, values)
    )
    if (y == y[0]).all():
        return Slope(0.0, 0.0, 0.0, float(y[0]))
    fitted = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, BLOCKS - 2) * fitted.stderr
    return Slope(float(fitted.slope), float(fitted.slope - reach), float(fitted.slope + reach), float(y.mean()))


def slopes(samples: Sequence[Sample]) -> dict[str, Slope]:
    """Each quantity's slope, without the warm-up."""
    kept = [each for each in samples if each.hours >= WARM_UP * samples[-1].hours]
    hours = [each.hours for each in kept]
    names = [name for name in asdict(kept[0]) if name != "hours"]
    return {name: slope(hours, [getattr(each, name) for each in kept]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--out", type=Path, help="a file for the samples, a JSON line each")
    asked = parser.parse_args()
    keep_large_blocks()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pointdistill-soak-") as folder:
        # Not kept in memory, whose growth is what is asked.
        kept = asked.out or Path(folder) / "samples.jsonl"
        kept.unlink(missing_ok=True)
        for turn, _ in enumerate(turns(Path(folder)), 1):
            now = sample(began)
            with kept.open("a") as lines:
                print(json.dumps(asdict(now)), file=lines)
            if now.hours * 60 >= asked.minutes and turn >= 4 * BLOCKS:
                break
        samples = [Sample(**json.loads(line)) for line in kept.read_text().splitlines()]
    found = slopes(samples)
    print(f"{len(samples)} turns in {samples[-1].hours * 60:.0f} minutes; an hour, with 95 % intervals:")
    for name, each in found.items():
        unit = " MB" if name == "memory" else ""
        verdict = "flat" if each.is_flat else "GROWS" if each.an_hour > 0 else "falls"
        print(f"  {name}: {each.an_hour:+.3g}{unit} [{each.low:+.3g}, {each.high:+.3g}] of {each.mean:.4g}: {verdict}")
    sys.exit(any(each.low > 0 for each in found.values()))


if __name__ == "__main__":
    main()

"""Commands killed at random moments, again and again, until they are done: is what they leave what an undisturbed one
leaves?

    python killed.py --kills 50 [--seed 0] [prepare pretrain slow finetune reproduce]

`slow` is `pretrain` on a disk that takes its time, so that more of the kills meet a file that is being written.
"""

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import build_labelled
import build_scannet
from pointdistill.tensors import load_tensors

TESTS = Path(__file__).parent
WALL_CLOCK = {
    *("seconds", "steps_per_second", "probe_seconds", "seconds_per_step", "wall_seconds", "hours"),
    *("pretraining_seconds", "finetuning_seconds"),
}
"""Fields that say how long something took."""
_PASSING = {".lock", "progress.json"}
_TIMED = re.compile(r"\d (?:s|ms|seconds|minutes|hours)\b|seconds")


@dataclass(frozen=True)
class Command:
    """Something that is killed.

    Attributes:
        name: in words.
        command: what to start, for an output folder.
    """

    name: str
    command: Callable[[Path], list[str]]

    def start(self, out: Path) -> subprocess.Popen:
        path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        return subprocess.Popen(
            self.command(out),
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


def commands(folder: Path) -> dict[str, Command]:
    """Write what they need into an empty folder; each takes seconds."""
    verbs = [sys.executable, "-m", "pointdistill"]
    root = build_scannet.write_data_set(folder / "scannet", [f"scene{number:04d}_00" for number in range(8)], frames=30)
    labelled = build_labelled.write_modelnet(folder / "modelnet", per_class=4)
    teacher = f"{TESTS / 'fake_teacher.py'}:MeanColourTeacher"

    def prepare(out: Path) -> list[str]:
        told = ["prepare", root, out, "--teacher", teacher, "--every", 1, "--points", 2048, "--workers", 2]
        return [*verbs, *map(str, told)]

    store = folder / "store"
    subprocess.run(prepare(store), check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*verbs, "prepare", labelled, folder / "objects", "--labels"], check=True, stdout=subprocess.DEVNULL)

    def pretrain(out: Path) -> list[str]:
        told = ["pretrain", "quickstart", "--data", store, "--heldout", store, "--out", out, "--epochs", 10]
        return [*verbs, *map(str, told)]

    def slow(out: Path) -> list[str]:
        return [sys.executable, str(TESTS / "broken_disk.py"), "0.1", *pretrain(out)[len(verbs) :]]

    def finetune(out: Path) -> list[str]:
        told = ["finetune", "classification-small", "--data", folder / "objects", "--out", out, "--epochs", 60]
        return [*verbs, *map(str, told)]

    def reproduce(out: Path) -> list[str]:
        return [sys.executable, str(TESTS / "tiny_reproduce.py"), str(out)]

    made = {"prepare": prepare, "pretrain": pretrain, "slow": slow, "finetune": finetune, "reproduce": reproduce}
    return {name: Command(name, command) for name, command in made.items()}


def content(folder: Path) -> dict[str, object]:
    """All files by name: bytes by their hash, JSON and text without what the clock says."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.name in _PASSING or path.suffix == ".html":
            continue
        if path.suffix == ".json":
            found[name] = _timeless(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            found[name] = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".md":
            found[name] = _without_times(path.read_text().splitlines())
        elif path.suffix == ".safetensors":
            tensors, header = load_tensors(path)
            found[name] = {key: _hash(value.reshape(-1).view(torch.uint8).numpy()) for key, value in tensors.items()}
            found[f"{name}, header"] = _timeless(header)
        else:
            found[name] = _hash(path.read_bytes())
    return found


def _without_times(lines: list[str]) -> list[list[str]]:
    """Lines of Markdown, without those that tell a time and without columns of seconds (headed "..., s")."""
    found, timed = [], set()
    for line in lines:
        cells = line.split("|")
        timed = {at for at, cell in enumerate(cells) if cell.rstrip().endswith(", s")} or (
            timed if len(cells) > 1 else set()
        )
        if not _TIMED.search(line):
            found.append([cell for at, cell in enumerate(cells) if at not in timed])
    return found


def _hash(content: bytes | np.ndarray) -> str:
    return hashlib.sha256(content).hexdigest()


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in WALL_CLOCK}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Outcome:
    """Attributes: kills: how often. runs: how many outputs were begun and came to their end. differing: files that are
    not what an undisturbed run leaves, of all of them."""

    kills: int
    runs: int
    differing: tuple[str, ...]


def kill_and_compare(command: Command, folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kill (SIGKILL, the whole process group) at random moments, start again, until it is done;
    anew until so many kills have been dealt.

    Raises:
        RuntimeError: a restarted command fails.
    """
    began = time.monotonic()
    _finished(command.start(folder / "whole"))
    whole, expected = time.monotonic() - began, content(folder / "whole")
    moments, dealt, runs, differing = random.Random(f"{seed} {command.name}"), 0, 0, []
    while dealt < kills:
        out = folder / f"killed{runs}"
        in_this = 0
        while dealt < kills and in_this < max(5, kills // 4):
            process = command.start(out)
            try:
                process.wait(timeout=moments.uniform(0.05, 0.95) * whole)
                if process.returncode:
                    _finished(process)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                dealt, in_this = dealt + 1, in_this + 1
        _finished(command.start(out))
        found = content(out)
        names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        differing += [f"{out.name}/{name}" for name in names]
        runs += 1
    return Outcome(dealt, runs, tuple(differing))


def _finished(process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args}: left with {process.returncode}: {said.decode(errors='replace')[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="pointdistill-killed-") as folder:
        for name, command in commands(Path(folder)).items():
            if not asked.names or name in asked.names:
                began = time.monotonic()
                outcome = kill_and_compare(command, Path(folder) / "runs" / name, asked.kills, asked.seed)
                wrong += len(outcome.differing)
                print(
                    f"{name}: {outcome.kills} kills, {outcome.runs} outputs, {len(outcome.differing)} files differ, "
                    f"{time.monotonic() - began:.0f} s",
                    *outcome.differing[:10],
                    sep="\n  ",
                    flush=True,
                )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

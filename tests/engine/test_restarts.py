"""Workers that are killed and started again by torchrun, and runs that go on with another number of processes: the real
command, what it leaves, and which frames each of its steps has seen."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist

import build_scannet
from fake_teacher import factory
from killed import content
from pointdistill import distributed, stopping
from pointdistill.prepare import prepare_frames
from pointdistill.tensors import load_tensors
from troubled_pretrain import Trouble

TESTS = Path(__file__).parents[1]
FRAMES, BATCH = 18, 6  # four processes get two, two, one and one
PATIENCE = 300  # of these tests, on a machine that does other things
PATHS = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals and /proc")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("restarts")
    root = build_scannet.write_data_set(folder / "scannet", [f"scene{n:04d}_00" for n in range(3)], frames=6)
    prepare_frames(root, folder / "store", factory(), every=1, points=256, workers=1)
    return folder / "store"


def _start(processes, trouble, store, out, restarts=0):
    """`processes`: 0 for the command without torchrun."""
    told = trouble.command("--data", store, "--epochs", trouble.steps * BATCH // FRAMES, "--batch-size", BATCH)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes, "--max-restarts"]
    command = [*torchrun, restarts, *told] if processes else told
    return subprocess.Popen(
        [sys.executable, *map(str, command), "--out", str(out)],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _said(process):
    """What the command said until the last process left, of torchrun's words nothing."""
    try:
        said = process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        for number in _everyone(process):
            os.kill(number, signal.SIGKILL)
        raise
    return [line for line in said.splitlines() if line.startswith("pointdistill:")]


def _everyone(process):
    """torchrun, and the workers, which it starts in sessions of their own."""
    return [process.pid, *map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())]


def _whole_and_killed(processes, steps, deaths, store, folder):
    """What is left of a run that nothing happens to, and of one whose processes die; and what that one said."""
    killed = Trouble(steps, str(folder), counts="killed", deaths=deaths)
    both = [
        _start(processes, Trouble(steps, str(folder)), store, folder / "whole"),
        _start(processes, killed, store, folder / "killed", restarts=len(deaths)),
    ]
    nothing, said = [_said(process) for process in both]
    assert nothing == [] and [process.returncode for process in both] == [0, 0]
    for line in said:
        assert "lost another one (" in line and "it goes on where it was" in line and "gloo/" not in line
    return content(folder / "whole"), content(folder / "killed"), said


def _steps(folder, name, rank):
    return [row[0] for row in _rows(folder / f"{name}.{rank}.jsonl")]


def _rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_killed_worker_is_started_again_and_the_run_ends_with_the_same_bits(store, tmp_path):
    whole, found, said = _whole_and_killed(2, 12, ((1, 10),), store, tmp_path)
    assert found == whole and len(said) == 1
    assert _steps(tmp_path, "killed", 1) == [*range(10), *range(8, 12)]  # the checkpoint was of step 8


@pytest.mark.long
@pytest.mark.parametrize(
    ("processes", "deaths"),
    [(2, ((1, 6), (0, 13))), (2, ((0, 9), (0, 10))), (4, ((3, 7),)), (4, ((0, 5), (2, 14)))],
)
def test_workers_that_are_killed_again(processes, deaths, store, tmp_path):
    whole, found, said = _whole_and_killed(processes, 18, deaths, store, tmp_path)
    assert found == whole and len(said) == len(deaths)  # one of those that are left says it, each time
    assert all(len(_steps(tmp_path, "killed", rank)) > 18 for rank in range(processes))  # some were taken again


def _stop(process, number, all_of_them):
    """Ask torchrun to end, or as batch systems do everyone: then it hands on what its workers have heard already."""
    for each in _everyone(process) if all_of_them else [process.pid]:
        os.kill(each, number)


def _wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_other_numbers_of_processes_see_each_frame_once_an_epoch_in_the_same_batches(store, tmp_path):
    steps, out = 36, tmp_path / "parts"
    alone = _start(0, Trouble(steps, str(tmp_path), counts="alone", validate_every=3), store, tmp_path / "alone")
    assert _said(alone) == [] and alone.returncode == 0
    batches = {step: (epoch, index) for step, epoch, _, _, index in _rows(tmp_path / "alone.0.jsonl")}
    term, usr1, kill = signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL
    parts = [(2, term, False), (4, term, True), (1, term, False), (2, usr1, True), (2, kill, True), (2, None, False)]
    taken, again, begun = [], 0, 0
    for part, (processes, number, all_of_them) in enumerate(parts):
        trouble = Trouble(steps, str(tmp_path), validate_every=3, counts=f"part{part}", seconds=0.2)
        process = _start(processes, trouble, store, out)
        if number is not None:

            def far_enough(part=part, least=6 if number == kill else 2):
                seen = _steps(tmp_path, f"part{part}", 0)
                return len(seen) > least and (least == 2 or seen[-1] % 4 == 2)

            _wait_for(far_enough, process)
            _stop(process, number, all_of_them)
        said = _said(process)
        ended = int(load_tensors(out / "state.safetensors")[1]["step"])
        assert begun < ended
        if number in (term, usr1):
            asked = f"stopped by {signal.Signals(number).name}, saved at step {ended}"
            assert said == [f"pointdistill: {asked}; the same command goes on where it was"]
        rows = [row for rank in range(processes) for row in _rows(tmp_path / f"part{part}.{rank}.jsonl")]
        counted = [row for row in rows if row[0] < ended]
        again += len(rows) - len(counted)
        assert (len(rows) > len(counted)) == (number == kill) and min(row[0] for row in rows) == begun
        for step in range(begun, ended):
            shares = sorted(row for row in counted if row[0] == step)
            assert [row[2:4] for row in shares] == [[rank, processes] for rank in range(processes)]
            whole = np.empty(BATCH, int)
            for rank, (_, epoch, _, _, index) in enumerate(shares):
                assert epoch == batches[step][0]
                whole[rank::processes] = index
            taken.append((epoch, whole.tolist()))
        begun = ended
    assert begun == steps and again > 0
    assert taken == [(epoch, index) for _, (epoch, index) in sorted(batches.items())]
    for epoch in range(steps * BATCH // FRAMES):
        seen = sorted(frame for number, index in taken if number == epoch for frame in index)
        assert seen == list(range(FRAMES))
    rows = [json.loads((tmp_path / run / "result.json").read_text())["curve"] for run in ("alone", "parts")]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == list(range(3, steps + 1, 3))
    # A last digit of the first weights moves r2 by 4e-4 at step 3.
    for name, tolerance in (("loss", {"rtol": 1e-4}), ("seen_r2", {"rtol": 0, "atol": 2e-3})):
        np.testing.assert_allclose([row[name] for row in rows[1]], [row[name] for row in rows[0]], **tolerance)


def _meet(store, processes, late=()):
    """What each of some processes (here: threads) shares with the others."""
    shared = [None] * processes

    def come(number):
        time.sleep(0.3 if number in late else 0)
        own = dist.TCPStore("127.0.0.1", store.port, is_master=False, timeout=timedelta(seconds=30))
        shared[number] = distributed._of_this_start(own, number, processes)

    coming = [threading.Thread(target=come, args=(number,)) for number in range(processes)]
    for each in coming:
        each.start()
    for each in coming:
        each.join()
    return shared


def test_processes_that_start_again_share_nothing_with_the_dead_ones():
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=30))
    for word, (processes, late) in enumerate([(3, ()), (3, (1,)), (2, (0,)), (3, (2,)), (1, ())]):
        shared = _meet(store, processes, late)
        assert not any(each.check(["where"]) for each in shared)
        shared[0].set("where", str(word))
        assert [each.get("where") for each in shared] == [str(word).encode()] * processes


def test_who_does_not_come_is_not_waited_for_longer_than_promised(monkeypatch):
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=30))
    _meet(store, 2)
    monkeypatch.setattr(distributed, "_PATIENCE", timedelta(seconds=0.3))
    with pytest.raises(RuntimeError, match="not all came within"):  # what stands there is of the last one
        distributed._of_this_start(store, 0, 2)


def test_a_store_that_does_not_answer_silences_nobody(monkeypatch):
    monkeypatch.setattr(distributed, "_TO_SPEAK", 0.1)

    class Far:
        def add(self, key, amount):
            threading.Event().wait()

    began = time.monotonic()
    assert not distributed._someone_spoke(Far()) and time.monotonic() - began < 5
    near = dist.HashStore()
    assert [distributed._someone_spoke(near) for _ in range(3)] == [False, True, True]


def test_torchrun_hands_on_what_was_heard_and_nobody_is_hurried(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a run")
    with stopping.listening(), stopping.deferred():
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert stopping.asked() == signal.SIGTERM
        with pytest.raises(stopping.Stopped, match="saved at step 3"):
            stopping.leave_if_asked("saved at step 3")
    with stopping.listening():
        with pytest.raises(stopping.Stopped):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)


def test_who_leaves_for_another_reason_is_asked_in_vain():
    with stopping.listening():
        stopping.listen_no_more()
        signal.raise_signal(signal.SIGTERM)
    with stopping.listening(), pytest.raises(stopping.Stopped):
        signal.raise_signal(signal.SIGTERM)

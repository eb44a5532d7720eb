"""Being asked to stop: what is deferred, what leaves at once, and what the real command saves before it leaves."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

import build_scannet
from fake_teacher import factory
from pointdistill import stopping
from pointdistill.engine.checkpoint import previous
from pointdistill.prepare import prepare_frames
from pointdistill.stopping import Stopped, deferred, interruptibly, leave_if_asked, listening
from pointdistill.tensors import load_tensors


def test_nobody_defers():
    before = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in a shell's background
    for number in stopping.SIGNALS:
        with listening(), pytest.raises(Stopped) as stopped:
            signal.raise_signal(number)
        assert stopped.value.number == number and stopped.value.saved == ""
    assert signal.getsignal(signal.SIGINT) is before


def test_a_first_signal_is_kept_and_a_second_is_not():
    with listening():
        with deferred():
            assert stopping.asked() is None
            leave_if_asked()
            signal.raise_signal(signal.SIGTERM)
            assert stopping.asked() == signal.SIGTERM
            with pytest.raises(Stopped, match="stopped by SIGTERM, saved at step 3; the same command goes on"):
                leave_if_asked("saved at step 3")
            with pytest.raises(Stopped):
                signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)


def test_long_work_within_is_left_at_once_and_saving_is_not():
    done = []

    def work():
        signal.raise_signal(signal.SIGUSR1)
        done.append("worked on")

    def save():
        done.append("saved")

    with listening(), deferred():
        interruptibly(lambda: done.append("worked"), save, "")
        with pytest.raises(Stopped, match="SIGUSR1, saved at step 5"):
            interruptibly(work, save, "saved at step 5")
        with pytest.raises(Stopped):  # asked before: not even begun
            interruptibly(work, None, "")
    assert done == ["worked", "saved"]


def test_it_travels_and_says_what_it_is():
    stopped = pickle.loads(pickle.dumps(Stopped(signal.SIGINT, "saved at step 2")))
    assert str(stopped) == "interrupted, saved at step 2; the same command goes on where it was"
    assert isinstance(stopped, KeyboardInterrupt)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Of a pre-training of 200 steps, the last of which alone is a checkpoint of its own accord."""
    folder = tmp_path_factory.mktemp("stopping")
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00", "scene0001_00"], frames=6)
    prepare_frames(root, folder / "store", factory(), every=1, points=256, workers=1)
    return ["--data", folder / "store", "--epochs", 100, "--batch-size", 5]


def started(options, out):
    command = [sys.executable, "-m", "pointdistill", "pretrain", "quickstart", *map(str, options), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)


def test_a_command_that_is_asked_to_stop_saves_and_goes_on_with_the_same_bits(options, tmp_path):
    assert started(options, tmp_path / "whole").wait(timeout=120) == 0
    log, before = tmp_path / "parts" / "log.jsonl", 0
    for number in (signal.SIGTERM, signal.SIGINT):
        process = started(options, tmp_path / "parts")
        deadline = time.monotonic() + 60
        while (not log.exists() or log.stat().st_mtime_ns == before) and time.monotonic() < deadline:
            time.sleep(0.05)
        before = log.stat().st_mtime_ns
        time.sleep(0.5)
        asked = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number and time.monotonic() - asked < 30
        step = int(load_tensors(tmp_path / "parts" / "state.safetensors")[1]["step"])
        assert process.stderr is not None and 0 < step < 200
        told = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM"
        assert f"{told}, saved at step {step}; the same command goes on where it was" in process.stderr.read()
    assert started(options, tmp_path / "parts").wait(timeout=120) == 0
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for name in ("backbone.safetensors", "method.safetensors"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    rows = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, parts)]
    for row in (row for run in rows for row in run):
        del row["seconds"], row["steps_per_second"]
    assert rows[0] == rows[1]
    assert not previous(parts / "state.safetensors").exists()

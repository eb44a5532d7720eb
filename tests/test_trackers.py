"""A log shown by tensorboard and wandb: all of it, nothing but it, also after an interruption."""

import json
import os
import sys
import time

import numpy as np
import pytest

import build_labelled
from pointdistill import cli, trackers
from pointdistill.engine.log import RunLog, read_log
from pointdistill.trackers import tracked


def shown(run):
    """What tensorboard reads: name -> [(step, value)]."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def logged(run):
    found = {}
    for row in read_log(run / "log.jsonl"):
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float):
                found.setdefault(name, []).append((row["step"], float(np.float32(value))))
    return found


def test_tensorboard_shows_the_log(tmp_path):
    """The real command, then the same again on the finished run."""
    pytest.importorskip("tensorboard")
    root = build_labelled.write_modelnet(tmp_path / "modelnet", per_class=2)
    cli.main(["prepare", str(root), str(tmp_path / "store"), "--labels", "--quiet"])
    run = tmp_path / "run"
    command = ["finetune", "classification-small", "--data", str(tmp_path / "store"), "--out", str(run)]
    for _ in range(2):
        cli.main([*command, "--epochs", "2", "--quiet", "--track", "tensorboard"])
        assert shown(run) == logged(run) and "loss" in shown(run)


def test_rows_come_as_they_are_written(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setattr(trackers, "_SECONDS", 0.02)
    seen = []
    flush = trackers.Tensorboard.flush
    monkeypatch.setattr(trackers.Tensorboard, "flush", lambda self: (flush(self), seen.append(shown(tmp_path))))
    with tracked(["tensorboard"], tmp_path, {"recipe": "none"}):
        log = RunLog(tmp_path / "log.jsonl")
        for step in (1, 2, 3, 4):
            log.write(step, loss=1 / step, phase="words are no curve")
            _wait(lambda step=step: seen and len(seen[-1]["loss"]) == step)
        RunLog(tmp_path / "log.jsonl", 2).write(3, loss=0.5)  # it went on from step 2
        _wait(lambda: seen[-1]["loss"][-1] == (3, 0.5))
    assert shown(tmp_path) == logged(tmp_path) == {"loss": [(1, 1.0), (2, 0.5), (3, 0.5)]}


def _wait(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_half_written_row_waits(tmp_path):
    pytest.importorskip("tensorboard")
    with tracked(["tensorboard"], tmp_path, {}):
        (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert shown(tmp_path) == {"loss": [(1, 2.0)]}


def test_a_tracker_that_fails_stops_nothing(tmp_path, monkeypatch, capsys):
    class Failing(trackers.Tracker):
        def __init__(self, run, settings):
            pass

        def show(self, step, figures):
            raise OSError("no space\nleft")

    monkeypatch.setitem(trackers.KINDS, "tensorboard", Failing)
    with tracked(["tensorboard"], tmp_path, {}):
        RunLog(tmp_path / "log.jsonl").write(1, loss=1.0)
    assert capsys.readouterr().out == "warning: tensorboard shows this run no further: no space left\n"


def test_one_that_is_not_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    for name in trackers.NAMES:
        with pytest.raises(Exception, match=rf"pip install 'pointdistill\[{name}\]'"), tracked([name], tmp_path, {}):
            raise AssertionError
    with pytest.raises(SystemExit, match="2"):
        cli.main(["pretrain", "quickstart", "--data", str(tmp_path), "--track", "tensorbord"])
    assert "tensorboard" in capsys.readouterr().err


def test_wandb_gets_the_log(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with tracked(["wandb"], tmp_path, {"recipe": "none", "seed": 3}):
        log = RunLog(tmp_path / "log.jsonl")
        for step in (1, 2, 3):
            log.write(step, loss=1 / step)
    written = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(written) == 1 and not os.environ.get("WANDB_API_KEY")
    pieces = [b"loss", b"recipe", *(json.dumps(1 / step).encode() for step in (1, 2, 3))]
    _wait(lambda: all(piece in written[0].read_bytes() for piece in pieces))  # its own process writes

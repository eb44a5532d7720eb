"""Two processes against one: BatchNorm, loss curves, resuming, and the real command under torchrun."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import build_scannet
import distributed_runs
from distributed_runs import (
    METHODS,
    STEPS,
    TOKENS,
    Interrupted,
    Stopping,
    contrasted,
    curve,
    normalised,
    one_step,
    probed,
)
from fake_teacher import factory
from pointdistill.cli import main
from pointdistill.models.checkpoints import load_backbone
from pointdistill.prepare import prepare_frames

TESTS = Path(__file__).parents[1]
PATHS = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])

ROUNDING = {"cross_point": 2e-4, "point_contrast": 1e-5, "local": 1e-5}
"""Logits many times as large as cosines, and an R^2 of -4: rounding shows more."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes left what they found."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.raises(Interrupted):  # begun by one process, with a checkpoint at step 8
        curve("distill", folder / "resumed", Stopping)
    shared = {**os.environ, "PYTHONPATH": PATHS, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    started = [
        subprocess.Popen(
            [sys.executable, distributed_runs.__file__, str(folder)],
            env={**shared, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    return folder


@pytest.fixture(scope="module")
def found(two):
    return [json.loads((two / f"found{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("form", ["normalised", "folded"])
def test_batch_norm_equals_one_process_forward_backward_and_after(found, form):
    one, both = normalised(), [each[form] for each in found]
    for name in ("out", "gradient"):
        whole = np.empty_like(np.array(one[name]))
        whole[0::2], whole[1::2] = both[0][name], both[1][name]
        np.testing.assert_allclose(whole, one[name], rtol=1e-10, atol=1e-12)
    for name in ("weight", "bias", "mean", "variance", "seen"):
        for each in both:
            np.testing.assert_allclose(each[name], one[name], rtol=1e-12)


def test_pairs_are_contrasted_with_those_of_all_processes_and_queues_are_one(found):
    one, both = contrasted(), [each["contrasted"] for each in found]
    whole = np.empty_like(np.array(one["gradient"]))
    whole[0::2], whole[1::2] = (each["gradient"] for each in both)
    np.testing.assert_allclose(whole, one["gradient"], rtol=1e-10, atol=1e-12)
    for each in both:
        np.testing.assert_allclose(each["keys"], one["keys"], rtol=1e-12)
        assert each["next"] == one["next"] == 15 % 12 and each["found"] == one["found"] == 0.5


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_curve_is_that_of_one_process(method, found, tmp_path):
    alone = curve(method, tmp_path)
    assert len(alone) == STEPS and found[0][method] == found[1][method]
    np.testing.assert_allclose(found[0][method], alone, rtol=ROUNDING.get(method, 2e-6), atol=1e-9)


@pytest.mark.parametrize("method", TOKENS)
def test_what_a_whole_batch_has_in_common_is_that_of_one_process(method, found):
    """Partners, keys, queue, and the number of hidden patches: losses, gradients and buffers after a step."""
    alone = one_step(method)
    for each in found:
        assert each[method].keys() == alone.keys()
        for name, value in alone.items():
            atol = 1e-5 * max(1e-2, np.abs(value).max())
            np.testing.assert_allclose(each[method][name], value, rtol=1e-5, atol=atol, err_msg=name)


def test_two_processes_go_on_where_one_was_interrupted(found):
    assert len(found[0]["resumed"]) == STEPS
    np.testing.assert_allclose(found[0]["resumed"], found[0]["distill"], rtol=2e-6, atol=1e-9)


def test_a_probe_by_the_main_process_says_what_one_process_says(found, tmp_path):
    alone = probed(tmp_path)
    assert [step for step, _ in alone] == [5, 10, 15, 20] and found[0]["probed"] == found[1]["probed"]
    np.testing.assert_allclose(found[0]["probed"], alone, rtol=1e-3)


def _torchrun(*options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.run(
        [*command, "pointdistill", *map(str, options)], env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_command_under_torchrun(tmp_path):
    scans = [f"scene{number:04d}_00" for number in range(2)]
    root = build_scannet.write_data_set(tmp_path / "scannet", scans, frames=6)
    store = tmp_path / "store"
    prepare_frames(root, store, factory(), every=1, points=256, workers=1)
    options = ["--data", store, "--epochs", 2, "--batch-size", 5]
    done = _torchrun("pretrain", "quickstart", *options, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no --heldout store") == 1 and done.stdout.count("backbone.safetensors: 4 steps") == 1
    main(["pretrain", "quickstart", *map(str, options), "--out", str(tmp_path / "one")])
    curves = [json.loads((tmp_path / run / "result.json").read_text())["curve"] for run in ("one", "two")]
    np.testing.assert_allclose(curves[1][-1]["loss"], curves[0][-1]["loss"], rtol=1e-5, atol=1e-9)
    weights = [load_backbone(tmp_path / run).state_dict() for run in ("one", "two")]
    for name, value in weights[0].items():
        if name.startswith("blocks."):
            np.testing.assert_allclose(weights[1][name], value, atol=1e-4)
    card = (tmp_path / "two" / "model_card.md").read_text()
    assert (
        "2 processes" in card
        and "ScanNet's terms of use" in card
        and "none were measured" in card
        and "r2 on frames trained on" in card
    )

    refused = _torchrun("pretrain", "quickstart", *options, "--seed", 1, "--out", tmp_path / "two")
    lines = [line for line in refused.stderr.splitlines() if line.startswith("pointdistill: error:")]
    assert refused.returncode != 0 and len(lines) == 1 and "another recipe" in lines[0]
    assert refused.stderr.count("Traceback") == refused.stderr.count("raise ChildFailedError") == 1  # torchrun's own

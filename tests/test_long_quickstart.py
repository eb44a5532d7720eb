"""The long forms: the whole quickstart within its limits, and a quickstart killed again and again."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from plyfile import PlyData

from pointdistill.seeding import numpy_generator
from pointdistill.world.cameras import default_rig, walk
from pointdistill.world.render import record
from pointdistill.world.rooms import make_room
from pointdistill.world.seeds import SEEDS

pytestmark = pytest.mark.long
MINUTES, GIGABYTES = 20, 8


def start(out, *options):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, "-m", "pointdistill", "quickstart", "--out", str(out), *options]
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A whole quickstart, its wall seconds and the largest process's peak memory in bytes."""
    out = tmp_path_factory.mktemp("full") / "quickstart"
    began = time.monotonic()
    assert start(out).wait() == 0
    seconds = time.monotonic() - began
    return out, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def test_within_time_and_memory(full):
    _, seconds, largest = full
    assert seconds < 60 * MINUTES
    assert 3 * largest < GIGABYTES * 2**30  # the parent and two workers


def test_distilled_beats_scratch_on_every_task(full):
    tasks = json.loads((full[0] / "results.json").read_text())["tasks"]
    differences = {name: np.mean(task["distilled"]) - np.mean(task["scratch"]) for name, task in tasks.items()}
    assert all(difference > 0 for difference in differences.values()), differences


def test_every_scanned_room_has_a_dense_mesh(full):
    meshes = sorted((full[0] / "data" / "scannet" / "scans").glob("*/*_vh_clean_2.ply"))
    counts = {mesh.name: PlyData.read(mesh)["vertex"].count for mesh in meshes}
    assert counts
    assert min(counts.values()) >= 50_000, counts


def test_frames_of_scannets_own_size():
    rig = default_rig((1296, 968), (640, 480))
    room = make_room(SEEDS["test"][0])
    frame = record(room, rig, walk(room, 0, 2)[1], numpy_generator(0))
    assert frame.colour.shape == (968, 1296, 3)
    assert frame.depth.shape == (480, 640)
    assert 0.5 < np.median(frame.depth[frame.depth > 0]) / 1000 < 8  # metres in a room


def test_a_quickstart_killed_at_random_moments_ends_as_an_uninterrupted_one(tmp_path):
    assert start(tmp_path / "whole", "--fast").wait() == 0
    moments = random.Random(0)
    for _ in range(12):
        process = start(tmp_path / "killed", "--fast")
        try:
            process.wait(timeout=moments.uniform(2, 25))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert start(tmp_path / "killed", "--fast").wait() == 0
    whole, killed = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "killed"))
    for task in whole["tasks"]:
        for key in ("scratch", "distilled", "no_learning"):
            assert whole["tasks"][task][key] == killed["tasks"][task][key]
    for name in ("method.safetensors", "backbone.safetensors"):
        path = f"pretrain/distilled-seed0/{name}"
        assert (tmp_path / "whole" / path).read_bytes() == (tmp_path / "killed" / path).read_bytes()

"""Two hosts, here network namespaces with a cable between them: they train as one host does, and start again together;
when the cable is cut, each says so and ends."""

import re
import time
from pathlib import Path

import pytest

import build_scannet
from fake_teacher import factory
from killed import content
from pointdistill.prepare import prepare_frames
from troubled_pretrain import Trouble
from two_hosts import NotPermitted, torchrun, two_hosts

STEPS, EPOCHS, BATCH = 12, 4, 6
PATIENCE = 25.0
"""Seconds that processes wait for each other in runs that are cut."""
BUSY = 120
"""Seconds that a machine that does other things may take for what takes none."""

pytestmark = pytest.mark.long


@pytest.fixture
def hosts():
    try:
        with two_hosts() as both:
            yield both
    except NotPermitted as error:
        pytest.skip(str(error))


@pytest.fixture
def store(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", [f"scene{n:04d}_00" for n in range(3)], frames=6)
    prepare_frames(root, tmp_path / "store", factory(), every=1, points=256, workers=1)
    return tmp_path / "store"


def _start(meeting, hosts, trouble, store, out, restarts=0):
    options = ["--data", store, "--epochs", EPOCHS, "--batch-size", BATCH, "--out", out]
    said = [Path(trouble.notes) / f"{out.name}{number}.txt" for number in range(2)]
    commands = [torchrun(meeting, hosts, number, restarts) + trouble.command(*options) for number in range(2)]
    return [host.start(command, file) for host, command, file in zip(hosts, commands, said, strict=True)], said


def _lines(said):
    return re.findall("^pointdistill: .*", said.read_text(), re.MULTILINE)


def _wait_for(there, processes):
    deadline = time.monotonic() + BUSY
    while not there.exists():
        assert all(process.poll() is None for process in processes) and time.monotonic() < deadline
        time.sleep(0.05)


def _ends(processes, limit):
    """After how many seconds each ended."""
    began, ends = time.monotonic(), [None] * len(processes)
    while None in ends and time.monotonic() < began + limit:
        ends = [
            end or (process.poll() is not None and time.monotonic() - began) or None
            for end, process in zip(ends, processes, strict=True)
        ]
        time.sleep(0.05)
    return ends


def test_two_hosts_train_as_one_does_and_start_again_together(hosts, store, tmp_path):
    one = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--data", store, "--epochs", EPOCHS, "--batch-size", BATCH, "--out", tmp_path / "one"]
    process = hosts[0].start(one + Trouble(STEPS, str(tmp_path)).command(*options), tmp_path / "one.txt")
    assert process.wait(timeout=3 * BUSY) == 0
    for name, deaths in (("two", ()), ("killed", ((1, 7),))):
        trouble = Trouble(STEPS, str(tmp_path), deaths=deaths)
        processes, said = _start("c10d", hosts, trouble, store, tmp_path / name, restarts=1)
        assert [process.wait(timeout=3 * BUSY) for process in processes] == [0, 0]
        assert [len(_lines(file)) for file in said] == [len(deaths), 0]  # the first one lost the other
        assert content(tmp_path / name) == content(tmp_path / "one")


@pytest.mark.parametrize("meeting", ["c10d", "static"])
@pytest.mark.parametrize("validating", [0.0, 10.0])
def test_a_host_that_is_cut_off(meeting, validating, hosts, store, tmp_path):
    for host in hosts:  # torchrun's own connections (c10d) break after half a minute
        host.send_again(6)
    trouble = Trouble(STEPS, str(tmp_path), seconds=0.5, validating=(0, validating), patience=PATIENCE)
    processes, said = _start(meeting, hosts, trouble, store, tmp_path / "out")
    _wait_for(tmp_path / ("validating" if validating else "out/state.safetensors"), processes)
    hosts[1].cut_off()
    ends = _ends(processes, PATIENCE + validating + BUSY)
    print(f"{meeting}, {'validating' if validating else 'training'}: ended after {ends} s")
    assert None not in ends and all(process.returncode == 1 for process in processes)
    for file in said:
        (line,) = _lines(file)
        assert "pointdistill: error: process" in line and "lost another one (" in line and "it goes on where" in line
    assert (tmp_path / "out" / "state.safetensors").exists() and not (tmp_path / "out" / "result.json").exists()

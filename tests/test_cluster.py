"""Preparation on a real dask cluster of this machine: a worker dies midway, then all of them, then the scheduler."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import pytest
import torch

import build_scannet
import job_functions
from dask_cluster import DaskCluster
from fake_teacher import DeadlyTeacher, StallingTeacher, factory
from pointdistill import cluster
from pointdistill.cli import main
from pointdistill.cluster import cluster_executor, worker_count
from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.errors import PointdistillError
from pointdistill.prepare import prepare_frames
from pointdistill.reproduce import Machines, reproduce
from pointdistill.reproduce.published import TABLE_5
from pointdistill.reproduce.targets import DownstreamTable
from pointdistill.store import FrameStore
from pointdistill.tensors import load_tensors
from tiny_scale import tiny_scale

SCANS = [f"scene{number:04d}_00" for number in range(6)]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    running = DaskCluster(tmp_path_factory.mktemp("dask"), allowed_failures=1)
    yield running
    running.end()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return build_scannet.write_data_set(tmp_path_factory.mktemp("data") / "scannet", SCANS, frames=5)


def _prepare(root, out, teacher, executor=None):
    return prepare_frames(root, out, teacher, every=2, points=64, workers=1, executor=executor)


def _kill_who_stalls(marker):
    while not (marker.exists() and marker.read_text().endswith("\n")):
        time.sleep(0.02)
    os.kill(int(marker.read_text()), signal.SIGKILL)


def test_a_killed_worker_loses_nothing_and_does_nothing_twice(dask, root, tmp_path, capsys, monkeypatch):
    stalled, log = tmp_path / "stalled", tmp_path / "log"
    workers = [dask.start_worker(), dask.start_worker()]
    killer = threading.Thread(target=_kill_who_stalls, args=(stalled,), daemon=True)
    killer.start()
    with cluster_executor(dask.address) as executor:
        store = _prepare(root, tmp_path / "store", partial(StallingTeacher, stalled, log), executor)
    killer.join()
    dead = {worker.pid: worker.poll() for worker in workers}
    assert sorted(dead.values(), key=str) == [-signal.SIGKILL, None] and dead[int(stalled.read_text())] is not None
    assert log.read_text().split() == ["3"] * len(SCANS)
    assert store.manifest_hash == _prepare(root, tmp_path / "alone", factory()).manifest_hash
    assert not list(tmp_path.glob("store/**/parts"))

    monkeypatch.chdir(root.parent)  # paths are made whole: the workers stand elsewhere
    options = ["--every", "2", "--points", "64"]
    main(["prepare", root.name, str(tmp_path / "command"), *options, "--scheduler", dask.address])
    main(["prepare", root.name, str(tmp_path / "here"), *options, "--workers", "1"])
    assert "18 frames of 6 scans" in capsys.readouterr().out
    stores = [FrameStore.open(tmp_path / name, verify=True) for name in ("command", "here")]
    assert stores[0].manifest_hash == stores[1].manifest_hash


def test_tables_are_made_by_the_cluster_as_they_are_here(dask, tmp_path):
    row = TABLE_5.row("From scratch")
    scale, table = tiny_scale(), replace(TABLE_5, rows=(row,), reference=row.label, claims=())
    target = DownstreamTable(table, scale, 1)
    dask.start_worker(), dask.start_worker()
    found = []
    for name, machines in (("cluster", Machines(scheduler=dask.address)), ("here", Machines(workers=1))):
        path = reproduce(target, scale, tmp_path / name, tmp_path / "data", machines=machines)
        found.append(json.loads(path.read_text())["rows"])
        runs = [tmp_path / name / "runs" / "finetune" / run.key for run in target.runs() if run.protocol == "finetune"]
        found[-1].append([load_tensors(run / "model.safetensors")[0] for run in runs])
    (row_there, (there,)), (row_here, (here,)) = found
    assert row_there["figures"] == row_here["figures"] and row_there["probe"] == row_here["probe"]
    assert all(torch.equal(there[name], here[name]) for name in here)


def test_a_job_that_fails_there_is_one_line_here(dask, tmp_path):
    dask.start_worker()
    jobs = [
        Job("one", job_functions.note, tmp_path / "a"),
        Job("two", job_functions.fail, tmp_path / "b", needs=("one",)),
    ]
    with cluster_executor(dask.address) as executor:
        assert worker_count(executor) >= 1
        with pytest.raises(PointdistillError, match=r"^the third shelf is empty$"):
            run_jobs(jobs, "test", executor=executor, slots=2)
    assert (tmp_path / "a" / "done.txt").exists()


def test_deaths_without_end_and_a_lost_scheduler_are_one_line_each(dask, root, tmp_path):
    out = tmp_path / "store"
    one = build_scannet.write_data_set(tmp_path / "one", SCANS[:1], frames=2)
    dask.start_worker(), dask.start_worker()
    with pytest.raises(PointdistillError, match=r"2 workers of tcp://.* died of the same piece.*same command again"):  # noqa: SIM117
        with cluster_executor(dask.address) as executor:
            _prepare(one, tmp_path / "never", DeadlyTeacher, executor)
    dask.end_workers()
    with pytest.raises(PointdistillError, match=r"the scheduler at tcp://.* was lost.*same command again"):  # noqa: SIM117
        with cluster_executor(dask.address) as executor:
            threading.Timer(0.3, dask.scheduler.kill).start()
            _prepare(root, out, factory(), executor)
    assert len(_prepare(root, out, factory())) == 18


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "ftp://127.0.0.1:1"])
def test_no_scheduler_there(address, tmp_path, root, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.5)
    with pytest.raises(SystemExit) as left:
        main(["prepare", str(root), str(tmp_path / "store"), "--scheduler", address])
    (line,) = capsys.readouterr().err.splitlines()
    assert left.value.code == 2 and f"no dask scheduler answers at {address}" in line
    assert not (tmp_path / "store").exists()


def test_a_cluster_has_its_own_workers(capsys, root, tmp_path):
    with pytest.raises(SystemExit):
        main(["prepare", str(root), str(tmp_path), "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"])
    assert "--scheduler and --workers exclude each other" in capsys.readouterr().err


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PointdistillError, match=r"pointdistill\[cluster\]"), cluster_executor("tcp://127.0.0.1:1"):
        pass

"""Preparation on a real dask cluster of this machine: a worker dies midway, then all of them, then the scheduler."""

import os
import signal
import sys
import threading
import time
from functools import partial

import pytest

import build_scannet
from dask_cluster import DaskCluster
from fake_teacher import DeadlyTeacher, StallingTeacher, factory
from pointdistill import cluster
from pointdistill.cli import main
from pointdistill.cluster import cluster_executor
from pointdistill.errors import PointdistillError
from pointdistill.prepare import prepare_frames
from pointdistill.store import FrameStore

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

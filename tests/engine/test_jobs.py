"""Jobs and maps on worker processes: order, errors, deaths."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import job_functions
from pointdistill.engine.jobs import Job, run_jobs
from pointdistill.errors import PointdistillError
from pointdistill.parallel import parallel_map

TESTS = Path(__file__).parents[1]


def moment(folder):
    return float((folder / "done.txt").read_text())


def test_a_job_waits_for_what_it_needs(tmp_path):
    first = Job("first", job_functions.note, tmp_path / "a", {"text": "a", "wait": 0.3})
    second = Job("second", job_functions.note, tmp_path / "b", {"text": "b"}, needs=("first",))
    seconds = run_jobs([second, first], "test", workers=2)
    assert set(seconds) == {"first", "second"}
    assert moment(tmp_path / "a") < moment(tmp_path / "b")


def test_what_a_killed_job_was_writing_is_deleted(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".state.safetensors.1-ab.part").write_text("hal")
    run_jobs([Job("one", job_functions.note, tmp_path / "a", {"text": "a", "wait": 0})], "test", workers=1)
    assert sorted(path.name for path in (tmp_path / "a").iterdir() if path.suffix == ".part") == []


def test_an_error_of_a_job_is_raised_as_it_is(tmp_path):
    with pytest.raises(PointdistillError, match=r"^the third shelf is empty$"):
        run_jobs([Job("one", job_functions.fail, tmp_path / "a")], "test", workers=1)


def test_a_dead_worker_is_one_clear_line(tmp_path):
    with pytest.raises(PointdistillError, match=r"a worker process died \(one\).*same command again"):
        run_jobs([Job("one", job_functions.die, tmp_path / "a")], "test", workers=1)
    with pytest.raises(PointdistillError, match=r"a worker process died \(numbers\)"):
        parallel_map(job_functions.die_on, range(5), "numbers", workers=2)


def test_map_keeps_the_order():
    assert parallel_map(job_functions.square, range(7), "squares", workers=2) == [n * n for n in range(7)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_workers_end_with_a_killed_parent(tmp_path):
    code = (
        "import job_functions\nfrom pathlib import Path\nfrom pointdistill.engine.jobs import Job, run_jobs\n"
        f"if __name__ == '__main__':\n"
        f"    run_jobs([Job('one', job_functions.wait_for_ever, Path({str(tmp_path / 'a')!r}))], 'test', workers=1)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": str(TESTS)})
    try:
        worker = int(_eventually(lambda: (tmp_path / "a" / "pid.txt").read_text()))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        _eventually(lambda: None if _alive(worker) else "gone")
    finally:
        parent.kill()


def _eventually(ask, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            found = ask()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("never")


def _alive(pid):
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

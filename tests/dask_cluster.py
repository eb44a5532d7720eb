"""A real dask scheduler and workers, as processes of this machine, on ports of their own choice."""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


class DaskCluster:
    """Args: folder: for the workers' files; allowed_failures: how many deaths of its workers a task survives."""

    def __init__(self, folder: Path, allowed_failures: int):
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
            "OMP_NUM_THREADS": "1",
        }
        self.processes: list[subprocess.Popen] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-show")
        assert self.scheduler.stderr is not None
        found = None
        while not found:
            line = self.scheduler.stderr.readline()
            assert line, "the scheduler ended"
            found = re.search(rb"Scheduler at:\s+(tcp://\S+)", line)
        self.address = found[1].decode()

    def start_worker(self) -> subprocess.Popen:
        options = ("--no-nanny", "--nthreads", "1", "--local-directory", str(self.folder))
        return self._start("worker", self.address, "--host", "127.0.0.1", *options)

    def _start(self, kind: str, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *options]
        process = subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if kind == "scheduler" else subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def end_workers(self) -> None:
        for process in self.processes:
            if process is not self.scheduler:
                process.kill()
                process.wait()

    def end(self) -> None:
        self.end_workers()
        self.scheduler.kill()
        self.scheduler.communicate()

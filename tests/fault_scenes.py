"""Preparation on disks that fill up or close, in a mount namespace of its own.

`python fault_scenes.py SCENE DATA DISK` prints a JSON list of what each run of the command came to; test_faults.py runs
it under `unshare --mount`.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image

from fake_teacher import MeanColourTeacher
from pointdistill.cli import main
from pointdistill.errors import DataError
from pointdistill.store import FrameStore

NO_MOUNT = 77


def prepare(data: Path, store: Path, *teacher: str) -> dict:
    """One run of the command: its exit code and error lines, and what a reader finds afterwards."""
    said = io.StringIO()
    code = 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            told = ["--every", "1", "--points", "64", "--workers", "1", *(f"--teacher={name}" for name in teacher)]
            main(["prepare", str(data), str(store), *told])
        except SystemExit as left:
            code = left.code
    return {"code": code, "said": said.getvalue().splitlines(), "store": opened(store)}


def opened(store: Path) -> str:
    try:
        return FrameStore.open(store, verify=True).manifest_hash
    except DataError:
        return "none"


def mount(disk: Path, *options: str) -> None:
    if subprocess.run(["mount", *options, str(disk)], stderr=subprocess.DEVNULL).returncode:
        raise SystemExit(NO_MOUNT)


def leave(disk: Path, room: int) -> None:
    """Fill a disk up to `room` bytes."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    found = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(bytes(max(found.f_bavail * found.f_frsize - room, 0)))


def filling(data: Path, disk: Path) -> list[dict]:
    """A little more room each time, until there is enough."""
    mount(disk, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    runs = []
    for pages in range(0, 100, 3):
        leave(disk, pages * os.sysconf("SC_PAGE_SIZE"))
        runs.append(prepare(data, disk / "store"))
        runs[-1]["files"] = sorted(str(path.relative_to(disk)) for path in disk.rglob("*"))
        if runs[-1]["code"] == 0:
            break
    return runs


def closing(data: Path, disk: Path) -> list[dict]:
    """Read-only when it is begun, then while it is half done, then when it is finished."""
    mount(disk, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    store, runs = disk / "store", []
    closed, open_again = ("-o", "remount,ro"), ("-o", "remount,rw")
    mount(disk, *closed)
    runs.append(prepare(data, store))
    mount(disk, *open_again)
    (data / "scans" / "scene0001_00").rename(data / "hidden")
    broken = data / "scans" / "scene0001_00"
    broken.mkdir()
    (broken / "scene0001_00.sens").write_bytes(b"no recording")
    runs.append(prepare(data, store))
    (broken / "scene0001_00.sens").unlink()
    broken.rmdir()
    (data / "hidden").rename(broken)
    mount(disk, *closed)
    runs.append(prepare(data, store))
    mount(disk, *open_again)
    runs.append(prepare(data, store))
    mount(disk, *closed)
    runs.append(prepare(data, store))
    return runs


class UnpluggingTeacher(MeanColourTeacher):
    """Takes the disk away, as it is told by the environment, when it is asked for the second time of all."""

    asked = 0

    def targets(self, images: list[Image.Image]) -> torch.Tensor:
        UnpluggingTeacher.asked += 1
        if UnpluggingTeacher.asked == 2:
            subprocess.run(["umount", "--lazy", os.environ["UNPLUGGED"]], check=True)
        return super().targets(images)


def vanishing(data: Path, disk: Path) -> list[dict]:
    """Taken away in the middle, then there again, twice."""
    kept, runs = disk.with_name("kept"), []
    kept.mkdir()
    os.environ["UNPLUGGED"] = str(disk)
    mount(disk, "--bind", str(kept))
    runs.append(prepare(data, disk / "store", f"{__file__}:{UnpluggingTeacher.__name__}"))
    runs[-1]["files"] = sorted(path.name for path in kept.rglob("*.npz"))
    mount(disk, "--bind", str(kept))
    runs += [prepare(data, disk / "store", f"{__file__}:{UnpluggingTeacher.__name__}") for _ in range(2)]
    return runs


if __name__ == "__main__":
    scene, data, disk = sys.argv[1:]
    print(json.dumps({"filling": filling, "closing": closing, "vanishing": vanishing}[scene](Path(data), Path(disk))))

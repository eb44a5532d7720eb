"""The folder that docs/api.md speaks of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import build_labelled
import build_las
import tiny_run
from test_cli import run as command


@pytest.fixture(scope="session")
def named(tmp_path_factory) -> Path:
    """A finished distillation, labelled objects, and files."""
    folder, generator = tmp_path_factory.mktemp("api"), np.random.default_rng(0)
    tiny_run.write_run(tiny_run.write_store(folder / "rooms"), folder / "run")
    shapes = build_labelled.write_modelnet(folder / "modelnet")
    assert command("prepare", shapes, folder / "objects", "--labels", "--workers", 1) == 0
    room, chair = generator.random((900, 3)) * [5, 4, 2.5], generator.random((400, 3))
    lines = ["".join(f"{x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in cloud) for cloud in (room, chair)]
    head = "ply\nformat ascii 1.0\nelement vertex 900\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    (folder / "room.ply").write_text(f"{head}end_header\n{lines[0]}")
    (folder / "chair.off").write_text(f"OFF\n400 0 0\n{lines[1]}")
    build_las.write_las(folder / "scan.las", room)
    for number in range(2):
        Image.fromarray(generator.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / f"view{number}.png")
    return folder

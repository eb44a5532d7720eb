"""What the measurements of whole runs and processes time and say; never whether this machine is fast."""

import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from pointdistill.bench import embedding, growth, loop, memory, processes, start
from pointdistill.bench import step as steps
from pointdistill.bench.synthetic_store import synthetic_store
from pointdistill.errors import PointdistillError
from pointdistill.models.point_transformer import BackboneConfig, create_backbone
from pointdistill.recipes.paper import paper

BARE = "bare step"


@pytest.fixture
def small(monkeypatch):
    """The paper's recipe with a backbone that takes no time."""
    recipe = paper()
    backbone = BackboneConfig(width=24, depth=2, heads=6, groups=8, group_size=6)
    method = replace(recipe.method, concepts=replace(recipe.method.concepts, count=5))
    recipe = replace(recipe, backbone=backbone, method=method, frames=replace(recipe.frames, points=64))
    for module in (loop, growth, steps):
        monkeypatch.setattr(module, "paper", lambda: recipe)
        monkeypatch.setattr(module, "usable_cores", lambda: 1)


def test_the_loop_takes_turns_with_bare_steps(small):
    (row,) = loop.figures(steps=3)
    assert row.others[BARE] > 0 and row.ours == pytest.approx(row.others[BARE] + sum(row.parts.values()))
    assert row.limit.held == (row.others[BARE] >= 0.95 * row.ours) and "every 500 steps" in row.note


def test_growth_is_fitted(small, monkeypatch):
    assert growth.fitted_exponent([10, 20, 40, 80], [1, 4, 16, 64]) == pytest.approx(2)
    monkeypatch.setattr(growth, "FRAMES", (8, 16))
    monkeypatch.setattr(growth, "POINTS", (64, 128))
    monkeypatch.setattr(growth, "PATCHES", (8, 16))
    rows = growth.figures(rounds=1)
    assert len(rows) == 3 and all(math.isfinite(row.ours) for row in rows)
    assert rows[1].note.startswith("64: ") and ", 128: " in rows[1].note
    assert [row.limit.held for row in rows] == [row.ours <= growth.MOST_EXPONENT for row in rows]


def test_embedding_beside_the_bare_backbone(monkeypatch):
    monkeypatch.setattr(embedding, "create_backbone", lambda name: create_backbone("vit_nano", depth=1, groups=8))
    monkeypatch.setattr(embedding, "_TIMED", 20)
    monkeypatch.setattr(embedding, "_FEW", 20)
    monkeypatch.setattr(embedding, "_MANY", 40)
    rate, owned = embedding.figures(rounds=1)
    assert rate.ours > 0 and rate.more and set(rate.others) == {"the backbone alone"}
    assert owned.what == "memory owned after embedding 40 clouds" and owned.others["after 20"] > 10


def test_a_store_repeated(tmp_path):
    few = synthetic_store(tmp_path / "few", 64, points=64, prefix=(2, 3))
    many = memory.repeated(few, tmp_path / "many", 3)
    assert len(many) == 192 and many.points.shape == (192, 64, 3) and many.target_shape == (2, 3)
    for part in range(3):
        np.testing.assert_array_equal(many.points[64 * part : 64 * (part + 1)], few.points)
        np.testing.assert_array_equal(many.targets[64 * part : 64 * (part + 1)], few.targets)
    assert not np.array_equal(few.points[0], few.points[1])


def test_memory_on_few_and_many_frames(monkeypatch):
    monkeypatch.setattr(memory, "_FRAMES", 64)
    monkeypatch.setattr(memory, "_TIMES", 2)
    monkeypatch.setattr(memory, "_RUNS", 1)
    (row,) = memory.figures()
    assert row.what == "memory owned while pre-training on 128 frames" and row.ours > 10 < row.others["on 64"]


def test_a_process_and_its_end():
    assert processes.run(["-c", "print('here')"]) == "here\n"
    assert processes.seconds_of(["-c", "pass"], 1) > 0
    with pytest.raises(PointdistillError, match="a measurement failed: ValueError: no"):
        processes.run(["-c", "raise ValueError('no')"])


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_memory_of_a_process_is_what_it_holds():
    code = (
        "import numpy as np\nfrom pointdistill.bench.processes import anonymous_memory\nbefore = anonymous_memory()\n"
        "kept = np.ones(20_000_000)\nprint(anonymous_memory() - before)"
    )
    assert 0.95 < float(processes.run(["-c", code])) / 160e6 < 1.2


def test_start(monkeypatch):
    monkeypatch.setattr(start, "seconds_of", lambda command, rounds: {"--help": 2.0}.get(command[-1], 0.5))
    rows = start.figures(rounds=1)
    assert [row.what for row in rows][:2] == ["pointdistill --help", "pointdistill pretrain --help"]
    assert not rows[0].limit.held and rows[0].ratio("import torch") == 0.25


def test_a_process_of_its_own():
    assert processes.in_own_process(os.getpid) != os.getpid()
    with pytest.raises(FileNotFoundError):
        processes.in_own_process(os.stat, "no such file")
    with pytest.raises(PointdistillError, match="the process of a measurement died"):
        processes.in_own_process(os._exit, 9)

"""What a pre-training is said to take, beside what it takes."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.pretraining_cost import StepMemory, available_memory, made_up_batch, made_up_method, step_memory
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.quickstart import distillation

MEASURED = """
from pathlib import Path
from pointdistill.engine.optim import adamw
from pointdistill.engine.pretrain import gradients
from pointdistill.methods.base import Draw
from pointdistill.pretraining_cost import made_up_batch, made_up_method
from pointdistill.recipes.named import pretraining_recipes
recipe = pretraining_recipes()["paper-mix"]
method = made_up_method(recipe, (10, 768)).train()
optimizer = adamw(method, 1e-3, 0.05)
def step(batch):
    gradients(method, method, batch, Draw(0, 0, batch.index.numpy()))
    optimizer.step()
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines["VmHWM"].split()[0])  # not ru_maxrss, which begins with the parent's
_, few, many = (step(made_up_batch(recipe, count, (10, 768))) for count in (2, 2, 14))  # the first makes moments
print((many - few) / 12)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_what_a_sample_adds_is_what_is_reckoned():
    reckoned = step_memory(pretraining_recipes()["paper-mix"], (10, 768))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "THP_"))}
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, env=plain)
    assert float(found.stdout) == pytest.approx(reckoned.sample, rel=0.3)


def test_what_is_there_whatever_the_batch():
    recipe = distillation()
    reckoned = step_memory(recipe, (8, 64))
    method = made_up_method(recipe, (8, 64))
    weights = 16 * sum(p.numel() for p in method.parameters() if p.requires_grad)
    assert weights < reckoned.fixed < 1.5 * weights + 1e6
    wider = step_memory(replace(recipe, backbone=replace(recipe.backbone, depth=6)), (8, 64))
    assert wider.sample > 1.3 * reckoned.sample and wider.fixed > reckoned.fixed


@pytest.mark.parametrize("kind", ["point-bert", "local", "point-contrast"])
def test_methods_whose_shapes_depend_on_numbers(kind):
    recipe = pretraining_recipes()[f"quickstart-{kind}"]
    backbone = BackboneConfig(
        width=24, depth=2, heads=2, groups=8, group_size=4, class_token=recipe.backbone.class_token
    )
    assert step_memory(replace(recipe, backbone=backbone), (4, 8)).sample > 10_000


def test_the_largest_batch():
    memory = StepMemory(fixed=100.0, sample=10.0)
    assert memory.of(5) == 150 and memory.largest_batch(1000) == 70 and memory.largest_batch(50) == 0
    assert 1e8 < available_memory("cpu") < 1e14


def test_made_up_batches_are_the_recipes_size():
    recipe = pretraining_recipes()["quickstart-point-contrast"]
    batch = made_up_batch(recipe, 3, (8, 64))
    assert batch.points.shape == (3, recipe.frames.points, 3) and batch.targets.shape == (3, 8, 64)
    assert batch.matches.shape == (3, recipe.method.matches, 2) and torch.equal(
        batch.matches[..., 0], batch.matches[..., 1]
    )

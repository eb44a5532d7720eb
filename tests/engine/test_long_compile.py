"""A compiled pre-training, in a process of its own: the shape checks of the other tests cannot be compiled."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long
CODE = """
import sys
import torch
from pathlib import Path
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.engine.pretrain import PretrainConfig, pretrain
from pointdistill.methods.distill import Distill, DistillConfig

class Frames:
    def __len__(self):
        return 2
    def epoch(self, number, start_step=0):
        for step in range(start_step, 2):
            points = torch.randn(4, 256, 3, generator=torch.Generator().manual_seed(step))
            yield FrameBatch(points, points.std(1)[:, None], torch.arange(4) + 4 * step)

compiler = torch.compile
torch.compile = lambda module: compiler(module, backend="eager")  # its front end; code generation needs a compiler
torch.manual_seed(0)
method = Distill(DistillConfig(), create_backbone("vit_nano"), torch.zeros(1, 3), torch.ones(1, 3))
config = PretrainConfig(epochs=2, batch_size=4, warmup_epochs=0, validate_every=1, compile=sys.argv[2] == "compile")
pretrain(method, Frames(), Frames(), config, Path(sys.argv[1]), "one")
"""


def losses(folder, how):
    subprocess.run([sys.executable, "-c", CODE, str(folder), how], check=True)
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_compiled_steps_are_the_plain_ones(tmp_path):
    plain, compiled = (losses(tmp_path / how, how) for how in ("plain", "compile"))
    assert len(plain) == 4
    assert compiled == pytest.approx(plain, rel=1e-4)

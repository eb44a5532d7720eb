"""Losses of the first ten steps of a method, on made-up clouds, beside those that are on file (tests/golden)."""

import json
from pathlib import Path

import numpy as np
import torch

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.engine.pretrain import PretrainConfig, pretrain
from pointdistill.methods.base import TargetStatistics
from pointdistill.seeding import torch_generator

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
TARGETS = TargetStatistics(torch.full((2, 3), 1.0), torch.full((2, 3), 0.5))
CONFIG = PretrainConfig(epochs=2, batch_size=4, warmup_epochs=1, checkpoint_every=10, validate_every=1)
MATCHES = torch.cat([torch.arange(12), torch.full((4,), -1)]).view(1, 16, 1).repeat(4, 1, 2)
"""Of the made-up clouds, which have nothing in common: as good as any."""
CELLS = (torch.arange(256) % 3 - 1).view(4, 64)
"""Of two cells, and outside."""
FOLDER = Path(__file__).parent / "golden"


class Frames:
    """A loader of made-up frames whose target depends on the cloud, with a second view; five batches an epoch."""

    def __len__(self):
        return 5

    def epoch(self, number, start_step=0):
        for step in range(start_step, 5):
            generator = torch_generator(0, "frames", number, step)
            stretch = torch.rand(4, 1, 1, generator=generator) * 3
            points, second = (torch.randn(4, 64, 3, generator=generator) for _ in range(2))
            for cloud in (points, second):
                cloud[:, :, :1] *= stretch
            targets = points.std(1)[:, None, :].expand(-1, 2, -1).contiguous()
            yield FrameBatch(points, targets, torch.arange(4) + 4 * step, cells=CELLS, second=second, matches=MATCHES)


def first_losses(config, out):
    """The losses of ten steps of the method of these settings, around a tiny backbone."""
    torch.manual_seed(0)
    method = config.build(create_backbone("vit_nano", **TINY), TARGETS if config.learns_from_teacher else None)
    return [row["loss"] for row in pretrain(method, Frames(), Frames(), CONFIG, out, "golden")]


def check(name, config, out):
    """Whether they are those on file."""
    golden = json.loads((FOLDER / f"{name}.json").read_text())
    assert len(golden) == 10
    np.testing.assert_allclose(first_losses(config, out), golden, rtol=2e-4)

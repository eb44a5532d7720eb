"""What several processes and one must agree on; as a script, by torchrun's rules, it writes what this one found."""

import json
import sys
from pathlib import Path

import torch

from pointdistill import create_backbone, distributed
from pointdistill.batch import FrameBatch
from pointdistill.engine.pretrain import PretrainConfig, pretrain
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.contrast import MomentumQueue, Retrieval, info_nce, nt_xent
from pointdistill.methods.cross_point import CrossPointConfig
from pointdistill.methods.depth_contrast import DepthContrastConfig
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.methods.local_alignment import LocalAlignment, LocalAlignmentConfig
from pointdistill.methods.point_bert import PointBERTConfig
from pointdistill.methods.point_contrast import PointContrast, PointContrastConfig
from pointdistill.methods.point_mae import PointMAE, PointMAEConfig
from pointdistill.models.batch_norm import BatchNorm
from pointdistill.models.channels_first import affine
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.projector import ProjectorConfig
from pointdistill.online_probe import Probes
from pointdistill.seeding import torch_generator
from pointdistill.tasks.classification import Classification

BATCH = 5  # two processes get three and two
STEPS = 20
TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
CONFIG = PretrainConfig(epochs=4, batch_size=BATCH, warmup_epochs=1, checkpoint_every=8, validate_every=1, clip=1.0)


class Frames:
    """Five batches an epoch of made-up frames; this process's share of each."""

    def __len__(self):
        return 5

    def epoch(self, number, start_step=0):
        for step in range(start_step, 5):
            generator = torch_generator(0, "frames", number, step)
            points = torch.randn(BATCH, 64, 3, generator=generator)
            points[:, :, 0] *= torch.rand(BATCH, 1, generator=generator) * 3
            targets = points.std(1)[:, None, :].expand(-1, 2, -1).contiguous()
            second = points + 0.1 * torch.randn(BATCH, 64, 3, generator=generator)
            matches = torch.arange(8).view(1, 8, 1).repeat(BATCH, 1, 2)
            matches[torch.arange(8) >= torch.arange(4, 4 + BATCH)[:, None]] = -1  # another number of each frame
            cells = torch.where(torch.arange(64) < torch.arange(8, 8 + 9 * BATCH, 9)[:, None], torch.arange(64) % 2, -1)
            mine = slice(distributed.rank(), None, distributed.ranks())
            index = torch.arange(BATCH) + BATCH * step
            yield FrameBatch(points[mine], targets[mine], index[mine], cells[mine], second[mine], matches[mine])


def distill():
    torch.manual_seed(0)
    config = DistillConfig(ConceptConfig(count=4, heads=2, attend="block_output"), ProjectorConfig("flat", 16))
    return Distill(config, create_backbone("vit_nano", **TINY), torch.full((2, 3), 1.0), torch.full((2, 3), 0.5))


def point_mae():
    torch.manual_seed(0)
    return PointMAE(PointMAEConfig(decoder=DecoderConfig(depth=1, heads=2)), create_backbone("vit_nano", **TINY))


TOKENIZER = DVAEConfig(tokens=16, token_width=8, graph_width=4)


def dvae():
    torch.manual_seed(0)
    return TOKENIZER.build(create_backbone("vit_nano", **TINY))


def point_bert():
    torch.manual_seed(0)
    config = PointBERTConfig(TOKENIZER, contrast_width=6, queue=12)
    return config.build(create_backbone("vit_nano", **TINY))


TOKENS = {"dvae": dvae, "point_bert": point_bert}
"""Methods whose curves part after some steps: a rounding error decides which of two tokens is the likelier."""


def one_step(name):
    """Losses of the whole batch, gradients and buffers after a step of one of those."""
    method, data = TOKENS[name]().train(), next(Frames().epoch(0))
    share = distributed.share(len(data), "cpu")
    losses = method(data, Draw(0, 0, data.index.numpy(), 0.3))
    (losses.total * share).backward()
    distributed.sum_gradients(method)
    whole = losses.over_all(share)
    found = {"total": whole.total, **whole.parts, **dict(method.named_buffers())}
    found |= {f"d{name}": p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {name: value.tolist() for name, value in found.items()}


def point_contrast():
    torch.manual_seed(0)
    # At its own temperature the loss is so steep that rounding alone shows after three steps.
    return PointContrast(PointContrastConfig(temperature=2.0), create_backbone("vit_nano", **TINY))


def cross_point():
    torch.manual_seed(0)
    statistics = TargetStatistics(torch.full((2, 3), 1.0), torch.full((2, 3), 0.5))
    return CrossPointConfig(projection=32, image_hidden=64).build(create_backbone("vit_nano", **TINY), statistics)


def depth_contrast():
    torch.manual_seed(0)
    return DepthContrastConfig(queue=12, projection=8).build(create_backbone("vit_nano", **TINY))


def local():
    torch.manual_seed(0)
    config = LocalAlignmentConfig(hidden=8)
    return LocalAlignment(config, create_backbone("vit_nano", **TINY), torch.full((2, 3), 1.0), torch.full((2, 3), 0.5))


METHODS = {
    "distill": distill,
    "local": local,
    "point_mae": point_mae,
    "point_contrast": point_contrast,
    "cross_point": cross_point,
    "depth_contrast": depth_contrast,
}


def contrasted():
    """Losses over pairs, their gradients, and a queue, on an unevenly shared batch, double precision."""
    generator = torch.Generator().manual_seed(1)
    whole = torch.randn(2, BATCH, 3, 7, generator=generator, dtype=torch.double)
    mine = slice(distributed.rank(), None, distributed.ranks())
    first, second = (side[mine].clone().requires_grad_() for side in whole)
    loss = nt_xent(first[:, 0], second[:, 0]) + info_nce(first, second)
    (loss * distributed.share(len(first), "cpu")).backward()
    torch.manual_seed(0)
    queue = MomentumQueue(12, 7).double()
    for _ in range(3):
        queue.push(first[:, 0])
    found, names = Retrieval(), torch.eye(2 * BATCH)
    for step in range(2):
        index = torch.arange(BATCH)[mine] + BATCH * step
        found.add(index, names[index], names[index if step else (index + 1) % BATCH])
    assert first.grad is not None and second.grad is not None
    gradient = torch.stack([first.grad, second.grad], dim=1)
    return {
        "gradient": gradient.tolist(),
        "found": found.accuracy(),
        "keys": queue.keys.tolist(),
        "next": queue.next.item(),
    }


LINEAR = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.0, 1.0], [-1.0, 1.0, 2.0]], dtype=torch.double)
"""A layer before the BatchNorm."""


def normalised(folded=False):
    """Forward, gradients and running statistics of a BatchNorm after a linear layer, by itself or with the layer, on an
    unevenly shared batch, double precision."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(BATCH, 3, 7, generator=generator, dtype=torch.double) * 2 + 5
    weights = torch.randn(BATCH, 3, 7, generator=generator, dtype=torch.double)
    mine = slice(distributed.rank(), None, distributed.ranks())
    norm = BatchNorm(3).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
    x = whole[mine].clone().requires_grad_()
    for _ in range(2):
        out = affine(x, *norm.folded(LINEAR, None, x)) if folded else norm(affine(x, LINEAR, None))
    # Not linear in the statistics, and another loss on each process.
    (out.pow(3) * weights[mine]).sum().backward()
    distributed.sum_gradients(norm)
    found = {"out": out, "gradient": x.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    found |= {"mean": norm.running_mean, "variance": norm.running_var, "seen": norm.num_batches_tracked}
    return {name: value.tolist() for name, value in found.items()}


class Interrupted(Exception):
    pass


class Stopping(Frames):
    """Ends the run in its second epoch."""

    def epoch(self, number, start_step=0):
        yield from super().epoch(number, start_step)
        if number == 1:
            raise Interrupted


def curve(name, out, frames=Frames):
    """Losses and held-out figures of each step, without those that count frames: a rounding error may turn one over."""
    rows = pretrain(METHODS[name](), frames(), Frames(), CONFIG, out, "one")
    rows = [{key: value for key, value in row.items() if not key.endswith("retrieval")} for row in rows]
    return [[value for key, value in row.items() if key == "loss" or key.startswith("heldout_")] for row in rows]


class Whole(Frames):
    """The whole batches, whoever asks."""

    def epoch(self, number, start_step=0):
        for step in range(start_step, 5):
            points = torch.randn(BATCH, 64, 3, generator=torch_generator(1, "frames", number, step))
            points *= torch.linspace(1, 3, BATCH)[:, None, None]
            yield FrameBatch(points, points.std(1)[:, None, :], torch.arange(BATCH) + BATCH * step)


def probed(out):
    """Figures of a probe in every epoch, and at which steps; only the main process asks."""
    probe = Probes(5, (Whole(), Whole()), None, Classification(), {})
    rows = pretrain(METHODS["distill"](), Frames(), Frames(), CONFIG, out, "one", probe=probe)
    return [[row["step"], row["prefix_r2"]] for row in rows if "prefix_r2" in row]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with distributed.processes("cpu"):
        found: dict = {"normalised": normalised(), "folded": normalised(folded=True), "contrasted": contrasted()}
        found |= {name: curve(name, folder / name) for name in METHODS}
        found |= {name: one_step(name) for name in TOKENS}
        found["probed"] = probed(folder / "probed")
        found["resumed"] = curve("distill", folder / "resumed")
        (folder / f"found{distributed.rank()}.json").write_text(json.dumps(found))

"""What holds for every task: all of the network learns, the loss falls, runs repeat, order of the points is nothing."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill.models.backbone import Backbone
from pointdistill.models.detr3d import DecoderConfig
from pointdistill.models.dgcnn import DGCNN, DGCNNConfig
from pointdistill.tasks.base import Splits, Task, fingerprint
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.part_segmentation import PartSegmentation
from pointdistill.tasks.sampling import step_samples
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from pointdistill.tasks.set_loss import SetLossConfig
from task_samples import object_splits, room_splits, shape_splits, tiny_backbone

TINY_DECODER = DecoderConfig(
    width=24, depth=2, heads=2, ffn=24, dropout=0.0, queries=16, head_dropout=0.0, content="token", coding="log"
)
CASES: dict[str, tuple[Task, Splits]] = {
    "classification": (
        Classification(points=64, group_count=8, group_size=8, hidden=16, dropout=0.0, votes=2),
        object_splits(),
    ),
    "part_segmentation": (
        PartSegmentation(
            points=64,
            group_count=8,
            group_size=8,
            propagation=(16, 16),
            hidden=(16, 16),
            embedding=4,
            dropout=0.0,
            probe_points=16,
        ),
        shape_splits(),
    ),
    "semantic_segmentation": (
        SemanticSegmentation(
            points=128, group_count=8, group_size=16, hidden=(16, 16), dropout=0.0, passes=1, probe_columns=2
        ),
        room_splits(),
    ),
    "semantic_segmentation on DGCNN": (
        SemanticSegmentation(points=128, hidden=(16, 16), dropout=0.0, passes=1, probe_columns=2, colour=True),
        room_splits(),
    ),
    "detection": (
        Detection(
            points=256,
            group_count=24,
            group_size=12,
            decoder=TINY_DECODER,
            set_loss=SetLossConfig(cost_centre=5.0, repeats=2),
            quarter_turns=True,
        ),
        room_splits(),
    ),
}


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[Task, Splits]:
    return CASES[request.param]


def backbone_for(task: Task) -> Backbone:
    if getattr(task, "colour", False):
        torch.manual_seed(0)
        return DGCNN(DGCNNConfig(neighbours=6, width=8, embedding=16, channels=3))
    return tiny_backbone()


def fresh_model(task: Task, data: Splits, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return task.model(backbone_for(task), data)


def test_every_parameter_gets_a_gradient_and_the_loss_falls(case: tuple[Task, Splits]) -> None:
    task, data = case
    model = fresh_model(task, data)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses, reached = [], set()
    for step in range(15):
        batch = task.batch(data.train, step_samples(0, step, 4, task.size(data.train)), 0)
        loss = task.loss(model.train(), batch).total
        optimizer.zero_grad()
        loss.backward()
        reached |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        optimizer.step()
        losses.append(loss.item())
    # A bias before BatchNorm is cancelled by it: its gradient is rounding, or exactly zero.
    cancelled = {"backbone.patch_embed.local1.bias", "backbone.patch_embed.merge.bias"}
    single = "decoder.heads.angle."  # a choice among one bin of headings (3DETR on ScanNet) has nothing to learn
    silent = {name for name, _ in model.named_parameters() if not name.startswith(single)} - reached
    assert silent <= cancelled
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_batches_and_figures_repeat(case: tuple[Task, Splits]) -> None:
    task, data = case
    samples = step_samples(3, 1, 4, task.size(data.train))
    first, second, other = (task.batch(data.train, samples, seed) for seed in (5, 5, 6))
    for field in dataclasses.fields(first):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name))
    assert not torch.equal(first.points, other.points)
    model = fresh_model(task, data)
    assert task.evaluate(model, data.test, 1) == task.evaluate(model, data.test, 1)


def test_figures_are_shares(case: tuple[Task, Splits]) -> None:
    task, data = case
    task.check(data)
    for figures in (
        task.evaluate(fresh_model(task, data), data.test, 0),
        task.evaluate(fresh_model(task, data), data.test, 0, quick=True),
        task.baseline(data),
    ):
        assert 0 <= figures[task.metric] <= 1
    probed = task.probe(backbone_for(task), data, 0)
    assert all(0 <= value <= 1 for value in probed.values() if isinstance(value, float))
    assert task.probe(backbone_for(task), data, 0) == probed


def test_the_order_of_the_points_is_nothing(case: tuple[Task, Splits]) -> None:
    """But for the first point, where farthest point sampling starts."""
    task, data = case
    model = fresh_model(task, data).eval()
    batch = task.batch(data.train, step_samples(0, 0, 3, task.size(data.train)), 0)
    count = batch.points.shape[1]
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(count - 1)])
    per_point = {f.name for f in dataclasses.fields(batch) if getattr(batch, f.name).shape[1:2] == (count,)}
    shuffled = replace(batch, **{name: getattr(batch, name)[:, order] for name in per_point})
    torch.testing.assert_close(task.loss(model, shuffled).total, task.loss(model, batch).total, rtol=1e-4, atol=1e-4)


def test_defaults_are_the_papers() -> None:
    """Appendix A.2."""
    assert (Classification().points, Classification().group_count, Classification().group_size) == (1024, 64, 32)
    assert (PartSegmentation().points, PartSegmentation().group_count, PartSegmentation().group_size) == (2048, 128, 32)
    scenes = SemanticSegmentation()
    assert (scenes.points, scenes.group_count, scenes.group_size, len(scenes.classes)) == (8192, 256, 32, 20)
    rooms = Detection()
    assert (rooms.group_count, rooms.decoder.queries, rooms.decoder.depth, rooms.decoder.width) == (2048, 256, 8, 256)
    assert len(rooms.classes) == 18


def test_fingerprint_tells_data_apart() -> None:
    data = object_splits()
    assert fingerprint(data) == fingerprint(object_splits())
    assert fingerprint(data) != fingerprint(replace(data, test=data.train))


def test_step_samples_are_permutations() -> None:
    drawn = [sample for step in range(7) for sample in step_samples(0, step, 4, 14)]
    assert [sample.epoch for sample in drawn] == [0] * 14 + [1] * 14
    assert sorted(sample.index for sample in drawn[:14]) == list(range(14))
    assert [s.index for s in drawn[:14]] != [s.index for s in drawn[14:]]

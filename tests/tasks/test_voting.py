"""Which points a draw of a cloud is out of, and the four figures of the voting protocol."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from oracles.points import farthest_points as slow_fps
from pointdistill.tasks.base import Sample
from pointdistill.tasks.classification import Classification, ClassificationModel
from pointdistill.tasks.sampling import unit_sphere
from task_samples import objects, tiny_backbone

PLAIN = Classification(points=10, farthest=16, group_count=4, group_size=4, scale=(1.0, 1.0), shift=0.0)


def _rows(drawn: np.ndarray, cloud: np.ndarray) -> set[int]:
    """Which points of the cloud were drawn."""
    distances = np.linalg.norm(drawn[:, None] - unit_sphere(cloud)[None], axis=-1)
    assert distances.min(1).max() < 1e-5
    return set(distances.argmin(1).tolist())


def test_training_draws_are_out_of_farthest_points_from_any_start() -> None:
    data = objects(0, per_class=1, points=40)
    pools = [[set(np.asarray(slow_fps(cloud, 16, start)).tolist()) for start in range(40)] for cloud in data.points]
    seen: set[int] = set()
    for epoch in range(12):
        batch = PLAIN.batch(data, [Sample(epoch, index) for index in range(3)], 0)
        for drawn, cloud, starts in zip(batch.points.numpy(), data.points, pools, strict=True):
            rows = _rows(drawn, cloud)
            assert len(rows) == 10 and any(rows <= pool for pool in starts)
        seen |= _rows(batch.points[0].numpy(), data.points[0])
    assert len(seen) > 16, "another start, other points"
    everything = replace(PLAIN, farthest=0).batch(data, [Sample(0, 0)], 0).points[0].numpy()
    assert not any(_rows(everything, data.points[0]) <= pool for pool in pools[0])


class Dragged(ClassificationModel):
    """Says plate of flat clouds and sphere of others, but for a drag by where the cloud was shifted to."""

    def __init__(self, signal: float = 0.1) -> None:
        super().__init__(tiny_backbone(), 3, PLAIN)
        self.signal, self.seen = signal, []

    def forward(self, points: Float[torch.Tensor, "batch points 3"]) -> Float[torch.Tensor, "batch classes"]:
        self.seen.append(points)
        height = points[..., 2].amax(1) - points[..., 2].amin(1)
        sphere = points[..., 0].mean(1) - self.signal * torch.sign(0.5 - height)
        return torch.stack([sphere, -sphere, torch.full_like(sphere, -9.0)], 1)


def test_four_figures() -> None:
    data = objects(0, per_class=30).select(np.arange(60))
    # Shifted by up to 0.2, a single vote is right in three of four: by 64 votes the shift averages out.
    task = replace(PLAIN, points=64, farthest=80, shift=0.2, votes=2, vote_repeats=12)
    few = task.evaluate(Dragged(), data, 0)
    many = replace(task, votes=64, vote_repeats=1).evaluate(Dragged(), data, 0)
    assert few["accuracy"] == many["accuracy"] == 1
    assert 0.5 < few["vote2"] < 0.95 < many["vote64"]
    assert few["max_of_n"] > few["vote2"] and "max_of_n" not in many
    assert replace(task, vote_repeats=3).evaluate(Dragged(), data, 0)["vote2"] == few["vote2"]
    assert set(task.evaluate(Dragged(), data, 0, quick=True)) == {"accuracy", "class_accuracy", "accuracy_by_class"}


def test_all_votes_are_out_of_the_same_farthest_points() -> None:
    data, model = objects(0, per_class=1, points=40), Dragged()
    replace(PLAIN, votes=9, vote_repeats=2).evaluate(model, data, 0)
    for index, cloud in enumerate(data.points):
        draws = [_rows(seen[index].numpy(), cloud) for seen in model.seen[1:]]
        assert len(draws) == 18 and len({frozenset(rows) for rows in draws}) == 18
        assert set().union(*draws) == set(np.asarray(slow_fps(cloud, 16, 0)).tolist())


def test_the_best_of_many_votes_grows_for_a_model_that_knows_nothing() -> None:
    """Why max_of_n is no measurement."""
    data, task = objects(0, per_class=30).select(np.arange(60)), replace(PLAIN, shift=0.2, votes=2)
    found = [replace(task, vote_repeats=n).evaluate(Dragged(0.0), data, 0)["max_of_n"] for n in (2, 40)]
    assert found[1] > max(found[0], 0.55)

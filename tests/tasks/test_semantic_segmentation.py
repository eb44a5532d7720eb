from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill.errors import DataError
from pointdistill.geometry import to_unit_sphere
from pointdistill.tasks.base import Sample, Splits
from pointdistill.tasks.columns import Column, grid, inside, random_column, vote
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from task_samples import room, room_splits, tiny_backbone

TASK = SemanticSegmentation(points=128, group_count=8, group_size=16, hidden=(16, 16), passes=1)


def test_grid_covers_the_floor() -> None:
    points = room(0).points
    places = grid(points, 1.5, 0.75)
    assert set(np.concatenate([inside(points, place, 1.5) for place in places])) == set(range(len(points)))
    assert len(grid(points[:1], 1.5, 0.75)) == 1


@pytest.mark.parametrize("passes", [None, 1])
def test_every_vertex_is_voted_for(passes: int | None) -> None:
    scene = room(0)
    seen = np.zeros(len(scene.points), int)

    def predict(columns: list[Column]) -> np.ndarray:
        for column in columns:
            seen[np.unique(column.index)] += 1
            assert np.abs(column.points[:, :2]).max() <= 0.75 + 1e-5
        return np.ones((len(columns), 128, 4), np.float32)

    scores = vote(scene.points, predict, 4, 128, 1.5, 0.75, passes, np.random.default_rng(0))
    assert (scores > 0).all()
    if passes is None:
        assert (seen > 0).all()
        np.testing.assert_array_equal(scores[:, 0], seen)


def test_unseen_vertices_take_the_nearest_vote() -> None:
    points = np.array([[0, 0, 0], [0.1, 0, 0], [1, 0, 0], [1.1, 0, 0]], np.float32)

    def predict(columns: list[Column]) -> np.ndarray:
        right = (columns[0].points[:, 0] > 0).astype(np.float32)
        return np.stack([1 - right, right], -1)[None]

    scores = vote(points, predict, 2, 2, 4.0, 4.0, 1, np.random.default_rng(3))
    assert scores.argmax(1).tolist() in ([0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1])


def test_whole_scene_is_labelled() -> None:
    scene = room(0)
    model = TASK.model(tiny_backbone(), room_splits())
    labels = TASK.label_scene(model, scene, 0)
    assert labels.shape == (len(scene.points),) and labels.min() >= 0 and labels.max() < 20
    assert np.array_equal(labels, TASK.label_scene(model, scene, 0))


def test_labels_follow_the_benchmark() -> None:
    scene = room(0)
    semantic = scene.semantic.copy()
    semantic[:4] = [0, 22, 39, 14]
    assert TASK.labels(replace(scene, semantic=semantic))[:4].tolist() == [-1, -1, 19, 12]


def test_unlabelled_points_do_not_count() -> None:
    model = TASK.model(tiny_backbone(), room_splits()).eval()
    batch = TASK.batch([room(0)], [Sample(0, 0), Sample(1, 0)], 0)
    half = batch.labels.clone()
    half[:, ::2] = -1
    with torch.no_grad():
        logits = model(batch.points, batch.colours)
        loss = TASK.loss(model, replace(batch, labels=half)).total
    expected = torch.nn.functional.cross_entropy(logits[:, 1::2].flatten(0, 1), batch.labels[:, 1::2].flatten())
    torch.testing.assert_close(loss, expected)
    nothing = replace(batch, labels=torch.full_like(batch.labels, -1))
    assert TASK.loss(model, nothing).total.item() == 0


def test_columns_are_tall_and_centred() -> None:
    scene = room(1)
    column = random_column(scene.points, scene.semantic, 128, 1.5, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(column.points[:, 2], scene.points[column.index, 2], atol=1e-6)
    assert np.abs(column.points[:, :2]).max() <= 0.75 + 1e-5
    unit = to_unit_sphere(torch.from_numpy(column.points)[None]).points
    assert unit.mean(1).abs().max() < 1e-5 and unit.norm(dim=-1).max() == pytest.approx(1, abs=1e-5)


def test_baseline_is_the_majority_class() -> None:
    data = room_splits()
    labels = np.concatenate([TASK.labels(scene) for scene in data.test])
    share = (labels == 1).mean()
    figures = TASK.baseline(data)
    assert figures["overall_accuracy"] == pytest.approx(share)
    assert figures["miou"] == pytest.approx(share / len(np.unique(labels)))


def test_scene_without_vertices_is_named() -> None:
    data = room_splits()
    whole = room(5)
    cut = {name: getattr(whole, name)[:3] for name in ("points", "colours", "semantic", "instance")}
    empty = replace(whole, **cut)
    with pytest.raises(DataError, match=r"test split, scene room5: has only 3 vertices"):
        TASK.check(Splits(data.train, data.validation, [empty]))


def test_balanced_columns_stand_on_rare_classes() -> None:
    scene = room(3)
    semantic = scene.semantic.copy()
    corner = np.argmin(scene.points[:, :2].sum(1))
    semantic[corner] = 33

    def near_corner(balanced: bool) -> float:
        generator = np.random.default_rng(0)
        columns = [random_column(scene.points, semantic, 128, 0.8, 0.0, generator, balanced) for _ in range(60)]
        middles = [scene.points[c.index[0], :2] - c.points[0, :2] for c in columns]
        return np.mean([np.allclose(middle, scene.points[corner, :2], atol=1e-4) for middle in middles])

    assert near_corner(True) > 0.15 > near_corner(False)


def test_class_balance_weighs_rare_classes() -> None:
    data = room_splits()
    plain, weighted = (replace(TASK, class_balance=power).model(tiny_backbone(), data) for power in (0.0, 0.5))
    counts = np.bincount(np.concatenate([TASK.labels(scene) for scene in data.train]), minlength=20)
    assert torch.equal(plain.class_weight, torch.ones(20))
    assert weighted.class_weight[1] == 1, "the floor is the most frequent"
    assert weighted.class_weight[3].item() == pytest.approx(np.sqrt(counts[1] / counts[3]))

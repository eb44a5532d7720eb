"""Frozen-feature protocols against slow definitions, and few-shot episodes."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest
from jaxtyping import Float

from pointdistill.datasets.objects import ObjectSet
from pointdistill.errors import DataError, MissingPackage
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.tasks.base import Splits
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.episodes import draw_episode
from pointdistill.tasks.frozen import linear_probe, linear_svm, nearest_neighbours
from task_samples import objects, tiny_backbone

TINY = Classification(points=64, group_count=8, group_size=8)


@dataclass(frozen=True)
class FirstPoint(Classification):
    """Takes a cloud's first point for its features."""

    def pooled(self, backbone: PointTransformer, split: ObjectSet, seed: int) -> Float[np.ndarray, "clouds width"]:
        return split.points[:, 0]


def _clusters(seed: int, spread: float, count: int = 40) -> ObjectSet:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    centres = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2], [-2, 0, 0]])
    points = centres[labels][:, None] + spread * generator.normal(size=(count, 5, 3))
    return ObjectSet(points.astype(np.float32), labels, tuple(map(str, range(count))), ("a", "b", "c", "d"))


def _slow_neighbours(train: ObjectSet, test: ObjectSet, k: int, temperature: float) -> float:
    right = 0
    for cloud, label in zip(test.points, test.labels, strict=True):
        found = []
        for other, other_label in zip(train.points, train.labels, strict=True):
            a, b = cloud[0].astype(float), other[0].astype(float)
            found.append((float(a @ b / np.sqrt((a @ a) * (b @ b))), int(other_label)))
        votes = [0.0] * 4
        for similarity, other_label in sorted(found, key=lambda pair: -pair[0])[:k]:
            votes[other_label] += np.exp(similarity / temperature)
        right += votes.index(max(votes)) == label
    return right / len(test.labels)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 1.0), (100, 0.5)])
def test_nearest_neighbours_vote_as_defined(k: int, temperature: float) -> None:
    train, test = _clusters(0, 1.2), _clusters(1, 1.2, 300)  # more test clouds than are compared at a time
    found = nearest_neighbours(tiny_backbone(), Splits(train, test, test), 0, FirstPoint(), k, temperature)
    assert found["accuracy"] == pytest.approx(_slow_neighbours(train, test, k, temperature))
    assert 0.3 < found["accuracy"] < 0.98


@pytest.mark.parametrize(("c", "one_vs_rest"), [(0.1, False), (1.0, True)])
def test_linear_svm(c: float, one_vs_rest: bool) -> None:
    pytest.importorskip("sklearn")
    apart = Splits(_clusters(0, 0.1), _clusters(1, 0.1), _clusters(2, 0.1))
    assert linear_svm(tiny_backbone(), apart, 0, FirstPoint(), c, one_vs_rest)["accuracy"] == 1
    shuffled = ObjectSet(apart.train.points, np.roll(apart.train.labels, 7), apart.train.names, apart.train.classes)
    mixed = Splits(shuffled, apart.validation, apart.test)
    assert linear_svm(tiny_backbone(), mixed, 0, FirstPoint(), c, one_vs_rest)["accuracy"] < 0.8


def test_svm_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    data = _clusters(0, 0.1)
    with pytest.raises(MissingPackage, match=r"pip install 'pointdistill\[eval\]'"):
        linear_svm(tiny_backbone(), Splits(data, data, data), 0)


@pytest.mark.parametrize("protocol", [linear_probe, nearest_neighbours, linear_svm])
def test_protocols_on_a_backbone(protocol) -> None:
    if protocol is linear_svm:
        pytest.importorskip("sklearn")
    data = Splits(objects(0, per_class=8), objects(1, per_class=8), objects(2, per_class=8))
    found = protocol(tiny_backbone(), data, 0, TINY)
    assert found == protocol(tiny_backbone(), data, 0, TINY)
    assert found["accuracy"] > 0.6, "even a random backbone tells spheres, plates and poles apart"
    assert set(found["accuracy_by_class"]) == {"sphere", "plate", "pole"}


def test_episodes() -> None:
    train, test = _clusters(0, 1.0, 200), _clusters(1, 1.0, 200)
    data = Splits(train, test, test)
    episode = draw_episode(data, way=3, shot=5, number=0, queries=7)
    for part, count, whole in ((episode.train, 5, train), (episode.test, 7, test)):
        assert part.labels.tolist() == np.repeat(range(3), count).tolist() and len(set(part.names)) == 3 * count
        for name, label, cloud in zip(part.names, part.labels, part.points, strict=True):
            row = whole.names.index(name)
            assert whole.classes[whole.labels[row]] == part.classes[label] and (whole.points[row] == cloud).all()
    assert episode.validation is episode.test and episode.train.classes == episode.test.classes
    again, other = (draw_episode(data, 3, 5, number, 7) for number in (0, 1))
    assert again.train.names == episode.train.names != other.train.names
    assert draw_episode(data, 3, 5, 0, 7, seed=1).train.names != episode.train.names
    classes = {name for number in range(10) for name in draw_episode(data, 3, 5, number, 7).train.classes}
    assert classes == set(train.classes)


def test_episodes_of_too_little_data() -> None:
    data = Splits(objects(0), objects(1), objects(2))
    with pytest.raises(DataError, match="train split: holds 3 classes where 5 are drawn"):
        draw_episode(data, way=5, shot=1, number=0, queries=1)
    with pytest.raises(DataError, match="test split: class sphere has 4 clouds where 20 are drawn"):
        draw_episode(data, way=3, shot=4, number=0)

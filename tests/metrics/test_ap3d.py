import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import scores as oracle
from pointdistill.metrics import AveragePrecision3D

CLASSES = ("chair", "table", "bed", "lamp")


def scene(generator, predictions=14, truths=6):
    """Predictions are disturbed true boxes and a few inventions; scores do not repeat. "lamp" is never true."""
    true_boxes = np.concatenate([generator.uniform(0, 3, (truths, 3)), generator.uniform(0.5, 1.5, (truths, 3))], 1)
    true_classes = generator.integers(0, 3, truths)
    source = generator.integers(0, max(truths, 1), predictions)
    boxes = np.abs(generator.normal(1, 0.5, (predictions, 6)))
    classes = generator.integers(0, 4, predictions)
    if truths:
        near = generator.random(predictions) < 0.8
        boxes[near] = true_boxes[source[near]] + generator.normal(0, 0.08, (near.sum(), 6))
        classes[near] = true_classes[source[near]]
    return boxes, generator.random(predictions), classes, true_boxes, true_classes


def scenes(seed):
    generator = np.random.default_rng(seed)
    return [scene(generator), scene(generator, truths=0), scene(generator, predictions=0), scene(generator, 25, 9)]


def state_of(parts):
    state = AveragePrecision3D(CLASSES)
    for part in parts:
        state.update(*part)
    return state


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_oracle(seed):
    parts = scenes(seed)
    scores = state_of(parts).compute()
    for threshold in (0.25, 0.5):
        expected = {
            name: oracle.detection(parts, label, threshold)
            for label, name in enumerate(CLASSES)
            if any((part[4] == label).any() for part in parts)
        }
        assert scores.ap[threshold] == pytest.approx({name: ap for name, (ap, _) in expected.items()}, abs=1e-12)
        assert scores.recall[threshold] == pytest.approx({name: r for name, (_, r) in expected.items()}, abs=1e-12)
        assert scores.mean_ap[threshold] == pytest.approx(np.mean([ap for ap, _ in expected.values()]))
        assert scores.mean_recall[threshold] == pytest.approx(np.mean([r for _, r in expected.values()]))
        assert "lamp" not in expected


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_order_of_scenes_and_processes_changes_no_bit(seed):
    parts = scenes(seed)
    for part in parts:
        part[1][:] = part[1].round(1)  # many equal scores
    whole, first, second = state_of(parts), state_of(parts[2:]), state_of(parts[:2])
    first.merge(second)
    scores, merged = whole.compute(), first.compute()
    assert merged == scores or np.isnan(scores.mean_ap[0.25])
    assert all(0 <= ap <= 1 for ap in scores.ap[0.25].values())
    assert all(scores.ap[0.5][name] <= scores.ap[0.25][name] + 1e-12 for name in scores.ap[0.5])


def test_all_classes_is_each_box_repeated():
    generator = np.random.default_rng(3)
    repeated, together = AveragePrecision3D(CLASSES), AveragePrecision3D(CLASSES)
    for predictions, truths in ((12, 5), (0, 3), (7, 0)):
        boxes, _, _, *truth = scene(generator, predictions, truths)
        class_scores = generator.random((predictions, 4)).astype(np.float32)
        together.update_all_classes(torch.from_numpy(boxes), torch.from_numpy(class_scores), *truth)
        repeated.update(np.repeat(boxes, 4, 0), class_scores.ravel(), np.tile(np.arange(4), predictions), *truth)
    assert together.compute() == repeated.compute()


BOX = [0.0, 0, 0, 1, 1, 1]


def one_class(boxes, scores, true_boxes):
    state = AveragePrecision3D(["chair"])
    state.update(
        np.array(boxes).reshape(-1, 6),
        np.array(scores),
        np.zeros(len(boxes), int),
        np.array(true_boxes).reshape(-1, 6),
        np.zeros(len(true_boxes), int),
    )
    return state.compute()


def test_each_true_box_counts_once_and_only_the_best_overlap_is_asked():
    assert one_class([BOX, BOX], [0.9, 0.8], [BOX]).ap[0.5]["chair"] == 1.0  # the second is wrong, after full recall
    other = [0.3, 0, 0, 1, 1, 1]  # its best box is taken: the neighbour, though above the threshold, is not tried
    scores = one_class([BOX, BOX], [0.9, 0.8], [BOX, other])
    assert scores.ap[0.5]["chair"] == scores.recall[0.5]["chair"] == 0.5


def test_the_threshold_itself_is_not_enough():
    half = [0.0, 0, 0, 1, 1, 0.5]
    scores = one_class([half], [0.5], [BOX])
    assert scores.mean_ap == {0.25: 1.0, 0.5: 0.0}


def test_equal_scores_enter_together():
    apart = [9.0, 0, 0, 1, 1, 1]
    assert one_class([BOX, apart], [0.5, 0.5], [BOX]).ap[0.25]["chair"] == 0.5
    assert one_class([apart, BOX], [0.5, 0.5], [BOX]).ap[0.25]["chair"] == 0.5


def test_nothing_predicted_nothing_true_and_boxes_without_volume():
    assert one_class([], [], [BOX]).mean_ap[0.25] == 0 and one_class([], [], [BOX]).mean_recall[0.5] == 0
    empty = one_class([BOX], [0.5], [])
    assert np.isnan(empty.mean_ap[0.25]) and empty.ap[0.25] == {}
    flat = [0.0, 0, 0, 1, 1, 0]
    assert one_class([flat], [0.5], [flat]).ap[0.25]["chair"] == 0
    assert np.isnan(AveragePrecision3D(CLASSES).compute().mean_ap[0.5])


def test_what_does_not_fit_is_named():
    state = AveragePrecision3D(CLASSES)
    box, one, none = np.array([BOX]), np.array([0]), np.zeros(0, int)
    with pytest.raises(ValueError, match="true class number 0 is 4"):
        state.update(box, np.ones(1), one, box, one + 4)
    with pytest.raises(ValueError, match="1 boxes with 2 scores"):
        state.update(box, np.ones(2), one, box, one)
    with pytest.raises(ValueError, match="score 0 is not finite"):
        state.update(box, np.array([np.nan]), one, box, one)
    with pytest.raises(ValueError, match="box 0 is not finite"):
        state.update(box + np.inf, np.ones(1), one, np.zeros((0, 6)), none)
    with pytest.raises(ValueError, match="1 boxes with scores"):
        state.update_all_classes(box, np.ones((1, 3)), box, one)
    assert not state.scenes and not state.true_boxes.any()


def test_turned_boxes_score_as_the_same_boxes_straight():
    parts, turned = scenes(0), []
    angle = 0.7
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    for boxes, scores, classes, true_boxes, true_classes in parts:
        moved = [np.c_[b[:, :3] @ matrix.T, b[:, 3:], np.full(len(b), angle)] for b in (boxes, true_boxes)]
        turned.append((moved[0], scores, classes, moved[1], true_classes))
    straight = state_of(parts).compute()
    assert state_of(turned).compute().ap[0.25] == pytest.approx(straight.ap[0.25], abs=1e-12)
    wrong = [(np.c_[t[0][:, :6], t[0][:, 6] + 0.8], *t[1:]) for t in turned]
    assert state_of(wrong).compute().mean_ap[0.5] < straight.mean_ap[0.5]

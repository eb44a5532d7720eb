import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import scores as oracle
from pointdistill.metrics import Accuracy, ConfusionMatrix, PartIoU


def labels(seed, count=200, classes=5):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, count)
    return np.where(generator.random(count) < 0.6, truth, generator.integers(0, classes, count)), truth


def test_accuracy_equals_its_definition():
    prediction, truth = labels(0)
    accuracy = Accuracy(7)  # classes 5 and 6 do not occur
    accuracy.update(torch.from_numpy(prediction), torch.from_numpy(truth))
    scores = accuracy.compute()
    each = [(prediction[truth == label] == label).mean() for label in range(5)]
    assert scores.count == 200 and scores.overall == pytest.approx((prediction == truth).mean())
    assert scores.per_class[:5] == pytest.approx(each) and np.isnan(scores.per_class[5:]).all()
    assert scores.class_mean == pytest.approx(np.mean(each))


@pytest.mark.parametrize("ignore", [None, 255])
def test_segmentation_scores_equal_the_oracle(ignore):
    prediction, truth = labels(1)
    if ignore is not None:
        truth[::7] = ignore
        prediction[::14] = -1  # what is predicted there does not matter
    prediction[:3] = 6  # class 6 is predicted but never true, class 5 neither
    truth[:3] = 0
    confusion = ConfusionMatrix(7, ignore)
    confusion.update(prediction.reshape(-1, 2), torch.from_numpy(truth).reshape(-1, 2))
    scores = confusion.compute()
    rows, overall = oracle.segmentation(prediction, truth, 7, ignore)
    assert scores.overall == pytest.approx(overall)
    for label, (iou, recall) in enumerate(rows):
        assert scores.class_iou[label] == pytest.approx(np.nan if iou is None else iou, nan_ok=True)
        assert scores.class_accuracy[label] == pytest.approx(np.nan if recall is None else recall, nan_ok=True)
    assert scores.class_iou[6] == 0 and np.isnan(scores.class_iou[5])
    assert scores.mean_iou == pytest.approx(np.mean([iou for iou, _ in rows if iou is not None]))
    assert scores.mean_accuracy == pytest.approx(np.mean([recall for _, recall in rows if recall is not None]))


@given(st.integers(0, 10_000), st.integers(1, 199))
@settings(max_examples=20, deadline=None)
def test_parts_add_up_in_any_order(seed, cut):
    prediction, truth = labels(seed)
    for make in (lambda: Accuracy(5), lambda: ConfusionMatrix(5)):
        whole, first, second = make(), make(), make()
        whole.update(prediction, truth)
        first.update(prediction[cut:], truth[cut:])
        second.update(prediction[:cut], truth[:cut])
        first.merge(second)
        np.testing.assert_equal(vars(first.compute()), vars(whole.compute()))


def test_large_updates_are_counted_piece_by_piece(monkeypatch):
    prediction, truth = labels(2)
    whole, pieces = ConfusionMatrix(5), ConfusionMatrix(5)
    whole.update(prediction, truth)
    monkeypatch.setattr("pointdistill.metrics.iou._AT_ONCE", 17)
    pieces.update(prediction, truth)
    np.testing.assert_array_equal(pieces.matrix, whole.matrix)


def test_nothing_counted_is_nan_not_a_crash():
    assert np.isnan(Accuracy(3).compute().overall) and np.isnan(Accuracy(3).compute().class_mean)
    assert np.isnan(ConfusionMatrix(3).compute().mean_iou)
    assert np.isnan(PartIoU({"chair": [0, 1]}).compute().instance_mean_iou)


@pytest.mark.parametrize("state", [Accuracy(3), ConfusionMatrix(3, ignore=255)])
def test_labels_that_do_not_fit_are_named(state):
    with pytest.raises(ValueError, match="truth number 1 is 3, but there are 3 classes"):
        state.update(np.array([0, 0]), np.array([0, 3]))
    with pytest.raises(ValueError, match="prediction number 0 is -1"):
        state.update(np.array([-1, 0]), np.array([0, 2]))
    with pytest.raises(ValueError, match="2 predictions for 3"):
        state.update(np.array([0, 0]), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="whole numbers"):
        state.update(np.array([0.0, 0.5]), np.array([0, 1]))


PARTS = {"bag": [0, 1], "chair": [2, 3, 4], "lamp": [5]}


def shapes(seed, count=12):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        category = ["bag", "chair"][generator.integers(2)]
        yield generator.choice(PARTS[category], 8), generator.choice(PARTS[category][:2], 8), category


def test_part_iou_equals_the_oracle():
    state, each = PartIoU(PARTS), {"bag": [], "chair": []}
    for prediction, truth, category in shapes(0):
        state.update(torch.from_numpy(prediction), truth, category)
        each[category].append(oracle.shape_iou(prediction, truth, PARTS[category]))
    scores = state.compute()
    assert scores.count == 12
    assert scores.instance_mean_iou == pytest.approx(np.mean(each["bag"] + each["chair"]))
    assert scores.per_category["bag"] == pytest.approx(np.mean(each["bag"])) and np.isnan(scores.per_category["lamp"])
    assert scores.class_mean_iou == pytest.approx((np.mean(each["bag"]) + np.mean(each["chair"])) / 2)


def test_a_part_absent_from_both_counts_one():
    state = PartIoU(PARTS)
    state.update(np.array([2, 2]), np.array([2, 2]), "chair")
    assert state.compute().instance_mean_iou == 1
    state.update(np.array([3, 3]), np.array([2, 2]), "chair")
    assert state.shapes["chair"][1] == pytest.approx(1 / 3)


def test_part_iou_merges_to_the_same_bits_in_any_order():
    whole, first, second = PartIoU(PARTS), PartIoU(PARTS), PartIoU(PARTS)
    for number, shape in enumerate(shapes(1, 40)):
        whole.update(*shape)
        (first if number % 3 else second).update(*shape)
    second.merge(first)
    np.testing.assert_equal(vars(second.compute()), vars(whole.compute()))


def test_shapes_that_do_not_fit_are_named():
    state = PartIoU(PARTS)
    with pytest.raises(ValueError, match="'boat' is not one of"):
        state.update(np.array([0]), np.array([0]), "boat")
    with pytest.raises(ValueError, match="point 1 has part 2"):
        state.update(np.array([0, 0]), np.array([0, 2]), "bag")
    with pytest.raises(ValueError, match="one label a point"):
        state.update(np.array([0]), np.array([0, 1]), "bag")

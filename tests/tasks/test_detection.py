from copy import deepcopy
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from pointdistill.augment import rotation_z
from pointdistill.errors import DataError
from pointdistill.geometry import giou_3d, points_in_boxes, squared_distances, transform_boxes
from pointdistill.models.detr3d import Angles, BoxHeads, DecoderConfig, Extent, Proposals, angle_bins, encode_metric
from pointdistill.models.detr3d_encoder import SceneTransformerConfig
from pointdistill.tasks.base import Sample, Splits
from pointdistill.tasks.cuboid import RandomCuboid
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.set_loss import SetLossConfig, assign, match, set_loss
from task_samples import room, room_splits, tiny_backbone

TASK = Detection(
    points=512,
    group_count=24,
    group_size=12,
    decoder=DecoderConfig(width=24, depth=2, heads=2, ffn=24, queries=16),
    classes=(4, 8),
)


def test_assignment_is_the_cheapest() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        cost = generator.normal(size=(5, 3))
        query, box = assign(cost)
        assert sorted(box) == [0, 1, 2] and len(set(query)) == 3
        best = min(sum(cost[q, b] for b, q in enumerate(chosen)) for chosen in permutations(range(5), 3))
        assert cost[query, box].sum() == pytest.approx(best)


def test_repeated_assignment() -> None:
    cost = np.array([[0.0, 9], [0.1, 9], [9, 0], [9, 0.2], [9, 9]])
    query, box = assign(cost, repeats=2)
    assert sorted(zip(query, box, strict=True)) == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert len(assign(cost[:3], repeats=2)[0]) == 3, "no more matches than proposals"
    assert assign(cost[:, :0]).shape == (2, 0)
    assert len(assign(np.full((4, 2), np.nan))[0]) == 2


def proposals(boxes: torch.Tensor, classes: torch.Tensor, wrong: float = 0.0) -> Proposals:
    """One layer that proposes the given boxes with certainty, and one box far away as nothing."""
    batch = boxes.shape[0]
    away = torch.tensor([50.0, 50, 50, 1, 1, 1]).expand(batch, 1, 6)
    found = torch.cat([boxes[..., :6] + wrong, away], 1)[None]
    labels = torch.cat([classes.clamp_min(0), torch.full((batch, 1), 2)], 1)
    labels = torch.where(torch.cat([classes < 0, torch.zeros(batch, 1, dtype=torch.bool)], 1), 2, labels)
    logits = 30.0 * torch.nn.functional.one_hot(labels, 3).float()[None]
    return Proposals(logits, found[..., :3], found[..., 3:], Extent(torch.zeros(batch, 3), torch.full((batch, 3), 2.0)))


TRUE = torch.tensor(
    [[[1.0, 1, 1, 0.5, 0.5, 1, 0], [0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0]], [[1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0]]]
)
LABELS = torch.tensor([[0, 1], [1, -1]])


def test_perfect_proposals_cost_nothing() -> None:
    losses = set_loss(proposals(TRUE, LABELS), TRUE, LABELS, SetLossConfig())
    assert losses.total.item() == pytest.approx(0, abs=1e-5)


def test_set_loss_by_hand() -> None:
    found = proposals(TRUE, LABELS, wrong=0.1)
    losses = set_loss(found, TRUE, LABELS, SetLossConfig())
    boxes = torch.cat([found.centres, found.sizes], -1)[0]
    pairs = [(0, 0), (0, 1), (1, 0)]
    giou = np.mean([1 - giou_3d(boxes[b, i, None], TRUE[b, i, None]).item() for b, i in pairs])
    assert losses.parts["giou"].item() == pytest.approx(giou, rel=1e-4)
    assert losses.parts["centre"].item() == pytest.approx(3 * 0.1 / 2, rel=1e-4), "normalised to the scene's extent"
    assert losses.parts["size"].item() == pytest.approx(3 * 0.1 / 2, rel=1e-4)
    total = losses.parts["class"] + losses.parts["giou"] + 5 * losses.parts["centre"] + losses.parts["size"]
    assert losses.total.item() == pytest.approx(total.item(), rel=1e-4)


def test_angle_bins_and_back() -> None:
    headings = torch.linspace(-np.pi + 1e-3, np.pi - 1e-3, 101, dtype=torch.float64)
    for bins in (1, 2, 12):
        chosen, residual = angle_bins(headings, bins)
        assert chosen.min() >= 0 and chosen.max() < bins and residual.min() >= -1 and residual.max() < 1
        residuals = torch.zeros(101, bins, dtype=torch.float64).scatter(1, chosen[:, None], residual[:, None])
        back = Angles(torch.nn.functional.one_hot(chosen, bins).double(), residuals).headings()
        if bins > 1:
            torch.testing.assert_close(back, headings)
    assert not Angles(torch.randn(4, 1), torch.randn(4, 1)).headings().any(), "a single bin is for aligned boxes"
    assert angle_bins(torch.tensor([0.0, 0.2, -0.2, np.pi]), 12)[0].tolist() == [0, 0, 0, 6]


def test_headings_are_learned() -> None:
    """A turned box, proposed turned, costs nothing; proposed straight, it costs overlap, bin and residual."""
    boxes, heading = TRUE.clone(), 0.9
    boxes[..., 6] = heading
    found = proposals(boxes, LABELS)
    chosen, residual = angle_bins(torch.tensor(heading), 12)
    logits = torch.zeros(1, 2, 3, 12)
    logits[..., chosen] = 30
    right = replace(found, angles=Angles(logits, torch.full((1, 2, 3, 12), residual.item())))
    torch.testing.assert_close(right.boxes[0, :, :2, 6], torch.full((2, 2), heading))
    assert set_loss(right, boxes, LABELS, SetLossConfig()).total.item() == pytest.approx(0, abs=1e-4)
    straight = replace(found, angles=Angles(logits.roll(-int(chosen), -1), torch.zeros(1, 2, 3, 12)))
    losses = set_loss(straight, boxes, LABELS, SetLossConfig())
    assert losses.parts["giou"] > 0.1 and losses.parts["angle"].item() == pytest.approx(30, rel=1e-4)
    assert losses.parts["residual"].item() == pytest.approx(residual.item() ** 2 / 2, rel=1e-4)


def test_rooms_without_boxes() -> None:
    found = proposals(TRUE, LABELS)
    losses = set_loss(found, TRUE, torch.full_like(LABELS, -1), SetLossConfig())
    assert torch.isfinite(losses.total) and losses.parts["giou"].item() == 0


def test_matching_is_by_scene_and_layer() -> None:
    found = proposals(TRUE, LABELS)
    two = Proposals(*(torch.cat([x, x.flip(2)]) for x in (found.logits, found.centres, found.sizes)), found.extent)
    giou = giou_3d(two.boxes, TRUE.expand(2, -1, -1, -1))
    matches = match(two, giou, torch.zeros_like(giou), LABELS, SetLossConfig())
    expected = [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1], [1, 0, 2, 0], [1, 1, 2, 0]]
    assert sorted(matches.T.tolist()) == expected


def test_order_of_proposals_does_not_change_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, boxes = torch.randn(2, 2, 6, 3, generator=generator), torch.rand(2, 2, 6, 6, generator=generator) + 0.1
    extent = Extent(torch.zeros(2, 3), torch.full((2, 3), 2.0))
    first = set_loss(Proposals(logits, boxes[..., :3], boxes[..., 3:], extent), TRUE, LABELS, SetLossConfig())
    order = torch.randperm(6, generator=generator)
    mixed = Proposals(logits[:, :, order], boxes[:, :, order, :3], boxes[:, :, order, 3:], extent)
    torch.testing.assert_close(set_loss(mixed, TRUE, LABELS, SetLossConfig()).total, first.total)


@pytest.mark.parametrize("coding", ["bounded", "log"])
def test_box_codings(coding: str) -> None:
    heads = BoxHeads(8, 3, 0.1, coding, torch.tensor([0.5, 0.6, 0.7]), 0.0).eval()
    places, extent = torch.rand(2, 5, 3), Extent(torch.zeros(2, 3), torch.full((2, 3), 4.0))
    found = heads(torch.zeros(1, 2, 5, 8), places, extent)
    for head in (heads.offset, heads.size):
        torch.nn.init.zeros_(head[-1].weight)
        torch.nn.init.zeros_(head[-1].bias)
    found = heads(torch.randn(1, 2, 5, 8), places, extent)
    torch.testing.assert_close(found.centres[0], places)
    expected = torch.full((2, 5, 3), 2.0) if coding == "bounded" else heads.mean_size.expand(2, 5, 3)
    torch.testing.assert_close(found.sizes[0], expected)
    assert found.logits.softmax(-1)[..., -1].mean() > 0.5, "nothing is more likely than something"


def test_backbone_sees_the_unit_sphere_and_centres_stay_metric() -> None:
    points = torch.rand(2, 64, 3) * torch.tensor([5.0, 4, 2]) + 3
    backbone = tiny_backbone().eval()
    _, centres = encode_metric(backbone, points, 8, 8)
    assert squared_distances(centres, points).amin(2).max() < 1e-8
    moved, _ = encode_metric(backbone, 2 * points - 7, 8, 8)
    torch.testing.assert_close(moved, encode_metric(backbone, points, 8, 8)[0], rtol=1e-3, atol=1e-3)


def test_augmentation_keeps_points_in_their_boxes() -> None:
    task = Detection(points=1000, quarter_turns=True, rotation=30, scale=(0.5, 2), classes=(4, 8))
    scene = room(0)
    true = points_in_boxes(torch.from_numpy(scene.points), torch.from_numpy(scene.boxes * 1.0001)).any(0).sum()
    batch = task.batch([replace(scene, instance=scene.instance)], [Sample(e, 0) for e in range(4)], 0)
    inside = points_in_boxes(batch.points, batch.boxes * torch.tensor([1, 1, 1, 1.001, 1.001, 1.001, 1])).any(1)
    assert (inside.float().mean(1) > 0.95 * true / len(scene.points)).all()
    assert len({tuple(b.flatten().tolist()) for b in batch.boxes}) == 4


def test_headings_turn_with_the_room() -> None:
    task = replace(TASK, decoder=replace(TASK.decoder, angle_bins=12), points=1000, rotation=30, cuboid=None)
    scene = room(0)
    turned = replace(scene, boxes=scene.boxes + np.array([0, 0, 0, 0, 0, 0, 0.4], np.float32))
    true = points_in_boxes(torch.from_numpy(scene.points), torch.from_numpy(turned.boxes)).float().mean(1)
    batch = task.batch([turned], [Sample(e, 0) for e in range(4)], 0)
    inside = points_in_boxes(batch.points, batch.boxes).float().mean(2)
    torch.testing.assert_close(inside, true.expand(4, -1), atol=0.02, rtol=0)
    with pytest.raises(DataError, match=r"train split, scene room0, box 0: a box with a heading.*angle_bins"):
        TASK.check(Splits([turned], [scene], [scene]))


def test_random_cuboid() -> None:
    scene, generator = room(0, density=2000), np.random.default_rng(0)
    cuboid = RandomCuboid(minimum_points=3000)
    sizes = set()
    for _ in range(20):
        kept, inside = cuboid(scene.points, scene.boxes, generator)
        points, centres = scene.points[kept], scene.boxes[inside, :3]
        assert len(kept) >= 3000 and inside.any()
        assert ((centres >= points.min(0)) & (centres <= points.max(0))).all()
        sizes.add(len(kept))
    assert len(sizes) > 10
    kept, inside = RandomCuboid(minimum_points=10**6)(scene.points, scene.boxes, generator)
    assert len(kept) == len(scene.points) and inside.all(), "no crop is large enough: the room stays whole"


def test_transform_boxes() -> None:
    boxes = np.array([[1, 2, 3, 2, 1, 0.5, 0]], np.float32)
    np.testing.assert_allclose(transform_boxes(boxes, rotation_z(np.pi / 2))[0], [-2, 1, 3, 1, 2, 0.5, 0], atol=1e-6)
    turned = transform_boxes(boxes, rotation_z(np.pi / 4))[0]
    np.testing.assert_allclose(turned[3:6], [3 / np.sqrt(2), 3 / np.sqrt(2), 0.5], rtol=1e-6)


def test_filter_drops_empty_duplicate_and_improbable_boxes() -> None:
    scene = room(0, furniture=1)
    box = torch.from_numpy(scene.boxes[0])
    empty = torch.tensor([9.0, 9, 9, 1, 1, 1, 0])
    boxes = torch.stack([box, box * 1.01, box * 1.02, empty])
    probability = torch.tensor([[0.8, 0.1, 0.1], [0.85, 0.1, 0.05], [0.01, 0.02, 0.97], [0.9, 0.1, 0]])
    kept = TASK._filter(boxes, probability, scene, 0)
    assert kept.boxes.shape == (1, 7) and kept.scores.tolist() == pytest.approx([0.95])
    assert kept.class_scores[0].tolist() == pytest.approx([0.85 * 0.95, 0.1 * 0.95])


def test_true_boxes_score_one() -> None:
    data = room_splits()
    found = []
    for scene in data.test:
        true, classes = TASK._true(scene)
        scores = torch.nn.functional.one_hot(torch.from_numpy(classes), 3).float()
        found.append(TASK._filter(torch.from_numpy(true), scores, scene, 0))
    figures = TASK._score(found, data.test)
    assert figures["ap25"] > 0.99 and figures["ap50"] > 0.99 and figures["ar50"] > 0.99


ENCODER = SceneTransformerConfig(width=24, heads=2, ffn=24, tokens=24, radius=0.5, ball_size=8, masks=(1, 2, 3))
FORMS = {
    "patches": (TASK, tiny_backbone()),
    "set_abstraction": (replace(TASK, tokens="set_abstraction", radius=0.5, ball_size=8), tiny_backbone()),
    "3detr": (replace(TASK, decoder=replace(TASK.decoder, queries=12)), ENCODER.build()),
}


@pytest.mark.parametrize("form", FORMS)
def test_token_forms(form: str) -> None:
    """Proposals move with the room in every form, and gradients reach the blocks."""
    task, backbone = FORMS[form]
    data = room_splits()
    model = task.model(deepcopy(backbone), data)
    losses = task.loss(model.train(), task.batch(data.train, [Sample(0, 0), Sample(0, 1)], 0))
    losses.total.backward()
    silent = {name.split(".")[0] for name, p in model.backbone.named_parameters() if p.grad is None}
    assert silent == ({"patch_embed"} if form == "set_abstraction" else set())
    points = torch.from_numpy(task._test_points(data.test[0], 0))[None]
    model.eval()
    boxes, moved = model(points).boxes, model(points + torch.tensor([4.0, -2, 1])).boxes
    torch.testing.assert_close(moved[..., :3], boxes[..., :3] + torch.tensor([4.0, -2, 1]), atol=2e-3, rtol=0)
    torch.testing.assert_close(moved[..., 3:], boxes[..., 3:], atol=2e-3, rtol=0)


def test_detections_depend_on_their_room_alone() -> None:
    data = room_splits()
    model = TASK.model(tiny_backbone(), data)
    one = TASK.detect(model, data.test[1], 0)
    again = TASK.detect(model, data.test[1], 0)
    assert np.array_equal(one.boxes, again.boxes) and (np.diff(one.scores) <= 0).all()


def test_flat_box_is_named() -> None:
    data = room_splits()
    boxes = room(5).boxes.copy()
    boxes[1, 4] = 0
    with pytest.raises(DataError, match=r"test split, scene room5, box 1: a box of zero size"):
        TASK.check(Splits(data.train, data.validation, [replace(room(5), boxes=boxes)]))


def test_hidden_labels_are_named() -> None:
    data = room_splits()
    hidden = [replace(scene, boxes=scene.boxes[:0], box_classes=scene.box_classes[:0]) for scene in data.test]
    with pytest.raises(DataError, match=r"test split: holds no boxes.*hidden"):
        TASK.check(Splits(data.train, data.validation, hidden))

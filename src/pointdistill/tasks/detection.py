"""Object detection in rooms (paper section 4.2.1, Appendix A.2): 3DETR, on ScanNetV2 or any set of upright boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pointdistill.augment import rotation_z
from pointdistill.datasets.scannet import DETECTION_CLASSES, Scene, class_names
from pointdistill.geometry import (
    count_points_in_boxes,
    farthest_point_sample,
    nms_3d,
    points_in_boxes,
    squared_distances,
    transform_boxes,
)
from pointdistill.geometry.boxes import with_heading
from pointdistill.losses import Losses
from pointdistill.metrics import AveragePrecision3D, linear_probe
from pointdistill.models.detr3d import (
    Decoder,
    DecoderConfig,
    Proposals,
    encode_abstracted,
    encode_metric,
    extent_of,
)
from pointdistill.models.detr3d_encoder import SceneTransformer
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.models.set_abstraction import SetAbstraction
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Facts, Figures, Sample, Splits, TaskModel, device_of, evaluate_pieces, known
from pointdistill.tasks.checks import check_scenes
from pointdistill.tasks.cuboid import RandomCuboid
from pointdistill.tasks.sampling import choose
from pointdistill.tasks.set_loss import SetLossConfig, set_loss

Scenes = Sequence[Scene]
SceneBackbone = PointTransformer | SceneTransformer


@dataclass(frozen=True)
class RoomBatch:
    """Rooms and their boxes.

    Attributes:
        points: metres, axis-aligned scene frame, z up.
        boxes: centre, size and heading, metres and radians; a scene's true boxes first, then zeros.
        classes: class index of each box, -1 for padding.
    """

    points: Float[Tensor, "batch points 3"]
    boxes: Float[Tensor, "batch boxes 7"]
    classes: Int[Tensor, "batch boxes"]


@dataclass(frozen=True)
class Detections:
    """The boxes found in one room, best first.

    Attributes:
        boxes: centre, size and heading, metres and radians, axis-aligned scene frame.
        scores: probability of being an object.
        classes: most probable class index.
        class_scores: probability of each class times that of being an object: what AP is computed on.
    """

    boxes: Float[np.ndarray, "kept 7"]
    scores: Float[np.ndarray, " kept"]
    classes: Int[np.ndarray, " kept"]
    class_scores: Float[np.ndarray, "kept classes"]


@dataclass(frozen=True)
class MeanSize(Facts):
    """Attributes: size: mean length, width and height of the training boxes, metres."""

    size: tuple[float, float, float]


class DetectionModel(TaskModel):
    """3DETR on the backbone; see `models.detr3d`."""

    backbone: SceneBackbone

    def __init__(self, backbone: SceneBackbone, mean_size: Float[Tensor, "3"], task: "Detection"):
        super().__init__(backbone)
        self.group_count, self.group_size = task.group_count, task.group_size
        self.tokeniser = None
        if task.tokens == "set_abstraction" and isinstance(backbone, PointTransformer):
            self.tokeniser = SetAbstraction(task.group_count, backbone.width, radius=task.radius, size=task.ball_size)
        self.decoder = Decoder(backbone.width, len(task.classes), task.decoder, mean_size)

    def forward(self, points: Float[Tensor, "batch points 3"]) -> Proposals:
        """Box proposals for rooms in metres, axis-aligned scene frame, z up."""
        if self.tokeniser is not None and isinstance(self.backbone, PointTransformer):
            tokens, centres = encode_abstracted(self.backbone, self.tokeniser, points)
        else:
            tokens, centres = scene_tokens(self.backbone, points, self.group_count, self.group_size)
        return self.decoder(tokens, centres, extent_of(points))


def scene_tokens(
    backbone: SceneBackbone, points: Float[Tensor, "batch points 3"], group_count: int, group_size: int
) -> tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch tokens 3"]]:
    """Tokens of rooms in metres and their centres in metres, by the backbone's own tokeniser."""
    if isinstance(backbone, SceneTransformer):
        found = backbone(points)
        return found.tokens, found.centres
    return encode_metric(backbone, points, group_count, group_size)


@dataclass(frozen=True)
class Detection:
    """Settings and protocol; the defaults are the paper's (3DETR with the ViT-S backbone, ScanNetV2).

    Attributes:
        points: points drawn from each room, afresh each epoch.
        tokens: "patches": the pre-trained tokeniser's; "set_abstraction": 3DETR's, from nothing, in its place
            (docs/paper.md, detection tokens). A backbone of 3DETR's own brings its tokens.
        group_count: tokens a room.
        group_size: points a patch.
        radius, ball_size: of the set abstraction's balls, metres; points a ball.
        decoder: the decoder's sizes and form.
        set_loss: costs of the matching, weights of the loss.
        flip: mirror training rooms along x and along y, each with probability 1/2.
        quarter_turns: turn training rooms by a random multiple of 90 degrees (boxes stay tight).
        rotation: training rooms are turned about z by U[-rotation, rotation] degrees; axis-aligned boxes (a single bin
            of headings, or none) are refitted around, others turn along.
        cuboid: training rooms are cut to a random cuboid; None leaves them whole.
        scale: range of the training rooms' uniform scale.
        minimum_points: boxes that hold fewer of the room's points are dropped in tests.
        count_points: how many of the room's vertices (random) this is counted on; None counts the points that the
            network saw, as 3DETR does.
        nms: IoU above which class-wise non-maximum suppression removes the weaker box.
        threshold: least probability of being an object.
        classes: NYU40 ids, in the order of the class indices.
    """

    name: ClassVar[str] = "detection"
    store: ClassVar[str] = "scenes"
    metric: ClassVar[str] = "ap25"

    points: int = 40_000
    tokens: Literal["patches", "set_abstraction"] = "patches"
    group_count: int = 2048
    group_size: int = 32
    radius: float = 0.2
    ball_size: int = 64
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    set_loss: SetLossConfig = field(default_factory=SetLossConfig)
    flip: bool = True
    quarter_turns: bool = False
    rotation: float = 5.0
    scale: tuple[float, float] = (1.0, 1.0)
    cuboid: RandomCuboid | None = field(default_factory=RandomCuboid)
    minimum_points: int = 5
    count_points: int | None = None
    nms: float = 0.25
    threshold: float = 0.05
    classes: tuple[int, ...] = tuple(c.nyu40 for c in DETECTION_CLASSES)

    def check(self, data: Splits[Scenes]) -> None:
        """Finite coordinates, boxes of positive size, enough vertices: else DataError."""
        check_scenes(data, minimum=self.group_count, boxes=True, headings=self._turn_boxes)

    def size(self, split: Scenes) -> int:
        """Number of rooms."""
        return len(split)

    def facts(self, data: Splits[Scenes]) -> MeanSize:
        """The boxes' mean size."""
        sizes = np.concatenate([scene.boxes[:, 3:6] for scene in data.train])
        return MeanSize(tuple(sizes.mean(0, dtype=np.float32).tolist()))

    def build(self, backbone: SceneBackbone, facts: MeanSize) -> DetectionModel:
        """The backbone with a fresh decoder."""
        return DetectionModel(backbone, torch.tensor(facts.size), self)

    def model(self, backbone: SceneBackbone, data: Splits[Scenes]) -> DetectionModel:
        """`build` with the facts of these data."""
        return self.build(backbone, self.facts(data))

    def batch(self, split: Scenes, samples: list[Sample], seed: int) -> RoomBatch:
        """Fresh subsets of rooms, mirrored, turned and scaled together with their boxes."""
        return self._batch([self._augmented(split[s.index], numpy_generator(seed, "sample", *s)) for s in samples])

    def loss(self, model: DetectionModel, batch: RoomBatch) -> Losses:
        """The set loss over all decoder layers."""
        return set_loss(model(batch.points), batch.boxes, batch.classes, self.set_loss)

    def evaluate(self, model: DetectionModel, split: Scenes, seed: int, quick: bool = False) -> Figures:
        """AP and recall at IoU 0.25 and 0.5, means over the classes that occur, and AP per class."""
        return evaluate_pieces(self, model, split, seed)

    def pieces(self, split: Scenes) -> int:
        """Each room alone."""
        return len(split)

    def predict(self, model: DetectionModel, split: Scenes, piece: int, seed: int) -> Detections:
        """`detect` in one room."""
        return self.detect(model, split[piece], seed)

    def tally(self, split: Scenes) -> AveragePrecision3D:
        """No scene yet."""
        return AveragePrecision3D(class_names(self.classes))

    def count(self, tally: AveragePrecision3D, split: Scenes, piece: int, prediction: Detections) -> None:
        """Every box with each class's score against the room's true boxes."""
        tally.update_all_classes(prediction.boxes, prediction.class_scores, *self._true(split[piece]))

    def figures(self, tally: AveragePrecision3D, split: Scenes) -> Figures:
        """AP and recall, means and by class."""
        scores = tally.compute()
        figures: Figures = {f"ap{round(100 * iou)}": known(value) for iou, value in scores.mean_ap.items()}
        figures |= {f"ar{round(100 * iou)}": known(value) for iou, value in scores.mean_recall.items()}
        for iou, by_class in scores.ap.items():
            figures[f"ap{round(100 * iou)}_by_class"] = {name: known(value) for name, value in by_class.items()}
        return figures

    @torch.inference_mode()
    def detect(self, model: DetectionModel, scene: Scene, seed: int) -> Detections:
        """The boxes of one room after the point count, NMS and threshold; depends on this room only."""
        model.eval()
        points = self._test_points(scene, seed)
        proposals = model(torch.from_numpy(points)[None].to(device_of(model)))
        probability = proposals.logits[-1, 0].softmax(-1).cpu()
        return self._filter(proposals.boxes[-1, 0].cpu(), probability, scene, seed)

    def baseline(self, data: Splits[Scenes]) -> Figures:
        """Boxes of the mean training size around farthest points, each scored with the classes' shares."""
        boxes = np.concatenate([scene.boxes for scene in data.train])
        shares = self._shares(data.train)
        found = []
        for scene in data.test:
            points = torch.from_numpy(self._test_points(scene, 0))[None]
            places = points[0, farthest_point_sample(points, self.decoder.queries)[0]]
            sizes = torch.from_numpy(boxes[:, 3:6].mean(0)).expand_as(places)
            probability = torch.cat([shares, shares.new_zeros(1)]).expand(len(places), -1)
            found.append(self._filter(with_heading(torch.cat([places, sizes], -1)), probability, scene, 0))
        return self._score(found, data.test)

    def probe(self, backbone: SceneBackbone, data: Splits[Scenes], seed: int) -> Figures:
        """Class of the object in a true box, by a linear classifier on the frozen tokens inside it.

        Not a detection metric: the boxes are given. It asks whether a frozen token knows what it lies on. Features are
        concat(mean, max) of the tokens whose centres lie in the box, or the nearest token's where none does.
        """
        splits = (data.train, data.validation, data.test)
        train, val, test = (self._box_rows(backbone, split, seed) for split in splits)
        found = linear_probe(*train, *val, *test)
        return {"box_accuracy": known(found.score)}

    @torch.inference_mode()
    def _box_rows(
        self, backbone: SceneBackbone, split: Scenes, seed: int
    ) -> tuple[Float[Tensor, "rows width"], Int[np.ndarray, " rows"]]:
        backbone.eval()
        features, labels = [], []
        for scene in split:
            points = torch.from_numpy(self._test_points(scene, seed))[None].to(device_of(backbone))
            (tokens,), (centres,) = scene_tokens(backbone, points, self.group_count, self.group_size)
            true, classes = self._true(scene)
            boxes = torch.from_numpy(true).to(centres)
            nearest = squared_distances(boxes[:, :3], centres).argmin(1)
            for row, inside in enumerate(points_in_boxes(centres, boxes)):
                own = tokens[inside] if inside.any() else tokens[nearest[row]][None]
                features.append(torch.cat([own.mean(0), own.max(0).values]).cpu())
            labels.append(classes)
        return torch.stack(features), np.concatenate(labels)

    def _filter(
        self,
        boxes: Float[Tensor, "queries 7"],
        probability: Float[Tensor, "queries classes_and_background"],
        scene: Scene,
        seed: int,
    ) -> Detections:
        """Drop empty boxes, then duplicates of the same class, then improbable ones (3DETR's order)."""
        counted = self._test_points(scene, seed)
        if self.count_points is not None:
            chosen = choose(numpy_generator(seed, "count", scene.name), len(scene.points), self.count_points)
            counted = scene.points[chosen]
        filled = count_points_in_boxes(torch.from_numpy(counted), boxes) >= self.minimum_points
        boxes, probability = boxes[filled], probability[filled]
        objectness, classes = 1 - probability[:, -1], probability[:, :-1].argmax(-1)
        kept = nms_3d(boxes, objectness, classes, self.nms)
        kept = kept[objectness[kept] > self.threshold]
        scores = objectness[kept]
        return Detections(
            boxes[kept].numpy(),
            scores.numpy(),
            classes[kept].numpy(),
            (probability[kept, :-1] * scores[:, None]).numpy(),
        )

    def _score(self, found: list[Detections], split: Scenes) -> Figures:
        tally = self.tally(split)
        for room, detections in enumerate(found):
            self.count(tally, split, room, detections)
        return self.figures(tally, split)

    def _shares(self, split: Scenes) -> Float[Tensor, " classes"]:
        classes = np.concatenate([self._true(scene)[1] for scene in split])
        counts = np.bincount(classes, minlength=len(self.classes))
        return torch.from_numpy((counts / max(1, counts.sum())).astype(np.float32))

    def _augmented(
        self, scene: Scene, generator: np.random.Generator
    ) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, "boxes 7"], Int[np.ndarray, " boxes"]]:
        points, (boxes, classes) = scene.points, self._true(scene)
        if self.cuboid is not None:
            kept, inside = self.cuboid(points, boxes, generator)
            points, boxes, classes = points[kept], boxes[inside], classes[inside]
        points = points[choose(generator, len(points), self.points)]
        matrix = rotation_z(np.deg2rad(generator.uniform(-self.rotation, self.rotation))).astype(np.float32)
        if self.quarter_turns:
            matrix = rotation_z(np.pi / 2 * generator.integers(4)).astype(np.float32) @ matrix
        if self.flip:
            matrix = np.diag(np.array([*generator.choice([-1.0, 1.0], 2), 1.0], np.float32)) @ matrix
        matrix = matrix * np.float32(generator.uniform(*self.scale))
        return points @ matrix.T, transform_boxes(boxes, matrix, self._turn_boxes), classes

    @property
    def _turn_boxes(self) -> bool:
        """Whether boxes have headings that turn with the room."""
        return (self.decoder.angle_bins or 1) > 1

    def _true(self, scene: Scene) -> tuple[Float[np.ndarray, "boxes 7"], Int[np.ndarray, " boxes"]]:
        kept = np.isin(scene.box_classes, self.classes)
        index = {nyu40: number for number, nyu40 in enumerate(self.classes)}
        classes = np.array([index[int(nyu40)] for nyu40 in scene.box_classes[kept]], np.int64)
        return scene.boxes[kept], classes

    def _batch(self, rooms: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> RoomBatch:
        most = max(1, *(len(classes) for _, _, classes in rooms))
        boxes = torch.zeros(len(rooms), most, 7)
        labels = torch.full((len(rooms), most), -1)
        for row, (_, true, classes) in enumerate(rooms):
            boxes[row, : len(true)] = torch.from_numpy(true)
            labels[row, : len(true)] = torch.from_numpy(classes)
        return RoomBatch(torch.from_numpy(np.stack([points for points, _, _ in rooms])), boxes, labels)

    def _test_points(self, scene: Scene, seed: int) -> Float[np.ndarray, "points 3"]:
        return scene.points[choose(numpy_generator(seed, "test", scene.name), len(scene.points), self.points)]

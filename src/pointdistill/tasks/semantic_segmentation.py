"""Semantic segmentation of rooms (paper section 4.2.2, Appendix A.2): ScanNetV2's 20 classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pointdistill.augment import rotate_yaw
from pointdistill.datasets.scannet import SEMANTIC_CLASSES, Scene
from pointdistill.errors import RecipeError
from pointdistill.geometry import interpolate, three_nearest, to_unit_sphere
from pointdistill.losses import Losses
from pointdistill.metrics import ConfusionMatrix, dense_probe
from pointdistill.models.dgcnn import DGCNN, DGCNNSegmentationHead
from pointdistill.models.heads import SemanticSegmentationHead
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Facts, Figures, Sample, Splits, TaskModel, device_of, evaluate_pieces, known
from pointdistill.tasks.checks import check_scenes
from pointdistill.tasks.columns import Column, floor_height, random_column, vote

Scenes = Sequence[Scene]


@dataclass(frozen=True)
class ColumnBatch:
    """Columns of rooms.

    Attributes:
        points: metres, x and y relative to the column's middle, z above the floor (z up).
        colours: red, green, blue, 0..1.
        labels: class indices, -1 where unlabelled.
    """

    points: Float[Tensor, "batch points 3"]
    colours: Float[Tensor, "batch points 3"]
    labels: Int[Tensor, "batch points"]


@dataclass(frozen=True)
class ClassWeights(Facts):
    """Attributes: weights: factor on the loss of each class's points."""

    weights: tuple[float, ...]


class SemanticSegmentationModel(TaskModel):
    """Backbone on the column in the unit sphere, and the head on each point's three nearest centres.

    Colours, where asked for, go to the head: the tokeniser's weights come from clouds without colours.
    """

    backbone: PointTransformer

    class_weight: Tensor

    def __init__(
        self, backbone: PointTransformer, class_weight: Float[Tensor, " classes"], task: "SemanticSegmentation"
    ):
        super().__init__(backbone)
        self.register_buffer("class_weight", class_weight, persistent=False)
        self.group_count, self.group_size = task.group_count, task.group_size
        self.point_inputs, self.colour = task.point_inputs, task.colour
        own = 3 * (task.point_inputs + task.colour)
        self.head = SemanticSegmentationHead(backbone.width, len(task.classes), task.hidden, own, task.dropout)

    def forward(
        self, points: Float[Tensor, "batch points 3"], colours: Float[Tensor, "batch points 3"]
    ) -> Float[Tensor, "batch points classes"]:
        """Class logits of every point of columns given in metres."""
        normalised = to_unit_sphere(points).points
        features = self.backbone(normalised, self.group_count, self.group_size)
        own = [points] * self.point_inputs + [colours] * self.colour
        return self.head(features.tokens, features.centres, normalised, torch.cat(own, -1) if own else None)


class DGCNNSegmentationModel(TaskModel):
    """DGCNN and the authors' own head, on the column's metric coordinates; colours, where asked for, at the input."""

    backbone: DGCNN

    class_weight: Tensor

    def __init__(self, backbone: DGCNN, class_weight: Float[Tensor, " classes"], task: "SemanticSegmentation"):
        super().__init__(backbone)
        self.register_buffer("class_weight", class_weight, persistent=False)
        config, self.colour = backbone.config, task.colour
        if config.channels != 3 * task.colour:
            raise RecipeError(
                f"segmentation {'with' if task.colour else 'without'} colour needs a DGCNN of {3 * task.colour} "
                f"channels besides the coordinates, not {config.channels}. Set both alike."
            )
        self.head = DGCNNSegmentationHead(
            3 * config.width, config.embedding, len(task.classes), task.hidden, task.dropout
        )

    def forward(
        self, points: Float[Tensor, "batch points 3"], colours: Float[Tensor, "batch points 3"]
    ) -> Float[Tensor, "batch points classes"]:
        """Class logits of every point of columns given in metres."""
        return self.head(self.backbone(points, colours if self.colour else None))


SegmentationModel = SemanticSegmentationModel | DGCNNSegmentationModel


@dataclass(frozen=True)
class SemanticSegmentation:
    """Settings and protocol; the defaults are the paper's (ViT-S, ScanNetV2).

    Attributes:
        points: points drawn from each column.
        group_count, group_size: patches (of a point transformer).
        side: edge of the columns, metres.
        hidden, dropout: of the head's two convolution blocks.
        point_inputs: a point transformer's head also sees each point's place in the column and height above the
            floor, metres.
        colour: each point's colour is seen too: by a point transformer's head, for its tokeniser was pre-trained
            without; by DGCNN at its input.
        balanced: training columns stand around a vertex of a random class of the scene, not around any vertex, so
            that walls and floors do not fill a short schedule.
        class_balance: power of a class's share of the training vertices by which its points' loss is divided: 0 for
            the plain cross-entropy, 1/2 lets rare classes be learnt in a short schedule.
        yaw: turn training columns about z at random.
        scale: range of the training columns' uniform scale.
        stride: distance of neighbouring columns in tests, metres.
        passes: draws in each test column at most; None until each of its vertices was drawn.
        columns_per_scene: columns an epoch takes from each scene.
        classes: NYU40 ids, in the order of the class indices.
        probe_columns: columns a scene that the linear probe and quick evaluations see.
        probe_points: points a column that the linear probe sees.
    """

    name: ClassVar[str] = "semantic_segmentation"
    store: ClassVar[str] = "scenes"
    metric: ClassVar[str] = "miou"

    points: int = 8192
    group_count: int = 256
    group_size: int = 32
    side: float = 1.5
    hidden: tuple[int, int] = (512, 256)
    dropout: float = 0.5
    point_inputs: bool = False
    colour: bool = False
    balanced: bool = False
    class_balance: float = 0.0
    yaw: bool = True
    scale: tuple[float, float] = (0.9, 1.1)
    stride: float = 0.75
    passes: int | None = None
    columns_per_scene: int = 1
    classes: tuple[int, ...] = tuple(c.nyu40 for c in SEMANTIC_CLASSES)
    probe_columns: int = 8
    probe_points: int = 256

    def check(self, data: Splits[Scenes]) -> None:
        """Finite coordinates, enough vertices: else DataError."""
        check_scenes(data, minimum=self.group_count, boxes=False)

    def size(self, split: Scenes) -> int:
        """Columns an epoch."""
        return len(split) * self.columns_per_scene

    def facts(self, data: Splits[Scenes]) -> ClassWeights:
        """How much each class weighs in the loss."""
        return ClassWeights(tuple(self._class_weight(data.train).tolist()))

    def build(self, backbone: PointTransformer | DGCNN, facts: ClassWeights) -> SegmentationModel:
        """The backbone with a fresh head: on the three nearest centres, or, on DGCNN, its authors'.

        Raises:
            RecipeError: a DGCNN that takes colours where the task gives none, or the other way round.
        """
        weight = torch.tensor(facts.weights)
        if isinstance(backbone, DGCNN):
            return DGCNNSegmentationModel(backbone, weight, self)
        return SemanticSegmentationModel(backbone, weight, self)

    def model(self, backbone: PointTransformer | DGCNN, data: Splits[Scenes]) -> SegmentationModel:
        """`build` with the facts of these data."""
        return self.build(backbone, self.facts(data))

    def batch(self, split: Scenes, samples: list[Sample], seed: int) -> ColumnBatch:
        """Random columns, turned and scaled."""
        columns = []
        for sample in samples:
            scene, generator = split[sample.index % len(split)], numpy_generator(seed, "sample", *sample)
            column = self._random_column(scene, generator, self.balanced)
            points = rotate_yaw(column.points, generator) if self.yaw else column.points
            points = points * np.float32(generator.uniform(*self.scale))
            columns.append((scene, Column(column.index, points)))
        return self._batch(columns)

    def loss(self, model: SegmentationModel, batch: ColumnBatch) -> Losses:
        """Cross-entropy, the (weighted) mean over the labelled points; zero where there are none."""
        logits, labels = model(batch.points, batch.colours).flatten(0, 1), batch.labels.flatten()
        loss = F.cross_entropy(logits, labels, model.class_weight, ignore_index=-1, reduction="sum")
        weight = model.class_weight[labels.clamp_min(0)] * (labels >= 0)
        loss = loss / weight.sum().clamp_min(1e-6)
        return Losses(loss, {"cross_entropy": loss})

    @torch.inference_mode()
    def evaluate(self, model: SegmentationModel, split: Scenes, seed: int, quick: bool = False) -> Figures:
        """Class mIoU, mean class accuracy and overall accuracy over every labelled vertex; `quick`: random columns."""
        if not quick:
            return evaluate_pieces(self, model, split, seed)
        model.eval()
        score = self.tally(split)
        for scene in split:
            batch = self._fixed_columns(scene, seed)
            logits = model(batch.points.to(device_of(model)), batch.colours.to(device_of(model)))
            score.update(logits.argmax(-1).flatten().cpu().numpy(), batch.labels.flatten().numpy())
        return self.figures(score, split)

    def pieces(self, split: Scenes) -> int:
        """Each scene alone."""
        return len(split)

    def predict(self, model: SegmentationModel, split: Scenes, piece: int, seed: int) -> Int[np.ndarray, " vertices"]:
        """`label_scene` on one scene."""
        return self.label_scene(model, split[piece], seed)

    def tally(self, split: Scenes) -> ConfusionMatrix:
        """Nothing counted."""
        return ConfusionMatrix(len(self.classes), ignore=-1)

    def count(
        self, tally: ConfusionMatrix, split: Scenes, piece: int, prediction: Int[np.ndarray, " vertices"]
    ) -> None:
        """Every labelled vertex."""
        tally.update(prediction, self.labels(split[piece]))

    @torch.inference_mode()
    def label_scene(self, model: SegmentationModel, scene: Scene, seed: int) -> Int[np.ndarray, " vertices"]:
        """The class index of every vertex of a scene, by overlapping columns and voting; depends on this scene only."""
        model.eval()
        device = device_of(model)

        def predict(columns: list[Column]) -> Float[np.ndarray, "columns points classes"]:
            batch = self._batch([(scene, column) for column in columns])
            return model(batch.points.to(device), batch.colours.to(device)).softmax(-1).cpu().numpy()

        generator = numpy_generator(seed, "vote", scene.name)
        votes = vote(
            scene.points, predict, len(self.classes), self.points, self.side, self.stride, self.passes, generator
        )
        return votes.argmax(1)

    def labels(self, scene: Scene) -> Int[np.ndarray, " vertices"]:
        """Class indices of the scene's vertices, -1 for all other NYU40 ids."""
        return self._indices(scene.semantic)

    def _indices(self, nyu40: Int[np.ndarray, " points"]) -> Int[np.ndarray, " points"]:
        table = np.full(max(256, max(self.classes) + 1), -1, np.int64)
        table[list(self.classes)] = np.arange(len(self.classes))
        return table[nyu40]

    def baseline(self, data: Splits[Scenes]) -> Figures:
        """The most frequent class of the training vertices, everywhere."""
        majority = self._counts(data.train).argmax()
        score = self.tally(data.test)
        for scene in data.test:
            labels = self.labels(scene)
            score.update(np.full(len(labels), majority), labels)
        return self.figures(score, data.test)

    def probe(self, backbone: PointTransformer | DGCNN, data: Splits[Scenes], seed: int) -> Figures:
        """A linear classifier on frozen features of points of random columns (tokens are interpolated to them); its
        mIoU there."""
        train = self._point_rows(backbone, data.train, seed, self.balanced)
        val, test = (self._point_rows(backbone, split, seed, False) for split in (data.validation, data.test))
        found = dense_probe(*train, *val, *test, classes=len(self.classes), ignore=-1)
        score = self.tally(data.test)
        score.update(found.predictions, test[1])
        return self.figures(score, data.test)

    def _counts(self, split: Scenes) -> Int[np.ndarray, " classes"]:
        """Vertices of each class."""
        counts = np.zeros(len(self.classes) + 1, np.int64)
        for scene in split:
            counts += np.bincount(self.labels(scene) + 1, minlength=len(counts))
        return counts[1:]

    def _class_weight(self, split: Scenes) -> Float[Tensor, " classes"]:
        """Each class's share to the power of minus `class_balance`, 1 for the most frequent class."""
        counts = np.maximum(self._counts(split), 1).astype(np.float32)
        return torch.from_numpy((counts.max() / counts) ** np.float32(self.class_balance))

    def _random_column(self, scene: Scene, generator: np.random.Generator, balanced: bool) -> Column:
        floor = floor_height(scene.points)
        return random_column(scene.points, scene.semantic, self.points, self.side, floor, generator, balanced)

    def _batch(self, columns: list[tuple[Scene, Column]]) -> ColumnBatch:
        colours = [scene.colours[column.index].astype(np.float32) / 255 for scene, column in columns]
        labels = [self._indices(scene.semantic[column.index]) for scene, column in columns]
        return ColumnBatch(
            torch.from_numpy(np.stack([column.points for _, column in columns])),
            torch.from_numpy(np.stack(colours)),
            torch.from_numpy(np.stack(labels)),
        )

    def _fixed_columns(self, scene: Scene, seed: int, balanced: bool = False) -> ColumnBatch:
        """`probe_columns` random columns of the scene, the same at every call."""
        generator = numpy_generator(seed, "columns", scene.name)
        columns = [self._random_column(scene, generator, balanced) for _ in range(self.probe_columns)]
        return self._batch([(scene, column) for column in columns])

    @torch.inference_mode()
    def _point_rows(
        self, backbone: PointTransformer | DGCNN, split: Scenes, seed: int, balanced: bool
    ) -> tuple[Float[Tensor, "rows width"], Int[Tensor, " rows"]]:
        """Frozen features and labels of the first `probe_points` points (in random order) of each fixed column."""
        backbone.eval()
        device, features, labels = device_of(backbone), [], []
        for scene in split:
            batch = self._fixed_columns(scene, seed, balanced)
            found = self._frozen_features(backbone, batch.points.to(device), batch.colours.to(device))
            features.append(found.cpu().flatten(0, 1))
            labels.append(batch.labels[:, : self.probe_points].flatten())
        return torch.cat(features), torch.cat(labels)

    def _frozen_features(
        self,
        backbone: PointTransformer | DGCNN,
        points: Float[Tensor, "batch points 3"],
        colours: Float[Tensor, "batch points 3"],
    ) -> Float[Tensor, "batch probed width"]:
        if isinstance(backbone, DGCNN):
            found = backbone(points, colours if self.colour else None)
            local = found.local[:, : self.probe_points]
            return torch.cat([local, found.whole.unsqueeze(1).expand(-1, local.shape[1], -1)], dim=-1)
        points = to_unit_sphere(points).points
        found = backbone(points, self.group_count, self.group_size)
        return interpolate(found.tokens, *three_nearest(points[:, : self.probe_points], found.centres))

    def figures(self, tally: ConfusionMatrix, split: Scenes) -> Figures:
        """Class mIoU, accuracies, IoU by class."""
        scores = tally.compute()
        names = {c.nyu40: c.name for c in SEMANTIC_CLASSES}
        by_class = {names.get(c, str(c)): known(v) for c, v in zip(self.classes, scores.class_iou, strict=True)}
        return {
            "miou": known(scores.mean_iou),
            "mean_accuracy": known(scores.mean_accuracy),
            "overall_accuracy": known(scores.overall),
            "iou_by_class": by_class,
        }

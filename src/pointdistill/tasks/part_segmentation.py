"""Part segmentation of objects (paper section 4.2.4, Appendix A.2): ShapeNetPart or any set with part labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointdistill.augment import rotate_yaw, scale_and_shift
from pointdistill.datasets.shapenetpart import PartSet
from pointdistill.errors import DataError
from pointdistill.geometry import interpolate, three_nearest
from pointdistill.losses import Losses
from pointdistill.metrics import PartIoU, linear_probe
from pointdistill.models.heads import PartSegmentationHead, normed_layers, pyramid_layers
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Facts, Figures, Sample, Splits, TaskModel, device_of, evaluate_pieces, known
from pointdistill.tasks.checks import check_parts
from pointdistill.tasks.sampling import choose, unit_sphere


@dataclass(frozen=True)
class PartBatch:
    """Attributes: points: clouds in (roughly) the unit sphere, z up. category: of each cloud. parts: of each point."""

    points: Float[Tensor, "batch points 3"]
    category: Int[Tensor, " batch"]
    parts: Int[Tensor, "batch points"]


class LabelledShape(NamedTuple):
    """A test cloud (unit sphere, z up) with its parts."""

    points: Float[np.ndarray, "points 3"]
    true: Int[np.ndarray, " points"]
    predicted: Int[np.ndarray, " points"]


@dataclass(frozen=True)
class PartTable(Facts):
    """Which parts there are.

    Attributes:
        category_names: of the categories, in their order.
        part_ids: the parts of each.
        part_names: of each part.
    """

    category_names: tuple[str, ...]
    part_ids: tuple[tuple[int, ...], ...]
    part_names: dict[int, str]

    def check(self, split: PartSet) -> None:
        """The same categories with the same parts: else DataError."""
        if (tuple(split.category_names), split.part_ids) != (self.category_names, self.part_ids):
            problem = "have other categories or parts than the model was trained on"
            raise DataError("the data", problem, "Prepare the same data set.")


class PartSegmentationModel(TaskModel):
    """Backbone whose block outputs (4, 8, 12 of 12; evenly spread in others) are propagated to the points."""

    backbone: PointTransformer

    allowed: Tensor

    def __init__(self, backbone: PointTransformer, allowed: Bool[Tensor, "categories parts"], task: "PartSegmentation"):
        super().__init__(backbone)
        self.register_buffer("allowed", allowed, persistent=False)
        self.group_count, self.group_size = task.group_count, task.group_size
        self.layers = pyramid_layers(backbone.config.depth, task.layers)
        width = backbone.width * len(self.layers)
        categories, parts = allowed.shape
        self.head = PartSegmentationHead(
            width, categories, parts, task.propagation, task.hidden, task.embedding, task.dropout
        )

    def forward(
        self, points: Float[Tensor, "batch points 3"], category: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch points parts"]:
        """Logits of every part label, of all categories, at every point."""
        features = self.backbone(points, self.group_count, self.group_size, layers=self.layers)
        return self.head(normed_layers(self.backbone, features), features.centres, points, category)


@dataclass(frozen=True)
class PartSegmentation:
    """Settings and protocol; the defaults are the paper's (ViT-S, ShapeNetPart; head and augmentation of Point-MAE).

    Attributes:
        points: points drawn from each cloud, afresh each epoch.
        group_count, group_size: patches.
        layers: how many block outputs the head reads.
        propagation, hidden, embedding, dropout: widths of the head; see `PartSegmentationHead`.
        yaw: turn training clouds about z at random.
        scale, shift: ranges of the augmentation (Point-MAE's for this task).
        limited_loss: the cross-entropy, like the test's argmax, knows the category's parts alone. Point-MAE's is over
            all parts (off); a short schedule should not spend its steps on learning what is given.
        test_batch: clouds a forward pass in tests.
        probe_points: labelled points a cloud that the linear probe sees.
    """

    name: ClassVar[str] = "part_segmentation"
    store: ClassVar[str] = "parts"
    metric: ClassVar[str] = "instance_miou"

    points: int = 2048
    group_count: int = 128
    group_size: int = 32
    layers: int = 3
    propagation: tuple[int, ...] = (1536, 1024)
    hidden: tuple[int, int] = (512, 256)
    embedding: int = 64
    dropout: float = 0.5
    yaw: bool = False
    scale: tuple[float, float] = (0.8, 1.25)
    shift: float = 0.1
    limited_loss: bool = False
    test_batch: int = 32
    probe_points: int = 128

    def check(self, data: Splits[PartSet]) -> None:
        """Finite coordinates, parts that belong to their cloud's category, points for all patches: else DataError."""
        check_parts(data, max(self.group_count, self.group_size))

    def size(self, split: PartSet) -> int:
        """Number of clouds."""
        return len(split.categories)

    def facts(self, data: Splits[PartSet]) -> PartTable:
        """The table of parts."""
        return PartTable(tuple(data.train.category_names), data.train.part_ids, dict(data.train.part_names))

    def build(self, backbone: PointTransformer, facts: PartTable) -> PartSegmentationModel:
        """The backbone with a fresh head."""
        return PartSegmentationModel(backbone, allowed_parts(facts), self)

    def model(self, backbone: PointTransformer, data: Splits[PartSet]) -> PartSegmentationModel:
        """`build` with the facts of these data."""
        return self.build(backbone, self.facts(data))

    def batch(self, split: PartSet, samples: list[Sample], seed: int) -> PartBatch:
        """Fresh subsets, scaled and shifted (and turned)."""
        clouds, parts = [], []
        for sample in samples:
            generator = numpy_generator(seed, "sample", *sample)
            count = int(split.counts[sample.index])
            kept = choose(generator, count, self.points)
            points = unit_sphere(split.points[sample.index, :count])[kept]
            points = rotate_yaw(points, generator) if self.yaw else points
            clouds.append(scale_and_shift(points, generator, self.scale, self.shift))
            parts.append(split.parts[sample.index][kept])
        return _batch(clouds, parts, split.categories[[sample.index for sample in samples]])

    def loss(self, model: PartSegmentationModel, batch: PartBatch) -> Losses:
        """Cross-entropy over all part labels, or those of the category, mean over points."""
        logits = model(batch.points, batch.category)
        if self.limited_loss:
            logits = logits.masked_fill(~model.allowed[batch.category][:, None], -torch.inf)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.parts.flatten())
        return Losses(loss, {"cross_entropy": loss})

    def evaluate(self, model: PartSegmentationModel, split: PartSet, seed: int, quick: bool = False) -> Figures:
        """Instance mIoU, class mIoU and IoU per category; the argmax is limited to the category's parts."""
        return evaluate_pieces(self, model, split, seed)

    def pieces(self, split: PartSet) -> int:
        """Batches of `test_batch` clouds."""
        return -(-self.size(split) // self.test_batch)

    @torch.inference_mode()
    def predict(self, model: PartSegmentationModel, split: PartSet, piece: int, seed: int) -> list[LabelledShape]:
        """Each cloud of a batch as the test sees it, with its true and predicted parts."""
        model.eval()
        batch, device = self._test_batch(split, piece, seed), device_of(model)
        category = batch.category.to(device)
        logits = model(batch.points.to(device), category)
        found = limited_argmax(logits, model.allowed[category]).cpu()
        shapes = zip(batch.points, batch.parts, found, strict=True)
        return [LabelledShape(*(part.numpy() for part in shape)) for shape in shapes]

    def tally(self, split: PartSet) -> PartIoU:
        """No shape yet."""
        return PartIoU(dict(enumerate(split.part_ids)))

    def count(self, tally: PartIoU, split: PartSet, piece: int, prediction: list[LabelledShape]) -> None:
        """Each cloud's IoU over the parts of its category."""
        for shape, category in zip(prediction, split.categories[self.rows(split, piece)], strict=True):
            tally.update(shape.predicted, shape.true, int(category))

    def figures(self, tally: PartIoU, split: PartSet) -> Figures:
        """Instance mIoU, class mIoU and IoU per category."""
        scores = tally.compute()
        by_category = {split.category_names[int(str(number))]: known(v) for number, v in scores.per_category.items()}
        return {
            "instance_miou": known(scores.instance_mean_iou),
            "class_miou": known(scores.class_mean_iou),
            "iou_by_category": by_category,
        }

    def label_shapes(self, model: PartSegmentationModel, split: PartSet, seed: int) -> list[LabelledShape]:
        """`predict` of all clouds."""
        return [shape for piece in range(self.pieces(split)) for shape in self.predict(model, split, piece, seed)]

    def rows(self, split: PartSet, piece: int) -> slice:
        """The clouds of a piece."""
        return slice(piece * self.test_batch, min((piece + 1) * self.test_batch, self.size(split)))

    def baseline(self, data: Splits[PartSet]) -> Figures:
        """Each category's most frequent training part, at every point."""
        counts = np.zeros((len(data.train.category_names), data.train.part_count), np.int64)
        for parts, category in zip(data.train.parts, data.train.categories, strict=True):
            counts[category] += np.bincount(parts, minlength=counts.shape[1])
        counts = np.where(allowed_parts(data.train).numpy(), counts, -1)
        tally = self.tally(data.test)
        for batch in self._test_batches(data.test, 0):
            for parts, category in zip(batch.parts, batch.category.tolist(), strict=True):
                tally.update(np.full(len(parts), counts[category].argmax()), parts, category)
        return self.figures(tally, data.test)

    def probe(self, backbone: PointTransformer, data: Splits[PartSet], seed: int) -> Figures:
        """A linear classifier of the part at a point, on frozen block outputs interpolated to `probe_points` points.

        The classifier also sees the category (one-hot), as the head does, and its argmax is over all parts; a shape's
        IoU is taken over its probed points.
        """
        splits = (data.train, data.validation, data.test)
        train, val, test = (self._point_rows(backbone, split, seed) for split in splits)
        found = linear_probe(*train, *val, *test).predictions
        tally = self.tally(data.test)
        shapes = zip(found.reshape(-1, self.probe_points), test[1].reshape(-1, self.probe_points), strict=True)
        for (predicted, true), category in zip(shapes, data.test.categories, strict=True):
            tally.update(predicted, true, int(category))
        return self.figures(tally, data.test)

    @torch.inference_mode()
    def _point_rows(
        self, backbone: PointTransformer, split: PartSet, seed: int
    ) -> tuple[Float[Tensor, "rows width"], Int[Tensor, " rows"]]:
        """Features and parts of the first `probe_points` points (their order is random) of each test cloud."""
        backbone.eval()
        layers = pyramid_layers(backbone.config.depth, self.layers)
        device, features, parts = device_of(backbone), [], []
        for batch in self._test_batches(split, seed):
            found = backbone(batch.points.to(device), self.group_count, self.group_size, layers=layers)
            near = three_nearest(batch.points[:, : self.probe_points].to(device), found.centres)
            local = interpolate(normed_layers(backbone, found), *near).cpu()
            category = F.one_hot(batch.category, len(split.category_names))[:, None].expand(-1, local.shape[1], -1)
            features.append(torch.cat([local, category.to(local.dtype)], -1).flatten(0, 1))
            parts.append(batch.parts[:, : self.probe_points].flatten())
        return torch.cat(features), torch.cat(parts)

    def _test_batches(self, split: PartSet, seed: int) -> Iterator[PartBatch]:
        """Every cloud once."""
        return (self._test_batch(split, piece, seed) for piece in range(self.pieces(split)))

    def _test_batch(self, split: PartSet, piece: int, seed: int) -> PartBatch:
        """Clouds of another size than `points` are drawn to it (each point at least once if few)."""
        rows, clouds, parts = self.rows(split, piece), [], []
        for index in range(rows.start, rows.stop):
            count = int(split.counts[index])
            kept = choose(numpy_generator(seed, "test", index), count, self.points)
            clouds.append(unit_sphere(split.points[index, :count])[kept])
            parts.append(split.parts[index][kept])
        return _batch(clouds, parts, split.categories[rows])


def allowed_parts(table: PartSet | PartTable) -> Bool[Tensor, "categories parts"]:
    """Which part labels each category has."""
    allowed = torch.zeros(len(table.part_ids), max(table.part_names) + 1, dtype=torch.bool)
    for category, parts in enumerate(table.part_ids):
        allowed[category, list(parts)] = True
    return allowed


def limited_argmax(
    logits: Float[Tensor, "batch points parts"], allowed: Bool[Tensor, "batch parts"]
) -> Int[Tensor, "batch points"]:
    """The best part among those that the cloud's category has."""
    return logits.masked_fill(~allowed[:, None], -torch.inf).argmax(-1)


def _batch(clouds: list[np.ndarray], parts: list[np.ndarray], categories: Int[np.ndarray, " batch"]) -> PartBatch:
    return PartBatch(
        torch.from_numpy(np.stack(clouds).astype(np.float32)),
        torch.from_numpy(categories.astype(np.int64)),
        torch.from_numpy(np.stack(parts).astype(np.int64)),
    )

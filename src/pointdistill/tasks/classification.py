"""Object classification (paper section 4.2.3, Appendix A.2): ModelNet40 or any set of labelled clouds."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pointdistill.augment import rotate_yaw, scale_and_shift
from pointdistill.datasets.objects import ObjectSet
from pointdistill.errors import DataError
from pointdistill.geometry import farthest_point_sample
from pointdistill.losses import Losses
from pointdistill.metrics import Accuracy, linear_probe
from pointdistill.models.heads import ClassificationHead
from pointdistill.models.patch_embed import ClassToken
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Facts, Figures, Sample, Splits, TaskModel, device_of, evaluate_pieces, known
from pointdistill.tasks.checks import check_objects
from pointdistill.tasks.sampling import choose, unit_sphere


@dataclass(frozen=True)
class ClassificationBatch:
    """Attributes: points: clouds in (roughly) the unit sphere, z up. labels: class indices."""

    points: Float[Tensor, "batch points 3"]
    labels: Int[Tensor, " batch"]


@dataclass(frozen=True)
class ClassNames(Facts):
    """Attributes: classes: names of the classes, in the order of the logits."""

    classes: tuple[str, ...]

    def check(self, split: ObjectSet) -> None:
        """The same classes in the same order: else DataError."""
        if tuple(split.classes) != self.classes:
            raise DataError(
                "the data", "have other classes than the model was trained on", "Prepare the same data set."
            )


@dataclass(frozen=True)
class ClassProbabilities:
    """What is said of some clouds.

    Attributes:
        classes: probability of each class, of the clouds as the test sees them.
        votes: the same of each repeat of the vote; none without voting.
    """

    classes: Float[np.ndarray, "clouds classes"]
    votes: Float[np.ndarray, "repeats clouds classes"]


class AccuracyTally:
    """Attributes: plain: of the clouds as the test sees them. votes: of each repeat of the vote."""

    def __init__(self, classes: int, repeats: int):
        self.plain = Accuracy(classes)
        self.votes = [Accuracy(classes) for _ in range(repeats)]

    def merge(self, other: "AccuracyTally") -> None:
        """Add another process's counts."""
        for own, its in zip((self.plain, *self.votes), (other.plain, *other.votes), strict=True):
            own.merge(its)


class ClassificationModel(TaskModel):
    """Backbone with a class token in front, and the head on concat(class token, max of the others) (Point-MAE)."""

    backbone: PointTransformer

    def __init__(self, backbone: PointTransformer, classes: int, task: "Classification"):
        super().__init__(backbone)
        self.group_count, self.group_size = task.group_count, task.group_size
        self.class_token = ClassToken(backbone.width)
        if backbone.class_token is not None:  # a peer's, which pre-training has shaped
            self.class_token.load_state_dict(backbone.class_token.state_dict())
        self.head = ClassificationHead(backbone.width, classes, task.hidden, task.dropout)

    def forward(self, points: Float[Tensor, "batch points 3"]) -> Float[Tensor, "batch classes"]:
        """Logits of each cloud's class."""
        prepend = self.class_token(points.shape[0])
        return self.head(self.backbone(points, self.group_count, self.group_size, prepend=prepend).tokens)


@dataclass(frozen=True)
class Classification:
    """Settings and protocol; the defaults are the paper's (ViT-S, ModelNet40).

    Attributes:
        points: points drawn from each cloud, afresh each epoch.
        group_count, group_size: patches.
        hidden, dropout: of the head.
        farthest: points are drawn out of so many that farthest point sampling keeps of the cloud, in training from a
            random start (Point-MAE: 1024 of 1200, 2048 of 2400); 0 draws out of all.
        yaw: turn training clouds about z at random (ModelNet40's shapes stand in a common pose: off).
        scale, shift: ranges of the augmentation.
        test_sampling: which points a test cloud keeps: a keyed random draw, or farthest points (Point-MAE).
        votes: augmented draws of a cloud whose logits are averaged for the voted accuracy; 1 reports none.
        vote_repeats: how often the vote is repeated for `max_of_n`; 1 reports none. See `evaluate`.
        test_batch: clouds a forward pass in tests.
    """

    name: ClassVar[str] = "classification"
    store: ClassVar[str] = "objects"
    metric: ClassVar[str] = "accuracy"

    points: int = 1024
    group_count: int = 64
    group_size: int = 32
    hidden: int = 256
    dropout: float = 0.5
    farthest: int = 1200
    yaw: bool = False
    scale: tuple[float, float] = (2 / 3, 3 / 2)
    shift: float = 0.2
    test_sampling: Literal["random", "fps"] = "fps"
    votes: int = 1
    vote_repeats: int = 1
    test_batch: int = 64

    def check(self, data: Splits[ObjectSet]) -> None:
        """Finite coordinates, known labels, points for all patches, the same classes in all splits: else DataError."""
        check_objects(data, max(self.group_count, self.group_size))

    def size(self, split: ObjectSet) -> int:
        """Number of clouds."""
        return len(split.labels)

    def facts(self, data: Splits[ObjectSet]) -> ClassNames:
        """The names of the classes."""
        return ClassNames(tuple(data.train.classes))

    def build(self, backbone: PointTransformer, facts: ClassNames) -> ClassificationModel:
        """The backbone with a fresh class token and head."""
        return ClassificationModel(backbone, len(facts.classes), self)

    def model(self, backbone: PointTransformer, data: Splits[ObjectSet]) -> ClassificationModel:
        """`build` with the facts of these data."""
        return self.build(backbone, self.facts(data))

    def batch(self, split: ObjectSet, samples: list[Sample], seed: int) -> ClassificationBatch:
        """Fresh subsets, scaled and shifted (and turned)."""
        generators = [numpy_generator(seed, "sample", *sample) for sample in samples]
        rows = [sample.index for sample in samples]
        pools = self._pools(split.points[rows], generators)
        clouds = [
            self._augmented(split.points[row], pool, generator)
            for row, pool, generator in zip(rows, pools, generators, strict=True)
        ]
        labels = np.array([split.labels[row] for row in rows], np.int64)
        return ClassificationBatch(torch.from_numpy(np.stack(clouds)), torch.from_numpy(labels))

    def loss(self, model: ClassificationModel, batch: ClassificationBatch) -> Losses:
        """Plain cross-entropy."""
        loss = F.cross_entropy(model(batch.points), batch.labels)
        return Losses(loss, {"cross_entropy": loss})

    def evaluate(self, model: ClassificationModel, split: ObjectSet, seed: int, quick: bool = False) -> Figures:
        """Accuracy over clouds and mean accuracy over classes of one pass; with `votes` and `vote_repeats` two more.

        `vote10` (for 10 votes): each cloud is drawn, scaled and shifted anew that often, as in training, and the mean
        of the logits decides. It is an accuracy like any other.

        `max_of_n`: the best of `vote_repeats` such votes. This is what Point-MAE's test script prints (N = 299). It is
        not a measurement: the repeat is chosen by the test labels, so it grows with N for any model, and two models
        with equal accuracy differ in it by their spread. It is here to be set beside figures that were got that way.

        The fourth figure of the protocol, the best point of the curve, is the training's: `engine.finetune` has it.
        """
        return evaluate_pieces(replace(self, votes=1) if quick else self, model, split, seed)

    def pieces(self, split: ObjectSet) -> int:
        """Batches of `test_batch` clouds."""
        return -(-self.size(split) // self.test_batch)

    def rows(self, split: ObjectSet, piece: int) -> slice:
        """The clouds of a piece."""
        return slice(piece * self.test_batch, min((piece + 1) * self.test_batch, self.size(split)))

    def predict(self, model: ClassificationModel, split: ObjectSet, piece: int, seed: int) -> ClassProbabilities:
        """Class probabilities of a batch of clouds, and with `votes` those of each repeat of the vote."""
        logits = self._logits(model, self._test_clouds(split, piece, seed))
        votes = self._votes(model, split, piece, seed) if self.votes > 1 else []
        return ClassProbabilities(_softmax(logits), _softmax(np.array(votes, np.float32).reshape(-1, *logits.shape)))

    def tally(self, split: ObjectSet) -> AccuracyTally:
        """Nothing counted."""
        return AccuracyTally(len(split.classes), self.vote_repeats if self.votes > 1 else 0)

    def count(self, tally: AccuracyTally, split: ObjectSet, piece: int, prediction: ClassProbabilities) -> None:
        """Each cloud's most probable class."""
        labels = split.labels[self.rows(split, piece)]
        tally.plain.update(prediction.classes.argmax(-1), labels)
        for repeat, probabilities in zip(tally.votes, prediction.votes, strict=True):
            repeat.update(probabilities.argmax(-1), labels)

    def figures(self, tally: AccuracyTally, split: ObjectSet) -> Figures:
        """Accuracy over clouds and over classes, by class, and of the votes."""
        figures = _figures(tally.plain, split)
        voted = [repeat.compute().overall for repeat in tally.votes]
        figures |= {f"vote{self.votes}": known(voted[0])} if voted else {}
        return figures | ({"max_of_n": known(max(voted))} if len(voted) > 1 else {})

    def baseline(self, data: Splits[ObjectSet]) -> Figures:
        """The most frequent training class, always."""
        counts = np.bincount(data.train.labels, minlength=len(data.train.classes))
        return class_figures(np.full(self.size(data.test), counts.argmax()), data.test)

    def probe(self, backbone: PointTransformer, data: Splits[ObjectSet], seed: int) -> Figures:
        """A linear classifier on concat(mean, max) of the frozen tokens."""
        train, val, test = (self.pooled(backbone, split, seed) for split in (data.train, data.validation, data.test))
        labels = data.train.labels, data.validation.labels, data.test.labels
        found = linear_probe(train, labels[0], val, labels[1], test, labels[2])
        return class_figures(found.predictions, data.test)

    @torch.inference_mode()
    def pooled(self, backbone: PointTransformer, split: ObjectSet, seed: int) -> Float[np.ndarray, "clouds width"]:
        """concat(mean, max) of a frozen backbone's tokens, of each cloud as tests see it."""
        backbone.eval()
        device = device_of(backbone)
        pooled = []
        for piece in range(self.pieces(split)):
            points = self._test_clouds(split, piece, seed)
            tokens = backbone(points.to(device), self.group_count, self.group_size).tokens
            pooled.append(torch.cat([tokens.mean(1), tokens.max(1).values], dim=-1).cpu())
        return torch.cat(pooled).numpy()

    def _pools(
        self, clouds: Float[np.ndarray, "batch all 3"], generators: list[np.random.Generator] | None = None
    ) -> list[Int[np.ndarray, " pool"] | None]:
        """Which points each cloud's draw is out of, None for all; from random starts, or else from the first point."""
        available, count = clouds.shape[1], max(self.farthest, self.points)
        if not self.farthest or available <= count:
            return [None] * len(clouds)
        starts = [int(generator.integers(available)) for generator in generators or ()] or [0] * len(clouds)
        turned = np.stack([np.roll(cloud, -start, axis=0) for cloud, start in zip(clouds, starts, strict=True)])
        chosen = farthest_point_sample(torch.from_numpy(turned), count).numpy()
        return [(kept + start) % available for kept, start in zip(chosen, starts, strict=True)]

    def _augmented(
        self,
        cloud: Float[np.ndarray, "all 3"],
        pool: Int[np.ndarray, " pool"] | None,
        generator: np.random.Generator,
    ) -> Float[np.ndarray, "points 3"]:
        kept = choose(generator, len(cloud) if pool is None else len(pool), self.points)
        points = unit_sphere(cloud)[kept if pool is None else pool[kept]]
        points = rotate_yaw(points, generator) if self.yaw else points
        return scale_and_shift(points, generator, self.scale, self.shift)

    def _votes(
        self, model: ClassificationModel, split: ObjectSet, piece: int, seed: int
    ) -> list[Float[np.ndarray, "clouds classes"]]:
        """Mean logits of each repeat of the vote. What the draws are out of is the same in all (Point-MAE)."""
        fixed, rows = replace(self, yaw=False), self.rows(split, piece)
        clouds = split.points[rows]
        pools = self._pools(clouds)

        def draw(*key: str | int) -> Float[Tensor, "clouds points 3"]:
            drawn = [
                fixed._augmented(cloud, pool, numpy_generator(seed, *key, row))
                for row, (cloud, pool) in enumerate(zip(clouds, pools, strict=True), rows.start)
            ]
            return torch.from_numpy(np.stack(drawn))

        return [
            np.mean([self._logits(model, draw("vote", repeat, vote)) for vote in range(self.votes)], axis=0)
            for repeat in range(self.vote_repeats)
        ]

    def _test_clouds(self, split: ObjectSet, piece: int, seed: int) -> Float[Tensor, "batch points 3"]:
        rows = self.rows(split, piece)
        clouds = split.points[rows]
        if self.test_sampling == "fps" and clouds.shape[1] > self.points:
            kept = farthest_point_sample(torch.from_numpy(clouds), self.points).numpy()
        else:
            draws = (numpy_generator(seed, "test", index) for index in range(rows.start, rows.stop))
            kept = np.stack([choose(generator, clouds.shape[1], self.points) for generator in draws])
        clouds = np.stack([unit_sphere(cloud)[index] for cloud, index in zip(clouds, kept, strict=True)])
        return torch.from_numpy(clouds)

    @torch.inference_mode()
    def _logits(
        self, model: ClassificationModel, points: Float[Tensor, "clouds points 3"]
    ) -> Float[np.ndarray, "clouds classes"]:
        model.eval()
        return model(points.to(device_of(model))).cpu().numpy()


def _softmax(logits: Float[np.ndarray, "*batch classes"]) -> Float[np.ndarray, "*batch classes"]:
    return torch.from_numpy(logits).softmax(-1).numpy()


def class_figures(predictions: Int[np.ndarray, " clouds"], split: ObjectSet) -> Figures:
    """accuracy (over clouds), class_accuracy (mean over classes), accuracy_by_class."""
    state = Accuracy(len(split.classes))
    state.update(predictions, split.labels)
    return _figures(state, split)


def _figures(state: Accuracy, split: ObjectSet) -> Figures:
    scores = state.compute()
    return {
        "accuracy": known(scores.overall),
        "class_accuracy": known(scores.class_mean),
        "accuracy_by_class": dict(zip(split.classes, map(known, scores.per_class), strict=True)),
    }

"""Protocols that read a frozen backbone: what its features hold before any fine-tuning.

Each is a function of (backbone, data, seed) to figures on `data.test`. Features are concat(mean, max) of the tokens of
each cloud as tests see it (`Classification.pooled`), without augmentation.
"""

import numpy as np
from jaxtyping import Float, Int

from pointdistill.datasets.objects import ObjectSet
from pointdistill.errors import MissingPackage
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.tasks.base import Figures, Splits
from pointdistill.tasks.classification import Classification, class_figures

_ROWS = 256
"""Test clouds that are compared with all training clouds at a time."""


def linear_probe(
    backbone: PointTransformer, data: Splits[ObjectSet], seed: int, task: Classification | None = None
) -> Figures:
    """Multinomial logistic regression, its penalty chosen on `data.validation`; see `metrics.linear_probe`.

    Args:
        task: how clouds are drawn and cut into patches; default the paper's.
    """
    return (task or Classification()).probe(backbone, data, seed)


def nearest_neighbours(
    backbone: PointTransformer,
    data: Splits[ObjectSet],
    seed: int,
    task: Classification | None = None,
    neighbours: int = 20,
    temperature: float = 0.07,
) -> Figures:
    """k nearest training clouds by cosine similarity vote with weights exp(similarity / temperature).

    The weighting is that of Wu et al. 2018 ("Unsupervised feature learning via non-parametric instance
    discrimination", section 3.4). Equal votes go to the lowest class. Nothing is trained, and `data.validation` is not
    read.

    Args:
        task: as in `linear_probe`.
        neighbours: k; all training clouds where there are fewer.
    """
    train, test = _features(backbone, data, seed, task)
    predictions = neighbours_votes(train, data.train.labels, test, len(data.train.classes), neighbours, temperature)
    return class_figures(predictions, data.test)


def neighbours_votes(
    train: Float[np.ndarray, "train width"],
    labels: Int[np.ndarray, " train"],
    test: Float[np.ndarray, "test width"],
    classes: int,
    neighbours: int = 20,
    temperature: float = 0.07,
) -> Int[np.ndarray, " test"]:
    """The class of each test row by `nearest_neighbours`' vote, from features that are there already."""
    train, test = _unit(train), _unit(test)
    predictions = np.empty(len(test), np.int64)
    for first in range(0, len(test), _ROWS):
        similarity = test[first : first + _ROWS] @ train.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
        # Minus the best: exp would overflow at low temperatures, and votes count by their ratios alone.
        found = np.take_along_axis(similarity, nearest, 1).astype(np.float64)
        weights = np.exp((found - found[:, :1]) / temperature)
        votes = np.zeros((len(nearest), classes))
        np.add.at(votes, (np.arange(len(nearest))[:, None], labels[nearest]), weights)
        predictions[first : first + _ROWS] = votes.argmax(1)
    return predictions


def linear_svm(
    backbone: PointTransformer,
    data: Splits[ObjectSet],
    seed: int,
    task: Classification | None = None,
    c: float = 0.1,
    one_vs_rest: bool = False,
) -> Figures:
    """A linear support vector machine on the raw features, as the field's "ModelNet40 linear SVM" rows have it.

    The default is CrossPoint's protocol: hinge loss, one machine for each pair of classes, C 0.1. With `one_vs_rest`
    and C 1 it is Point-BERT's and Point-MAE's (squared hinge, a machine a class); ReCon's has C 0.075. Their features
    differ (CrossPoint's is its DGCNN's own), and C is not chosen on validation data in any. `data.validation` is not
    read.

    Args:
        task: as in `linear_probe`.
        c: weight of the errors against the margin.

    Raises:
        MissingPackage: scikit-learn is not installed.
    """
    require_scikit_learn()
    from sklearn.svm import SVC, LinearSVC

    train, test = _features(backbone, data, seed, task)
    machine = LinearSVC(C=c, random_state=seed) if one_vs_rest else SVC(C=c, kernel="linear", random_state=seed)
    predictions = machine.fit(train, data.train.labels).predict(test)
    return class_figures(np.asarray(predictions, np.int64), data.test)


def require_scikit_learn() -> None:
    """Raise MissingPackage where the linear SVM cannot be had."""
    try:
        import sklearn.svm  # noqa: F401
    except ImportError:
        raise MissingPackage("the linear SVM", "scikit-learn", "eval") from None


def _features(
    backbone: PointTransformer, data: Splits[ObjectSet], seed: int, task: Classification | None
) -> tuple[Float[np.ndarray, "train width"], Float[np.ndarray, "test width"]]:
    task = task or Classification()
    return task.pooled(backbone, data.train, seed), task.pooled(backbone, data.test, seed)


def _unit(features: Float[np.ndarray, "rows width"]) -> Float[np.ndarray, "rows width"]:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)

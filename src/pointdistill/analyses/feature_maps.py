"""How frozen features lie by class: PCA and t-SNE of labelled objects, with figures that no projection distorts."""

import numpy as np
import torch
from jaxtyping import Float, Int

from pointdistill.analyses.subject import Subject
from pointdistill.datasets.objects import ObjectSet
from pointdistill.errors import MissingPackage
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.report.analyses.schema import FeatureMap, MappedFeatures
from pointdistill.tasks.base import Splits
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.frozen import neighbours_votes

PERPLEXITY = 30.0
_DIGITS = 4


def feature_map(subject: Subject, data: Splits[ObjectSet], seed: int = 0) -> FeatureMap:
    """The test split's objects by the frozen features of the pre-trained and of a scratch backbone.

    Features are concat(mean, max) of the tokens, each standardised by the training split for the pictures and the
    silhouette; the vote of neighbours is `tasks.frozen.nearest_neighbours`, on features as they are.

    Args:
        subject: the pre-training.
        data: labelled objects; `validation` is not read.
        seed: of t-SNE.

    Raises:
        DataError: objects that the backbone cannot cut into patches, or other classes in each split.
        MissingPackage: scikit-learn is not installed.
    """
    backbone = subject.recipe.backbone
    task = frozen_task(backbone)
    task.check(data)
    perplexity = min(PERPLEXITY, (len(data.test.labels) - 1) / 3)
    return FeatureMap(
        classes=list(data.test.classes),
        labels=[int(label) for label in data.test.labels],
        perplexity=perplexity,
        seed=seed,
        features=[_mapped(init, one, task, data, perplexity, seed) for init, one in subject.backbones.items()],
    )


def frozen_task(backbone: BackboneConfig) -> Classification:
    """How clouds are cut into patches: as in the pre-training, out of 1024 points drawn at random by the seed (farthest
    points would cost more than the backbone)."""
    return Classification(group_count=backbone.groups, group_size=backbone.group_size, test_sampling="random")


def _mapped(
    init: str, backbone: PointTransformer, task: Classification, data: Splits[ObjectSet], perplexity: float, seed: int
) -> MappedFeatures:
    train, test = (task.pooled(backbone, split, seed) for split in (data.train, data.test))
    votes = neighbours_votes(train, data.train.labels, test, len(data.train.classes))
    standard = standardised(train, test)
    plane, shares = two_components(standard)
    return MappedFeatures(
        init=init,
        neighbours=float((votes == data.test.labels).mean()),
        silhouette=silhouette(standard, data.test.labels),
        pca=_pairs(plane),
        pca_shares=shares,
        tsne=_pairs(t_sne(standard, perplexity, seed)),
    )


def standardised(
    train: Float[np.ndarray, "train width"], test: Float[np.ndarray, "test width"]
) -> Float[np.ndarray, "test width"]:
    """Test features less the training features' mean, over their deviation; what never varies becomes 0."""
    mean, deviation = train.mean(0), train.std(0)
    alive = deviation > 1e-6 * np.abs(train).max(0)
    return np.where(alive, (test - mean) / np.where(alive, deviation, 1), 0)


def two_components(
    features: Float[np.ndarray, "rows width"],
) -> tuple[Float[np.ndarray, "rows 2"], tuple[float, float]]:
    """The first two principal components of each row, and their shares of the variance."""
    centred = torch.from_numpy(features).double()
    centred = centred - centred.mean(0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    shares = values.square() / values.square().sum().clamp_min(1e-30)
    return (left[:, :2] * values[:2]).numpy(), (float(shares[0]), float(shares[1]))


def silhouette(features: Float[np.ndarray, "rows width"], labels: Int[np.ndarray, " rows"]) -> float:
    """Mean silhouette (Rousseeuw 1987) of the classes, by Euclidean distance.

    Raises:
        MissingPackage: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import silhouette_score
    except ImportError:
        raise MissingPackage("the silhouette", "scikit-learn", "eval") from None
    return float(silhouette_score(features, labels))


def t_sne(features: Float[np.ndarray, "rows width"], perplexity: float, seed: int) -> Float[np.ndarray, "rows 2"]:
    """Two dimensions in which neighbours stay neighbours (van der Maaten and Hinton 2008); distances, sizes and gaps
    of clusters mean little.

    Raises:
        MissingPackage: scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise MissingPackage("t-SNE", "scikit-learn", "eval") from None
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def _pairs(plane: Float[np.ndarray, "rows 2"]) -> list[tuple[float, float]]:
    return [(round(float(x), _DIGITS), round(float(y), _DIGITS)) for x, y in plane]

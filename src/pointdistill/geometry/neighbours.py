"""Nearest neighbours and squared distances."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from pointdistill.geometry import traced
from pointdistill.geometry.finite import finite
from pointdistill.geometry.threads import map_threads

_MATRIX_ELEMENTS = 1 << 26  # at most this many distances at once on a GPU (256 MB in float32)
_LEAF_POINTS = 32  # of 8, 16, 32, 64 the quickest for patches of 16 to 64 from clouds of 1,000 to 40,000 points


def knn(
    queries: Float[Tensor, "batch queries 3"], points: Float[Tensor, "batch points 3"], k: int, by_index: bool = False
) -> Int[Tensor, "batch queries k"]:
    """Indices of each query's k nearest points, in ascending distance. No gradient.

    Exact: coordinate differences, never the expanded |q|² - 2qp + |p|², whose cancellation swaps close neighbours.
    The order of equally near points is not specified, but the same in every run. On the CPU a k-d tree for each cloud
    (2 to 3 times quicker than all distances with a partial sort); elsewhere all distances in chunks of queries.

    Args:
        queries: where from.
        points: where to look.
        k: how many.
        by_index: equally near points in ascending order of their index, by distances rounded in the points' own
            precision, as the KNN_CUDA package has them: for comparisons with what was computed by it (slower on CPU).

    Raises:
        ValueError: k does not fit the number of points, or (CPU) a coordinate is not finite.
    """
    available = points.shape[1]
    if not 1 <= k <= available:
        raise ValueError(f"cannot find {k} neighbours in clouds of {available} points")
    queries, points = queries.detach(), points.detach()
    if traced.exporting():
        return traced.nearest(queries, points, k, by_index)
    if points.device.type == "cpu" and not (finite(queries) and finite(points)):
        raise ValueError("cannot look for neighbours of coordinates that are not finite")
    if by_index or points.device.type != "cpu":
        return _knn_matrix(queries, points, k, by_index)
    clouds = list(zip(queries.double().numpy(), points.double().numpy(), strict=True))
    if not clouds:
        return torch.empty((0, queries.shape[1], k), dtype=torch.int64)
    return torch.from_numpy(np.stack(map_threads(lambda cloud: _knn_tree(*cloud, k), clouds)))


def _knn_tree(queries: np.ndarray, points: np.ndarray, k: int) -> np.ndarray:
    # Balancing and shrinking the nodes costs more at the start than it saves in a few hundred look-ups.
    tree = KDTree(points, leafsize=_LEAF_POINTS, compact_nodes=False, balanced_tree=False)
    return tree.query(queries, k)[1].reshape(len(queries), k).astype(np.int64, copy=False)


def _knn_matrix(queries: Tensor, points: Tensor, k: int, by_index: bool = False) -> Tensor:
    batch, available, _ = points.shape
    rows = max(1, _MATRIX_ELEMENTS // max(1, batch * available))
    parts = []
    for part in queries.split(rows, dim=1):
        distances = squared_distances(part, points)
        if by_index:
            parts.append(distances.sort(dim=-1, stable=True).indices[..., :k])
        else:
            parts.append(distances.topk(k, dim=-1, largest=False, sorted=True).indices)
    return torch.cat(parts, dim=1)


def knn_features(features: Float[Tensor, "batch points channels"], k: int) -> Int[Tensor, "batch points k"]:
    """Indices of the k points of the same cloud with the most similar features, in ascending distance, a point itself
    among them. No gradient.

    For many channels, where trees are no help: Euclidean distances in chunks of points, as |b|² - 2ab after the
    cloud's mean was subtracted, in the features' own precision (float32 at least). So unlike in `knn` almost equal
    distances may change places.

    Raises:
        ValueError: k does not fit the number of points.
    """
    batch, available, _ = features.shape
    if not 1 <= k <= available:
        raise ValueError(f"cannot find {k} neighbours in clouds of {available} points")
    features = features.detach().to(torch.promote_types(features.dtype, torch.float32))
    features = features - features.mean(1, keepdim=True)
    squared, transposed = features.square().sum(-1).unsqueeze(1), features.transpose(1, 2)
    if traced.exporting():
        return traced.similar(features, squared, k)
    rows = max(1, _MATRIX_ELEMENTS // max(1, batch * available))
    parts = [
        torch.baddbmm(squared, part, transposed, alpha=-2).topk(k, dim=-1, largest=False, sorted=True).indices
        for part in features.split(rows, dim=1)
    ]
    return torch.cat(parts, dim=1)


def squared_distances(
    a: Float[Tensor, "*batch first 3"], b: Float[Tensor, "*batch second 3"]
) -> Float[Tensor, "*batch first second"]:
    """All squared distances between two sets of points, from coordinate differences. No gradient (it works in place:
    a third of the memory of the broadcast form)."""
    ax, ay, az = a.detach().unsqueeze(-1).unbind(-2)
    bx, by, bz = b.detach().transpose(-1, -2).contiguous().unsqueeze(-3).unbind(-2)
    total = (ax - bx).square_()
    axis = ay - by
    total += axis.square_()
    torch.sub(az, bz, out=axis)
    total += axis.square_()
    return total

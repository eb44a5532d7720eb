"""The same searches by other packages, where these are installed: none of them is needed.

Each takes and gives what suits itself: turning a cloud into its own form is not timed, building its tree is. Their
answers are not always ours: see docs/benchmarks.md.
"""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from scipy.spatial import KDTree
from torch import Tensor

Search = Callable[[], object]


def farthest_points(cloud: Tensor, count: int) -> dict[str, Search]:
    """Of a cloud (1, points, 3), from its first point."""
    array, found = cloud[0].numpy(), {}
    fpsample, quickfps, open3d = (_installed(name) for name in ("fpsample", "torch_quickfps", "open3d"))
    if fpsample is not None:
        found["fpsample"] = lambda: fpsample.fps_sampling(array, count, start_idx=0)
    if quickfps is not None:
        found["torch_quickfps"] = lambda: quickfps.sample_idx(cloud, count, start_idx=0)
    if open3d is not None:
        points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(array.astype("float64")))
        found["open3d"] = lambda: points.farthest_point_down_sample(count, 0)
    return found


def nearest(queries: Tensor, cloud: Tensor, k: int) -> dict[str, Search]:
    """The k nearest points of a cloud (1, points, 3) to queries (1, queries, 3)."""
    array, asked = cloud[0].numpy(), queries[0].numpy()
    found: dict[str, Search] = {"scipy": lambda: KDTree(array).query(asked, k)}

    def search(tree: Any, wanted: Any) -> object:
        tree.knn_index()
        return tree.knn_search(wanted, k)

    return found | _by_open3d("open3d", queries, cloud, search)


def balls(queries: Tensor, cloud: Tensor, radius: float, size: int) -> dict[str, Search]:
    """Points of a cloud (1, points, 3) near queries (1, queries, 3): all of them (scipy), the nearest (open3d)."""
    array, asked = cloud[0].numpy(), queries[0].numpy()
    found: dict[str, Search] = {"scipy, all within": lambda: KDTree(array).query_ball_point(asked, radius)}

    def search(tree: Any, wanted: Any) -> object:
        tree.hybrid_index(radius)
        return tree.hybrid_search(wanted, radius, size)

    return found | _by_open3d("open3d, the nearest", queries, cloud, search)


def chamfer(a: Tensor, b: Tensor) -> dict[str, Search]:
    """Of pairs of clouds (pairs, points, 3), forward and backward."""
    module = _installed("torch_pointcloud.losses.chamfer")
    if module is None:
        return {}
    pair = torch.arange(len(a)).repeat_interleave(a.shape[1])

    def search() -> None:
        module.chamfer_distance(a.flatten(0, 1), b.flatten(0, 1), pred_batch=pair, target_batch=pair).backward()

    return {"torch_pointcloud": search}


def suppression(boxes: Tensor, scores: Tensor) -> dict[str, Search]:
    """Among boxes (boxes, 6), of IoU above 1/4."""
    module = _installed("torch_pointcloud.ops.box3d")
    upright = torch.cat([boxes, boxes.new_zeros(len(boxes), 1)], dim=1)
    return {} if module is None else {"torch_pointcloud": lambda: module.nms3d(upright, scores, 0.25)}


def _by_open3d(name: str, queries: Tensor, cloud: Tensor, search: Callable[[Any, Any], object]) -> dict[str, Search]:
    """A search by a tree that is built for it and the queries in its own form."""
    open3d = _installed("open3d")
    if open3d is None:
        return {}
    points, wanted = (open3d.core.Tensor(values[0].numpy()) for values in (cloud, queries))
    return {name: lambda: search(open3d.core.nns.NearestNeighborSearch(points), wanted)}


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

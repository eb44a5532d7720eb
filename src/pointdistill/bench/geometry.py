"""Are searches among points, distances of clouds and overlaps of boxes quick enough? One core, one thread, in turns
with the plain ways."""

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from pointdistill.bench import peers
from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.timing import Seconds, in_turns, on_one_core
from pointdistill.geometry import (
    ball_query,
    chamfer_l2,
    farthest_point_sample,
    gather,
    giou_3d,
    interpolate,
    knn,
    nms_3d,
    three_nearest,
)
from pointdistill.parallel import torch_threads
from pointdistill.seeding import numpy_generator

OURS, DISTANCES = "ours", "all distances, topk"
FPS_LIMITS = {(4096, 64): 0.7e-3, (8192, 256): 3e-3, (40_000, 2048): 100e-3}
"""(points, chosen) -> most seconds."""
KNN, BALL = (8192, 256, 32), (40_000, 2048, 64)
"""Points, queries, neighbours; the limit of both is the time of all distances and topk."""
INTERPOLATION = 20_000, 1024, 256
"""Points, centres, channels of semantic segmentation."""
CHAMFER = (608, 32), (16, 2048)
"""Clouds and points of each: 38 hidden patches of 16 clouds; whole clouds."""
BOXES = 8, 256, 32
"""Scenes, proposals, true boxes of a detector's loss; the suppression is of one scene's proposals."""
PLAIN = "plain torch"
RADIUS = 0.2
_ROUNDS, _CLOUDS = 7, 7
_LARGE = 40_000  # smaller clouds are measured in more rounds: their times are short and scatter more


def figures(rounds: int = _ROUNDS) -> list[Figure]:
    """Searches among the points of a made-up room, distances of clouds, overlaps of boxes, by the process's own
    milliseconds.

    The same by other packages is measured beside, where these are installed (`bench.peers`).

    Args:
        rounds: of the largest clouds; smaller ones take more.
    """
    with torch_threads(1):
        return on_one_core(
            lambda: [
                *_sampling(rounds),
                _neighbours(rounds),
                _balls(rounds),
                _interpolation(rounds),
                *(_chamfer(rounds, *sizes) for sizes in CHAMFER),
                *_boxes(rounds),
            ]
        )


def _sampling(rounds: int) -> list[Figure]:
    """Of several clouds each, so that no branch can be foreseen from the last time the same cloud came."""
    found = []
    for (points, count), most in FPS_LIMITS.items():
        searches: dict[str, list[Callable[[], object]]] = defaultdict(list)
        for seed in range(_CLOUDS):
            for name, search in _samplers(room(points, seed), count).items():
                searches[name].append(search)
        calls = {name: lambda each=each: [search() for search in each] for name, each in searches.items()}
        seconds = {
            name: Seconds(*(part / _CLOUDS for part in taken))
            for name, taken in in_turns(calls, max(1, rounds * _LARGE // points // _CLOUDS)).items()
        }
        found.append(_figure(f"farthest points, {count} of {points:,}", seconds, most))
    return found


def _samplers(cloud: Tensor, count: int) -> dict[str, Callable[[], object]]:
    return {
        OURS: lambda: farthest_point_sample(cloud, count),
        PLAIN: lambda: plain_farthest_points(cloud[0], count),
        **peers.farthest_points(cloud, count),
    }


def _neighbours(rounds: int) -> Figure:
    points, count, k = KNN
    cloud = room(points)
    queries = gather(cloud, farthest_point_sample(cloud, count))
    contenders = {
        OURS: lambda: knn(queries, cloud, k),
        DISTANCES: lambda: torch.cdist(queries, cloud).topk(k, largest=False).indices,
        **peers.nearest(queries, cloud, k),
    }
    return _figure(f"{k} nearest of {points:,} to {count}", _timed(contenders, rounds, points), DISTANCES)


def _balls(rounds: int) -> Figure:
    points, count, size = BALL
    cloud = room(points)
    queries = gather(cloud, farthest_point_sample(cloud, count))
    contenders = {
        OURS: lambda: ball_query(queries, cloud, RADIUS, size),
        DISTANCES: lambda: plain_balls(queries, cloud, RADIUS, size),
        **peers.balls(queries, cloud, RADIUS, size),
    }
    what = f"balls of {size} of {points:,} around {count:,}, radius {RADIUS}"
    return _figure(what, _timed(contenders, rounds, points), DISTANCES)


def _interpolation(rounds: int) -> Figure:
    """Forward and backward."""
    points, count, channels = INTERPOLATION
    cloud = room(points)
    centres = gather(cloud, farthest_point_sample(cloud, count))
    features = torch.randn(1, count, channels, requires_grad=True)

    def ours() -> None:
        near = three_nearest(cloud, centres)
        interpolate(features, near.index, near.weights).sum().backward()

    contenders = {OURS: ours, PLAIN: lambda: plain_interpolation(cloud, centres, features).sum().backward()}
    what = f"{channels} features of {count:,} centres to {points:,} points and back"
    return _figure(what, _timed(contenders, rounds, points), PLAIN)


def _chamfer(rounds: int, clouds: int, points: int) -> Figure:
    """Forward and backward."""
    a, b = torch.randn(2, clouds, points, 3)
    a.requires_grad_()
    contenders = {
        OURS: lambda: chamfer_l2(a, b).sum().backward(),
        PLAIN: lambda: plain_chamfer(a, b).sum().backward(),
        **peers.chamfer(a, b),
    }
    what = f"Chamfer distance of {clouds} pairs of {points:,} points and back"
    return _figure(what, _timed(contenders, rounds, _LARGE), PLAIN)


def _boxes(rounds: int) -> list[Figure]:
    scenes, proposals, true = BOXES
    a, b = made_up_boxes(scenes, proposals), made_up_boxes(scenes, true)
    a.requires_grad_()
    contenders = {
        OURS: lambda: giou_3d(a, b).sum().backward(),
        PLAIN: lambda: plain_giou(a, b).sum().backward(),
    }
    what = f"GIoU of {proposals} with {true} boxes and back, {scenes} scenes"
    found = [_figure(what, _timed(contenders, rounds, _LARGE), PLAIN)]
    one, scores = a[0].detach(), torch.rand(proposals)
    contenders = {OURS: lambda: nms_3d(one, scores), PLAIN: lambda: plain_nms(one, scores)}
    contenders |= peers.suppression(one, scores)
    return [*found, _figure(f"suppression among {proposals} boxes", _timed(contenders, rounds, _LARGE), PLAIN)]


def _timed(contenders: Mapping[str, Callable[[], object]], rounds: int, points: int) -> dict[str, Seconds]:
    return in_turns(contenders, rounds * max(1, _LARGE // points))


def _figure(what: str, seconds: Mapping[str, Seconds], most: float | str) -> Figure:
    """`most`: own seconds that ours may take, or the name of who may not be quicker."""
    ours = seconds[OURS]
    limit = f"{most} or less" if isinstance(most, str) else f"{most * 1e3:g} ms or less"
    held = ours.own <= (seconds[most].own if isinstance(most, str) else most)
    others = {name: taken.own * 1e3 for name, taken in seconds.items() if name != OURS}
    return Figure(what, ours.own * 1e3, "ms", others, Limit(limit, held), f"by the clock {ours.elapsed * 1e3:.2f}")


def plain_farthest_points(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling of one cloud (points, 3) as one writes it down."""
    nearest = points.new_full((len(points),), torch.inf)
    chosen = torch.zeros(count, dtype=torch.int64)
    for step in range(1, count):
        nearest = torch.minimum(nearest, (points - points[chosen[step - 1]]).square().sum(-1))
        chosen[step] = nearest.argmax()
    return chosen


def plain_balls(queries: Tensor, points: Tensor, radius: float, size: int) -> Tensor:
    """Ball query by all distances: the lowest indices of those within the radius, the first in place of the missing."""
    available = points.shape[1]
    numbers = torch.arange(available, dtype=torch.int32)
    index = torch.where(torch.cdist(queries, points) < radius, numbers, available)
    index = index.topk(size, largest=False, sorted=True).values
    return torch.where(index < available, index, index[..., :1])


def plain_interpolation(queries: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    """Three nearest by all distances, gathered and summed."""
    distances, index = torch.cdist(queries, centres).topk(3, largest=False)
    inverse = 1 / (distances.square() + 1e-8)
    weights = inverse / inverse.sum(-1, keepdim=True)
    return (gather(features, index) * weights[..., None]).sum(2)


def plain_chamfer(a: Tensor, b: Tensor) -> Tensor:
    """By all distances."""
    distances = (a[:, :, None] - b[:, None]).square().sum(-1)
    return distances.amin(2).mean(1) + distances.amin(1).mean(1)


def plain_giou(a: Tensor, b: Tensor) -> Tensor:
    """By broadcasting corners of boxes (centre, size)."""
    first, second = a[:, :, None], b[:, None]
    low = torch.stack([each[..., :3] - each[..., 3:6] / 2 for each in torch.broadcast_tensors(first, second)])
    high = torch.stack([each[..., :3] + each[..., 3:6] / 2 for each in torch.broadcast_tensors(first, second)])
    overlap = (high.amin(0) - low.amax(0)).clamp(min=0).prod(-1)
    hull = (high.amax(0) - low.amin(0)).prod(-1)
    union = first[..., 3:6].prod(-1) + second[..., 3:6].prod(-1) - overlap
    return overlap / union - (hull - union) / hull


def plain_nms(boxes: Tensor, scores: Tensor, threshold: float = 0.25) -> Tensor:
    """Best first, those that overlap with it crossed out, one by one."""
    order, kept = scores.argsort(descending=True, stable=True), []
    low, high = boxes[:, :3] - boxes[:, 3:6] / 2, boxes[:, :3] + boxes[:, 3:6] / 2
    volume = boxes[:, 3:6].prod(-1)
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        overlap = (torch.minimum(high[best], high[rest]) - torch.maximum(low[best], low[rest])).clamp(min=0).prod(-1)
        order = rest[overlap / (volume[best] + volume[rest] - overlap) <= threshold]
    return torch.stack(kept)


def made_up_boxes(scenes: int, count: int) -> Tensor:
    """Boxes (scenes, count, 6) in a room: centre, size, metres."""
    generator = torch.Generator().manual_seed(count)
    centre = torch.rand(scenes, count, 3, generator=generator) * torch.tensor([6.0, 5.0, 1.5])
    return torch.cat([centre, 0.3 + 1.7 * torch.rand(scenes, count, 3, generator=generator)], dim=-1)


def room(points: int, seed: int = 0) -> Tensor:
    """A cloud (1, points, 3), in metres: floor, four walls and twenty blocks of a room of 6 x 5 x 2.6 m, evenly
    covered, in random order."""
    generator = numpy_generator(seed, "bench", "room")
    lower = np.concatenate([np.zeros((1, 3)), generator.uniform(0, [5, 4, 1], (20, 3))])
    edges = np.concatenate([[[6, 5, 2.6]], generator.uniform(0.2, 1.0, (20, 3))])
    # Faces: (box, axis, side). The first box is the room itself, which has no ceiling.
    box, axis, side = (values.ravel() for values in np.mgrid[:21, :3, :2])
    areas = edges.prod(1)[box] / edges[box, axis] * ~((box == 0) & (axis == 2) & (side == 1))
    face = generator.choice(len(areas), points, p=areas / areas.sum())
    place = generator.uniform(size=(points, 3))
    place[np.arange(points), axis[face]] = side[face]
    cloud = lower[box[face]] + place * edges[box[face]]
    return torch.from_numpy(cloud.astype(np.float32))[None]

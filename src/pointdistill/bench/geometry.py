"""Are the exact searches among points quick enough? One cloud, one core, one thread, in turns with the plain ways."""

import importlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.timing import Seconds, in_turns, on_one_core
from pointdistill.geometry import ball_query, farthest_point_sample, gather, knn
from pointdistill.parallel import torch_threads
from pointdistill.seeding import numpy_generator

OURS, DISTANCES = "ours", "all distances, topk"
FPS_LIMITS = {(4096, 64): 0.7e-3, (8192, 256): 3e-3, (40_000, 2048): 100e-3}
"""(points, chosen) -> most seconds."""
KNN, BALL = (8192, 256, 32), (40_000, 2048, 64)
"""Points, queries, neighbours; the limit of both is the time of all distances and topk."""
RADIUS = 0.2
_ROUNDS = 7
_LARGE = 40_000  # smaller clouds are measured in more rounds: their times are short and scatter more


def figures(rounds: int = _ROUNDS) -> list[Figure]:
    """Farthest point sampling, nearest neighbours and ball query on a made-up room, by the thread's own milliseconds.

    The exact samplers of fpsample and torch-quickfps are measured beside, where those packages are installed.

    Args:
        rounds: of the largest clouds; smaller ones take more.
    """
    with torch_threads(1):
        return on_one_core(lambda: [*_sampling(rounds), _neighbours(rounds), _balls(rounds)])


def _sampling(rounds: int) -> list[Figure]:
    found = []
    for (points, count), most in FPS_LIMITS.items():
        cloud = room(points)
        contenders: dict[str, Callable[[], object]] = {
            OURS: lambda cloud=cloud, count=count: farthest_point_sample(cloud, count),
            "plain torch": lambda cloud=cloud, count=count: plain_farthest_points(cloud[0], count),
        }
        array = cloud[0].numpy()
        for name, given in (("fpsample", array), ("torch_quickfps", cloud)):
            peer = _peer(name)
            if peer is not None:
                contenders[name] = lambda peer=peer, given=given, count=count: peer(given, count, start_idx=0)
        found.append(_figure(f"farthest points, {count} of {points:,}", _timed(contenders, rounds, points), most))
    return found


def _neighbours(rounds: int) -> Figure:
    points, count, k = KNN
    cloud = room(points)
    queries = gather(cloud, farthest_point_sample(cloud, count))
    contenders = {
        OURS: lambda: knn(queries, cloud, k),
        DISTANCES: lambda: torch.cdist(queries, cloud).topk(k, largest=False).indices,
    }
    return _figure(f"{k} nearest of {points:,} to {count}", _timed(contenders, rounds, points))


def _balls(rounds: int) -> Figure:
    points, count, size = BALL
    cloud = room(points)
    queries = gather(cloud, farthest_point_sample(cloud, count))
    contenders = {
        OURS: lambda: ball_query(queries, cloud, RADIUS, size),
        DISTANCES: lambda: plain_balls(queries, cloud, RADIUS, size),
    }
    what = f"balls of {size} of {points:,} around {count:,}, radius {RADIUS}"
    return _figure(what, _timed(contenders, rounds, points))


def _timed(contenders: Mapping[str, Callable[[], object]], rounds: int, points: int) -> dict[str, Seconds]:
    return in_turns(contenders, rounds * max(1, _LARGE // points))


def _figure(what: str, seconds: Mapping[str, Seconds], most: float | None = None) -> Figure:
    """`most`: own seconds that ours may take; None: what all distances and topk take."""
    ours = seconds[OURS]
    held = ours.own <= (seconds[DISTANCES].own if most is None else most)
    limit = f"{DISTANCES} or less" if most is None else f"{most * 1e3:g} ms or less"
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


def room(points: int) -> Tensor:
    """A cloud (1, points, 3), in metres: floor, four walls and twenty blocks of a room of 6 x 5 x 2.6 m, evenly
    covered, in random order."""
    generator = numpy_generator(0, "bench", "room")
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


def _peer(name: str) -> Callable[..., object] | None:
    """Another package's exact sampler, where that is installed."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return module.fps_sampling if name == "fpsample" else module.sample_idx

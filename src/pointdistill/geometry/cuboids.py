"""Random cuboids of whole batches of clouds: keep one, leave one out (DepthContrast, Zhang et al., ICCV 2021,
section 3.2). All numbers are given: nothing is drawn here."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pointdistill.geometry.patches import gather


def random_cuboid(
    points: Float[Tensor, "batch points 3"],
    numbers: Float[Tensor, "batch tries 4"],
    crop: tuple[float, float] = (0.5, 1.0),
    aspect: float = 0.75,
    least: float = 0.2,
) -> Bool[Tensor, "batch points"]:
    """Which points lie in an axis-aligned cuboid around one of them: the first of those tried that will do, or the one
    that keeps most points.

    Args:
        points: clouds.
        numbers: uniform in [0, 1); of each try, three for the edges and one for the point in the centre.
        crop: range of an edge as a share of the cloud's extent.
        aspect: of two of a cuboid's three shares, the smaller is at least this part of the larger.
        least: share of the points that are to be kept.
    """
    low, high = points.amin(1), points.amax(1)
    share = crop[0] + (crop[1] - crop[0]) * numbers[..., :3]
    half = (high - low)[:, None] * share / 2
    centre = gather(points, (numbers[..., 3] * points.shape[1]).long())
    kept = ((points[:, None] - centre[:, :, None]).abs() <= half[:, :, None]).all(-1)
    sizes = share.sort(dim=-1).values
    count = kept.sum(-1) * ((sizes[..., :-1] / sizes[..., 1:]).amax(-1) >= aspect)
    tries = torch.arange(numbers.shape[1], device=points.device)
    good = count >= least * points.shape[1]
    chosen = torch.where(good, points.shape[1] + numbers.shape[1] - tries, count).argmax(1)
    return kept[torch.arange(len(points), device=points.device), chosen]


def drop_cuboid(
    points: Float[Tensor, "batch points 3"],
    kept: Bool[Tensor, "batch points"],
    number: Float[Tensor, " batch"],
    edge: float,
) -> Bool[Tensor, "batch points"]:
    """The points kept that do not lie inside an axis-aligned cuboid around one of them; some always do not.

    Args:
        points: clouds.
        kept: which of the points there are.
        number: uniform in [0, 1); chooses the centre among the points kept.
        edge: the cuboid's edges as a share, below 1, of the extent of the points kept.
    """
    low = points.masked_fill(~kept[..., None], float("inf")).amin(1)
    high = points.masked_fill(~kept[..., None], float("-inf")).amax(1)
    place = (number * kept.sum(1)).long() + 1
    centre = gather(points, ((kept.cumsum(1) == place[:, None]) & kept).int().argmax(1)[:, None])
    inside = ((points - centre).abs() < ((high - low) * edge / 2)[:, None]).all(-1)
    return kept & ~inside

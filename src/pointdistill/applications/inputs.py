"""What the functions for single clouds take: arrays, tensors, files, or several of them of any sizes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from pointdistill.applications.clouds import read_cloud, unit_cloud
from pointdistill.datasets.axes import Axis
from pointdistill.errors import DataError

Cloud = np.ndarray | Tensor | str | Path
"""A cloud: an array or a tensor of shape (points, 3), or a file that `read_cloud` reads."""
BATCH = 16
"""Clouds that a network is given at a time."""
UNNAMED = "point cloud"
"""What errors call a cloud that is no file, with its number where there are several."""


def as_array(cloud: Cloud, name: str = UNNAMED) -> Num[np.ndarray, "points 3"]:
    """A cloud's points, in its own frame, unit and precision.

    Args:
        cloud: an array, a tensor on any device, or a file.
        name: what errors call it where it is no file.

    Raises:
        DataError: another shape than (points, 3), no numbers, or as `read_cloud`.
    """
    if isinstance(cloud, str | Path):
        return read_cloud(cloud)
    if isinstance(cloud, Tensor):
        cloud = cloud.detach().cpu()
        array = (cloud.float() if cloud.dtype == torch.bfloat16 else cloud).numpy()
    else:
        array = cloud
    if not isinstance(array, np.ndarray):
        raise DataError(name, f"is of type {type(array).__name__}", "Give an array, a tensor or the path of a file")
    if array.ndim == 3 and array.shape[2] == 3:
        raise DataError(name, f"is a batch {array.shape}", "Give list(points), a list of clouds, for an answer of each")
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        remedy = "Give numbers of shape (points, 3), for instance points[:, :3]"
        raise DataError(name, f"is {array.dtype} {array.shape}", remedy)
    return array


def is_one(clouds: Cloud | Sequence[Cloud]) -> bool:
    """Whether it is a cloud, not a sequence of them."""
    return not isinstance(clouds, list | tuple)


def named_arrays(clouds: Cloud | Sequence[Cloud]) -> Iterator[tuple[str, Num[np.ndarray, "points 3"]]]:
    """Each cloud with what errors call it, read when it is asked for.

    Raises:
        DataError: as `as_array`.
    """
    if isinstance(clouds, list | tuple):
        for number, cloud in enumerate(clouds):
            name = str(cloud) if isinstance(cloud, str | Path) else f"{UNNAMED} {number}"
            yield name, as_array(cloud, name)
    else:
        yield str(clouds) if isinstance(clouds, str | Path) else UNNAMED, as_array(clouds)  # type: ignore[arg-type]


def unit_clouds(
    clouds: Cloud | Sequence[Cloud], points: int | None = None, up: Axis | None = None
) -> list[Float[Tensor, "_ 3"]]:
    """Clouds as a backbone takes them: their mean at the origin, within the unit sphere, float32.

    A backbone takes the list as it is, whatever the sizes; with `points` given `torch.stack` makes one tensor of it.
    Points that are not finite are left out; the others keep their order.

    Args:
        clouds: one or several, in any unit.
        points: draw so many of each, always the same ones; some more than once where there are fewer.
        up: which axis points up in them: they are turned to have z up, as backbones pre-trained in the gravity frame
            know clouds. None leaves them as they lie.

    Raises:
        DataError: a cloud that cannot be read, has no finite points, or all of them in one place.

    >>> small, large = unit_clouds([np.random.rand(100, 3), torch.rand(2000, 3)])
    >>> small.shape, large.shape
    (torch.Size([100, 3]), torch.Size([2000, 3]))
    """
    return [unit_cloud(array, up, "gravity", points, name=name).points for name, array in named_arrays(clouds)]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and as it was afterwards."""
    was = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was)

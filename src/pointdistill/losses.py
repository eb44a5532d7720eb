"""What every trained thing returns: the scalar to minimise and its named parts."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Losses(NamedTuple):
    """The scalar to minimise and its named parts (before their weights), for the log."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]

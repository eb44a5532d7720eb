"""Whether coordinates are numbers, asked where asking costs no waiting for a device."""

import math

from jaxtyping import Shaped
from torch import Tensor


def finite(values: Shaped[Tensor, "*shape"]) -> bool:
    """Whether no number is NaN or infinite: the smallest and the largest tell, in one pass without memory."""
    return not values.numel() or all(math.isfinite(value.item()) for value in values.aminmax())

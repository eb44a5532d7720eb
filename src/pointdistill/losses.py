"""What every trained thing returns: the scalar to minimise and its named parts."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pointdistill import distributed
from pointdistill.errors import RecipeError


class Losses(NamedTuple):
    """The scalar to minimise and its named parts (before their weights), for the log."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]

    def named(self) -> dict[str, Float[Tensor, ""]]:
        """The scalar as "loss", and the parts: a row of the log."""
        return {"loss": self.total, **self.parts}

    def over_all(self, share: float | Float[Tensor, ""]) -> "Losses":
        """The same over the whole batch, of which these are a `share` (`distributed.share`), without gradients."""
        sums = distributed.summed(torch.stack([self.total, *self.parts.values()]).detach().float() * share)
        return Losses(sums[0], dict(zip(self.parts, sums[1:], strict=True)))


def require_losses(found: Any, owner: str) -> Losses:
    """What a method or task returned, if it is losses.

    Args:
        owner: whose, for the error.

    Raises:
        RecipeError: it is something else, or a loss is no single number with a gradient.
    """
    if not isinstance(found, Losses):
        raise RecipeError(f"{owner} returned {type(found).__name__}. Return losses.Losses(total, parts)")
    wrong = next((name for name, value in found.named().items() if getattr(value, "shape", None) != ()), None)
    if wrong is not None or not found.total.requires_grad:
        what = "the total follows from no weight" if wrong is None else f"{wrong!r} is no single number"
        raise RecipeError(f"{owner}: {what}. Return losses.Losses(total, parts), each a scalar tensor")
    return found

"""What every trained thing returns: the scalar to minimise and its named parts."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pointdistill import distributed


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

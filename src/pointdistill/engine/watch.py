"""Whether training stays finite, without making the device wait for the answer at every step."""

import torch
from jaxtyping import Float
from torch import Tensor

PATIENCE = 10
"""Steps between two looks where looking means waiting for a device."""


class FiniteWatch:
    """Keeps, on the device, whether a loss or gradient norm has been infinite or NaN, and the first that was.

    From that step on `found` is 1, and an optimiser that is told of it (`guard`) leaves the weights as they were: a
    look that comes later still finds the last good ones.

    Args:
        device: where the losses are.
        every: steps between two looks; None: each step on CPUs, `PATIENCE` elsewhere.
    """

    def __init__(self, device: str | torch.device, every: int | None = None):
        waits = torch.device(device).type != "cpu"
        self.every = every or (PATIENCE if waits else 1)
        self.found = torch.zeros((), device=device)
        self.first = torch.zeros(3, device=device)

    def guard(self, optimizer: torch.optim.Optimizer) -> None:
        """Let a fused optimiser pass over all updates from the first bad step on."""
        optimizer.found_inf = self.found  # type: ignore[attr-defined]

    def see(self, step: int, loss: Float[Tensor, ""], norm: Float[Tensor, ""]) -> None:
        """Take a step's loss and gradient norm into account, before the optimiser's turn."""
        bad = ~(torch.isfinite(loss) & torch.isfinite(norm))
        told = torch.stack([torch.full_like(loss, step).float(), loss.float(), norm.float()])
        self.first = torch.where(bad & (self.found == 0), told, self.first)
        self.found.copy_(torch.maximum(self.found, bad.to(self.found.dtype)))

    def due(self, done: int) -> bool:
        """Whether it is time to wait for the device, after so many steps."""
        return done % self.every == 0

    def bad_step(self, done: int, must: bool) -> tuple[int, float, float] | None:
        """The first bad step, its loss and its norm, if there was one.

        Args:
            done: steps taken so far.
            must: look now, whatever `every` says.
        """
        if not (must or self.due(done)) or not self.found:
            return None
        step, loss, norm = self.first.tolist()
        return int(step), loss, norm

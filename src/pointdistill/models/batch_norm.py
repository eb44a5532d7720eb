"""BatchNorm whose statistics are those of the whole batch, however many processes share it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill import distributed


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` over (batch, channels, columns), with statistics over the batch of all processes.

    In a single process, and in evaluation, it is `nn.BatchNorm1d`; parameters and buffers are called the same. (torch's
    own SyncBatchNorm refuses tensors on CPUs.) The processes' shares of a batch may differ in size; gradients flow
    through the statistics to every process, so that forward, gradients and running statistics equal those of one
    process up to rounding.
    """

    def forward(self, x: Float[Tensor, "batch channels columns"]) -> Float[Tensor, "batch channels columns"]:
        if not (self.training and distributed.is_active()):
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # sums of half precision would lose the small ones
        own = wide.new_full((1,), x.shape[0] * x.shape[2])
        total, count = distributed.summed(torch.cat([wide.sum((0, 2)), own])).split([x.shape[1], 1])
        mean = total / count
        centred = wide - mean[:, None]
        variance = distributed.summed(centred.square().sum((0, 2))) / count
        self._remember(mean.detach(), variance.detach() * (count / (count - 1)).detach())
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None] + self.bias[:, None]).to(x.dtype)

    def folded(
        self,
        weight: Float[Tensor, "channels before"],
        bias: Float[Tensor, " channels"] | None,
        x: Float[Tensor, "batch before columns"],
    ) -> tuple[Float[Tensor, "channels before"], Float[Tensor, " channels"]]:
        """A linear layer on `x` and this layer after it, as the weight and bias of a single linear layer.

        In training the statistics of the linear layer's output follow from the mean and the covariance of what it
        reads: its output is not gone through for them, which pays where `x` has few channels. A constant, the linear
        layer's bias, gets the gradient that it has: none.

        Raises:
            ValueError: training, and a single column or none in all.
        """
        # In double precision: little work, on which all that follows depends. Autocast leaves it alone.
        linear, start = weight.double(), 0.0 if bias is None else bias.double()
        if self.training:
            if not distributed.is_active() and x.shape[0] * x.shape[2] < 2:  # as torch's own says it
                raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.size()}")
            before, covariance, count = _moments(x.double())
            mean, variance = linear @ before + start, (linear @ covariance * linear).sum(1)
            self._remember(mean.detach(), variance.detach() * (count / (count - 1)))
        else:
            assert self.running_mean is not None and self.running_var is not None
            mean, variance = self.running_mean.double(), self.running_var.double()
        scale = (variance + self.eps).rsqrt() * self.weight
        return (linear * scale[:, None]).to(weight.dtype), ((start - mean) * scale + self.bias).to(weight.dtype)

    @torch.no_grad()
    def _remember(self, mean: Float[Tensor, " channels"], variance: Float[Tensor, " channels"]) -> None:
        """Running statistics as torch keeps them: of the unbiased variance."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None and self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


def _moments(
    x: Float[Tensor, "batch channels columns"],
) -> tuple[Float[Tensor, " channels"], Float[Tensor, "channels channels"], Float[Tensor, ""]]:
    """Mean and covariance over batch and columns of all processes, and how many columns these are."""
    rows = x.transpose(0, 1).flatten(1)
    total = distributed.summed(torch.cat([rows.sum(1), rows.new_full((1,), rows.shape[1])]))
    mean, count = total[:-1] / total[-1], total[-1].detach()
    centred = rows - mean[:, None]
    return mean, distributed.summed(centred @ centred.t()) / count, count

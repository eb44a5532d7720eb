"""Pre-norm attention blocks: self-attention for the point tokens, cross-attention for the concepts (eqs. 5-7, 13)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

_FEW_TOKENS = 128


def initialise(module: nn.Module) -> None:
    """Truncated normal 0.02 for linear layers, zero biases (Point-MAE). For `module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def drop_path(
    x: Float[Tensor, "batch tokens width"], rate: float, noise: Float[Tensor, "batch"] | None
) -> Float[Tensor, "batch tokens width"]:
    """Stochastic depth: with probability `rate` a sample's residual branch is left out, else scaled by 1/(1 - rate).

    Args:
        x: the branch's output.
        rate: probability of leaving it out; 0 returns x.
        noise: one uniform number in [0, 1) a sample; None draws from torch's default generator.
    """
    if rate == 0.0:
        return x
    return x * (_keeps(x, rate, noise).to(x.dtype) / (1.0 - rate))[:, None, None]


def _keeps(
    x: Float[Tensor, "batch tokens width"], rate: float, noise: Float[Tensor, "batch"] | None
) -> Bool[Tensor, "batch"]:
    return (torch.rand(x.shape[0], device=x.device) if noise is None else noise) >= rate


def attend(
    queries: Float[Tensor, "batch heads count channels"],
    keys: Float[Tensor, "batch heads tokens channels"],
    values: Float[Tensor, "batch heads tokens channels"],
) -> Float[Tensor, "batch heads count channels"]:
    """Attention of each head (eq. 13)."""
    if keys.device.type == "cpu" and keys.shape[2] <= _FEW_TOKENS:
        # Torch's kernel saves memory that is none here, and takes several times as long as the products.
        weights = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
        return weights.softmax(-1) @ values
    return F.scaled_dot_product_attention(queries, keys, values)


class FeedForward(nn.Module):
    """Linear, GELU, Linear with a hidden width of `ratio` times the width."""

    def __init__(self, width: int, ratio: int = 4):
        super().__init__()
        self.expand = nn.Linear(width, ratio * width)
        self.contract = nn.Linear(ratio * width, width)

    def forward(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """Each token by itself."""
        return self.contract(F.gelu(self.expand(x)))


class SelfAttention(nn.Module):
    """Multi-head self-attention (eq. 13), one fused projection without bias (Point-MAE)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """All tokens to all tokens."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(attend(q, k, v).transpose(1, 2).reshape(batch, tokens, width))


class CrossAttention(nn.Module):
    """Multi-head attention of queries to another sequence."""

    def __init__(self, width: int, heads: int, context_width: int | None = None):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(context_width or width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        queries: Float[Tensor, "batch queries width"],
        context: Float[Tensor, "batch tokens context_width"],
        positions: Float[Tensor, "batch tokens context_width"] | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """Queries read the context; `positions`, where given, are added to what the keys are made from, and to nothing
        else."""
        return self.read(queries, *self.keys_values(context, positions))

    def keys_values(
        self,
        context: Float[Tensor, "batch tokens context_width"],
        positions: Float[Tensor, "batch tokens context_width"] | None = None,
    ) -> tuple[Float[Tensor, "batch heads tokens channels"], Float[Tensor, "batch heads tokens channels"]]:
        """What queries read; arguments as `forward`'s."""
        key_value = self.key_value(context)
        if positions is not None:
            width = key_value.shape[2] // 2
            key_value = key_value + F.pad(F.linear(positions, self.key_value.weight[:width]), (0, width))
        key_value = key_value.view(*context.shape[:2], 2, self.heads, -1)
        keys, values = key_value.permute(2, 0, 3, 1, 4).unbind(0)
        return keys, values

    def read(
        self,
        queries: Float[Tensor, "batch queries width"],
        keys: Float[Tensor, "batch heads tokens channels"],
        values: Float[Tensor, "batch heads tokens channels"],
    ) -> Float[Tensor, "batch queries width"]:
        """Queries read keys and values."""
        batch, count, width = queries.shape
        q = self.query(queries).view(batch, count, self.heads, -1).transpose(1, 2)
        return self.out(attend(q, keys, values).transpose(1, 2).reshape(batch, count, width))

    def weights(
        self, queries: Float[Tensor, "batch queries width"], context: Float[Tensor, "batch tokens context_width"]
    ) -> Float[Tensor, "batch heads queries tokens"]:
        """How much each query reads of each token, the sum over tokens being 1: to look at, not to train by.

        `forward` never holds them as a whole, so they are computed anew.
        """
        batch, count, _ = queries.shape
        q = self.query(queries).view(batch, count, self.heads, -1).transpose(1, 2)
        k = self.key_value(context).view(batch, context.shape[1], 2, self.heads, -1)[:, :, 0].transpose(1, 2)
        return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + ffn(norm(x)), with stochastic depth.

    Args:
        width: token width.
        heads: attention heads.
        drop_path_rate: stochastic depth.
        normed_residual: add to norm(x) instead of x, in both places (ReCon's blocks).
    """

    def __init__(self, width: int, heads: int, drop_path_rate: float = 0.0, normed_residual: bool = False):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.ffn = FeedForward(width)
        self.drop_path_rate = drop_path_rate
        self.normed_residual = normed_residual

    def forward(
        self, x: Float[Tensor, "batch tokens width"], noise: Float[Tensor, "batch 2"] | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """`noise` decides the stochastic depth of the two branches; see `drop_path`."""
        first, second = (None, None) if noise is None else noise.unbind(1)
        x = self._with_branch(x, self.norm1, self.attention, first)
        return self._with_branch(x, self.norm2, self.ffn, second)

    def _with_branch(
        self,
        x: Float[Tensor, "batch tokens width"],
        norm: nn.Module,
        branch: nn.Module,
        noise: Float[Tensor, "batch"] | None,
    ) -> Float[Tensor, "batch tokens width"]:
        rate = self.drop_path_rate if self.training else 0.0
        if self.normed_residual:
            normed = norm(x)
            return normed + drop_path(branch(normed), rate, noise)
        if rate == 0.0 or x.device.type != "cpu" or torch.compiler.is_compiling():
            return x + drop_path(branch(norm(x)), rate, noise)
        # What is left out need not run. Elsewhere the number of samples would have to be waited for.
        kept = _keeps(x, rate, noise).nonzero()[:, 0]
        return x.index_add(0, kept, branch(norm(x[kept])).to(x.dtype), alpha=1.0 / (1.0 - rate))

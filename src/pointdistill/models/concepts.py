"""Concept extraction (paper section 3.2, eqs. 5-8): learnable prototypes read the backbone layer by layer."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.models.blocks import CrossAttention, FeedForward, initialise
from pointdistill.models.point_transformer import Trace


@dataclass(frozen=True)
class ConceptConfig:
    """Concept extraction; the defaults follow the paper.

    Attributes:
        count: number of concept tokens k_con (Table 8).
        heads: attention heads.
        tie_layers: one cross-attention block for all layers (Appendix A.1); False gives each layer its own.
        attend: what the concepts read at layer i: "block_input" is eq. 6 to the letter (then the last
            self-attention block gets no gradient and is not run), "block_output" lets all blocks learn.
        prototype_std: spread of the prototypes at the start (1 in the concept tokenizer the paper cites).
        norm_output: LayerNorm over the concepts before the projector.
        unit_start: scale the cross-attention's layers at the start so that what a concept reads is as large as what
            it is; False is the truncated normal 0.02 of the backbone (benchmarks/concept_start.py compares them).
    """

    count: int = 32
    heads: int = 6
    tie_layers: bool = True
    attend: Literal["block_input", "block_output"] = "block_input"
    prototype_std: float = 1.0
    norm_output: bool = False
    unit_start: bool = False


class ConceptBlock(nn.Module):
    """C_out = CrossAttention(C_in, F, F) with residual, followed by an FFN (eq. 6), pre-norm."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm_concepts = nn.LayerNorm(width)
        self.norm_features = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.norm_ffn = nn.LayerNorm(width)
        self.ffn = FeedForward(width)

    def forward(
        self, concepts: Float[Tensor, "batch concepts width"], features: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch concepts width"]:
        """Concepts are the queries; there is no attention among concepts."""
        return self.read(concepts, *self.keys_values(features))

    def keys_values(
        self, features: Float[Tensor, "batch tokens width"]
    ) -> tuple[Float[Tensor, "batch heads tokens channels"], Float[Tensor, "batch heads tokens channels"]]:
        """What concepts read of features."""
        return self.attention.keys_values(self.norm_features(features))

    def read(
        self,
        concepts: Float[Tensor, "batch concepts width"],
        keys: Float[Tensor, "batch heads tokens channels"],
        values: Float[Tensor, "batch heads tokens channels"],
    ) -> Float[Tensor, "batch concepts width"]:
        """Concepts that have read."""
        concepts = concepts + self.attention.read(self.norm_concepts(concepts), keys, values)
        return concepts + self.ffn(self.norm_ffn(concepts))

    def weights(
        self, concepts: Float[Tensor, "batch concepts width"], features: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch heads concepts tokens"]:
        """How much each concept reads of each token here (`CrossAttention.weights`)."""
        return self.attention.weights(self.norm_concepts(concepts), self.norm_features(features))


class ConceptExtractor(nn.Module):
    """Eq. 8: concept tokens from what every layer of the backbone reads (or writes).

    Args:
        config: settings.
        width: the backbone's width d; d_con = d.
        depth: number of the backbone's blocks.
    """

    def __init__(self, config: ConceptConfig, width: int, depth: int):
        super().__init__()
        self.config = config
        self.prototypes = nn.Parameter(torch.randn(config.count, width) * config.prototype_std)
        self.blocks = nn.ModuleList(ConceptBlock(width, config.heads) for _ in range(1 if config.tie_layers else depth))
        self.norm = nn.LayerNorm(width) if config.norm_output else nn.Identity()
        self.blocks.apply(initialise)
        if config.unit_start:
            for linear in (module for module in self.blocks.modules() if isinstance(module, nn.Linear)):
                nn.init.xavier_uniform_(linear.weight)

    def blocks_needed(self, depth: int) -> int:
        """How many self-attention blocks have to run for the concepts to read all they read."""
        return depth - 1 if self.config.attend == "block_input" else depth

    def forward(self, trace: Trace) -> Float[Tensor, "batch concepts width"]:
        """Read the features of each layer in turn."""
        features = self._features(trace)
        return self.norm(self._read(features, len(features[0])))

    def weights(self, trace: Trace) -> Float[Tensor, "batch concepts tokens"]:
        """How much each concept reads of each token at the last layer, the mean over heads; sums to 1 over tokens."""
        *earlier, last = self._features(trace)
        return self._block(len(earlier)).weights(self._read(earlier, len(last)), last).mean(1)

    def _read(
        self, features: list[Float[Tensor, "batch tokens width"]], batch: int
    ) -> Float[Tensor, "batch concepts width"]:
        """Concepts that have read the features of each layer in turn."""
        concepts = self.prototypes.expand(batch, -1, -1)
        if not features:
            return concepts
        if self.config.tie_layers:  # the same keys and values wherever concepts are: one product for all layers
            read = self._block(0).keys_values(torch.cat(features))
            layers = zip(*(part.split(batch) for part in read), strict=True)
        else:
            layers = (self._block(layer).keys_values(tokens) for layer, tokens in enumerate(features))
        for layer, (keys, values) in enumerate(layers):
            concepts = self._block(layer).read(concepts, keys, values)
        return concepts

    def _features(self, trace: Trace) -> list[Float[Tensor, "batch tokens width"]]:
        return trace.inputs if self.config.attend == "block_input" else trace.outputs

    def _block(self, layer: int) -> ConceptBlock:
        block = self.blocks[0 if self.config.tie_layers else layer]
        assert isinstance(block, ConceptBlock)
        return block

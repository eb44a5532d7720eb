"""The distillation's student as its formulas are written down, on the parameters of a `methods.distill.Distill`.

What the field's public code does, and what the package's own formulation is measured and tested against: convolutions
over (batch x patches, channels, points), global and local features concatenated, attention by its formula (eq. 13), one
linear layer each for queries, keys and values, all self-attention blocks.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.methods.distill import Distill
from pointdistill.models.blocks import Block, CrossAttention, SelfAttention
from pointdistill.models.concepts import ConceptBlock
from pointdistill.models.patch_embed import PatchEmbed
from pointdistill.models.point_transformer import PointTransformer

Tokens = Float[Tensor, "batch tokens width"]
Concepts = Float[Tensor, "batch concepts width"]


def plain_prefix(method: Distill, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch branches"]):
    """The predicted prefix in the units of the loss, for concepts with tied layers that read block inputs."""
    return method.projector(plain_concepts(method, plain_inputs(method.backbone, points, noise)))


def plain_inputs(
    backbone: PointTransformer, points: Float[Tensor, "batch points 3"], noise: Float[Tensor, "batch branches"]
) -> list[Tokens]:
    """What each block reads. Of the last block, which nobody reads here, the output is computed all the same."""
    patches = backbone.patches(points)
    tokens, positions = (
        plain_patch_embed(backbone.patch_embed, patches.patches),
        backbone.position_embed(patches.centres),
    )
    inputs = []
    for number, block in enumerate(backbone.blocks):
        assert isinstance(block, Block)
        inputs.append(tokens + positions)
        own = noise[:, 2 * number : 2 * number + 2]
        tokens = _block(block, inputs[-1], own if own.shape[1] else torch.ones_like(noise[:, :2]))
    return inputs


def plain_patch_embed(embed: PatchEmbed, patches: Float[Tensor, "batch groups size 3"]) -> Tokens:
    """Eq. 3 as Point-MAE writes it."""
    batch, groups, size, _ = patches.shape
    x = patches.reshape(batch * groups, size, 3).transpose(1, 2)
    x = _convolved(embed.local2, F.relu(embed.norm1(_convolved(embed.local1, x))))
    pooled = x.max(dim=2, keepdim=True).values.expand(-1, -1, size)
    x = _convolved(embed.out, F.relu(embed.norm2(_convolved(embed.merge, torch.cat([pooled, x], dim=1)))))
    return x.max(dim=2).values.view(batch, groups, -1)


def plain_concepts(method: Distill, inputs: list[Tokens]) -> Concepts:
    """Eqs. 6 and 8."""
    assert method.concepts is not None
    block = method.concepts.blocks[0]
    assert isinstance(block, ConceptBlock)
    concepts = method.concepts.prototypes.expand(len(inputs[0]), -1, -1).contiguous()
    for features in inputs:
        read = _cross(block.attention, block.norm_concepts(concepts), block.norm_features(features))
        concepts = concepts + read
        concepts = concepts + block.ffn(block.norm_ffn(concepts))
    return method.concepts.norm(concepts)


def _convolved(layer: nn.Linear, x: Float[Tensor, "patches channels points"]) -> Float[Tensor, "patches out points"]:
    return F.conv1d(x, layer.weight[:, :, None], layer.bias)


def _block(block: Block, x: Tokens, noise: Float[Tensor, "batch 2"]) -> Tokens:
    x = x + _dropped(block, _attend(block.attention, block.norm1(x)), noise[:, 0])
    return x + _dropped(block, block.ffn(block.norm2(x)), noise[:, 1])


def _dropped(block: Block, x: Tokens, noise: Float[Tensor, " batch"]) -> Tokens:
    rate = block.drop_path_rate if block.training else 0.0
    return x * ((noise >= rate).to(x.dtype) / (1 - rate))[:, None, None]


def _attend(attention: SelfAttention, x: Tokens) -> Tokens:
    q, k, v = (F.linear(x, weight) for weight in attention.qkv.weight.chunk(3))
    return attention.out(_weighted(q, k, v, attention.heads))


def _cross(attention: CrossAttention, queries: Concepts, context: Tokens) -> Concepts:
    k, v = (F.linear(context, weight) for weight in attention.key_value.weight.chunk(2))
    return attention.out(_weighted(attention.query(queries), k, v, attention.heads))


def _weighted(queries: Concepts, keys: Tokens, values: Tokens, heads: int) -> Concepts:
    """Eq. 13."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)

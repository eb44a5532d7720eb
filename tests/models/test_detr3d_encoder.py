from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from pointdistill.geometry import squared_distances
from pointdistill.models.detr3d_encoder import DETR3D, DETR3D_M, SceneTransformer

SMALL = replace(DETR3D, width=24, heads=2, ffn=12, tokens=32, radius=0.5, ball_size=8)
MASKED = replace(SMALL, masks=(0.3, 0.6, 1.0))


def scenes(count: int = 200, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, count, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([4.0, 3, 2])


def test_published_sizes() -> None:
    """Of the released checkpoints: 256 wide, 3 blocks, feed-forward 128; 3DETR-m halves its tokens."""
    block = 4 * (256 * 256 + 256) + 2 * 256 * 128 + 256 + 128 + 4 * 256
    tokens = sum(a * b + 2 * b for a, b in pairwise((3, 64, 128, 256)))
    halve = sum(a * b + 2 * b for a, b in pairwise((259, 256, 256, 256)))
    for config, expected in ((DETR3D, 3 * block + tokens), (DETR3D_M, 3 * block + tokens + halve)):
        assert sum(p.numel() for p in config.build().parameters()) == expected


def test_masked_tokens_see_their_surroundings_alone() -> None:
    torch.manual_seed(0)
    encoder, points = MASKED.build().eval(), scenes(batch=1)
    assert isinstance(encoder, SceneTransformer)
    found = encoder(points)
    assert found.tokens.shape == (1, 16, 24) and squared_distances(found.centres, points).amin(2).max() < 1e-12
    centres, tokens, _ = encoder.tokenise(points)
    changed = tokens.clone()
    changed[0, 5] += torch.randn(24)  # a constant would be the LayerNorm's to take out
    block = encoder.blocks[0]
    hidden = encoder._hidden(centres, 0)
    moved = (block(changed, hidden) - block(tokens, hidden)).abs().amax(-1)[0] > 1e-6
    near = (centres[0] - centres[0, 5]).norm(dim=-1) < 0.3
    assert torch.equal(moved, near) and 0 < near.sum() < len(near)
    assert bool(((block(changed) - block(tokens)).abs().amax(-1) > 1e-6).all()), "without a mask all see all"


def test_masks_must_fit() -> None:
    with pytest.raises(ValueError, match="2 masks for 3 blocks"):
        replace(SMALL, masks=(1.0, 2.0)).build()

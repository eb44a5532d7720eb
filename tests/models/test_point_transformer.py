import numpy as np
import pytest
import torch

from pointdistill import create_backbone
from pointdistill.bench.straightforward import plain_patch_embed
from pointdistill.models.blocks import drop_path
from pointdistill.models.patch_embed import PatchEmbed
from pointdistill.models.point_transformer import BACKBONES

TINY = {"width": 24, "depth": 3, "heads": 2, "groups": 8, "group_size": 4}


def tiny(**overrides):
    torch.manual_seed(0)
    return create_backbone("vit_nano", **{**TINY, **overrides})


def test_patch_embed_equals_the_straightforward_formulation_forward_and_backward():
    torch.manual_seed(0)
    embed = PatchEmbed(24).double()
    patches = torch.randn(2, 5, 7, 3, dtype=torch.float64)
    upstream = torch.randn(2, 5, 24, dtype=torch.float64)
    gradients = []
    for formulation in (embed, lambda p: plain_patch_embed(embed, p)):
        embed.zero_grad()
        out = formulation(patches)
        (out * upstream).sum().backward()
        gradients.append([out.detach(), *(p.grad.clone() for p in embed.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_vit_s_is_the_papers_backbone():
    config = BACKBONES["vit_s"]
    assert (config.width, config.depth, config.heads, config.groups, config.group_size) == (384, 12, 6, 64, 32)
    backbone = create_backbone("vit_s")
    assert backbone.patch_embed.local1.out_features == 128
    assert backbone.patch_embed.local2.out_features == 256
    assert backbone.patch_embed.merge.out_features == 512
    assert backbone.patch_embed.out.out_features == 384
    assert backbone.blocks[0].ffn.expand.out_features == 4 * 384


def test_features_have_the_promised_shapes_and_layers():
    backbone = tiny().eval()
    points = torch.randn(2, 64, 3)
    prepend = (torch.zeros(2, 1, 24), torch.zeros(2, 1, 24))
    features = backbone(points, layers=(1, 3), prepend=prepend)
    assert features.tokens.shape == (2, 9, 24)
    assert features.centres.shape == (2, 8, 3)
    assert [tuple(layer.shape) for layer in features.layers] == [(2, 9, 24)] * 2
    torch.testing.assert_close(backbone.norm(features.layers[1]), features.tokens)
    assert backbone(points, group_count=5, group_size=6).tokens.shape == (2, 5, 24)


def test_trace_inputs_are_outputs_plus_positions():
    backbone = tiny().eval()
    tokens, positions, _ = backbone.tokenise(torch.randn(2, 64, 3))
    trace = backbone.trace(tokens, positions, depth=2)
    assert (len(trace.inputs), len(trace.outputs)) == (3, 2)
    torch.testing.assert_close(trace.inputs[0], tokens + positions)
    torch.testing.assert_close(trace.inputs[2], trace.outputs[1] + positions)
    full = backbone.trace(tokens, positions)
    assert (len(full.inputs), len(full.outputs)) == (3, 3)


def test_position_is_added_to_the_input_of_every_block():
    backbone = tiny().eval()
    seen = []
    for block in backbone.blocks:
        block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    tokens, positions, _ = backbone.tokenise(torch.randn(1, 64, 3))
    outputs = backbone.trace(tokens, positions).outputs
    for entered, left in zip(seen[1:], outputs[:-1], strict=True):
        torch.testing.assert_close(entered, left + positions)


def test_cloud_order_changes_tokens_only_through_the_first_sampled_point():
    backbone = tiny().eval()
    points = torch.randn(1, 64, 3)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(63)])
    torch.testing.assert_close(backbone(points).tokens, backbone(points[:, order]).tokens, rtol=1e-4, atol=1e-5)


def test_drop_path_scales_what_it_keeps():
    x = torch.ones(4, 2, 3)
    kept = drop_path(x, 0.25, torch.tensor([0.1, 0.25, 0.5, 0.9]))
    np.testing.assert_allclose(kept[:, 0, 0], [0, 4 / 3, 4 / 3, 4 / 3], rtol=1e-6)
    assert drop_path(x, 0.0, None) is x


def test_bad_names_and_settings_are_named():
    with pytest.raises(ValueError, match="vit_s"):
        create_backbone("vit_q")
    with pytest.raises(ValueError, match="widht"):
        create_backbone("vit_s", widht=3)
    with pytest.raises(ValueError, match="divisible"):
        create_backbone("vit_s", width=100)

"""Both losses on one encoder: each alone at weight 0 of the other, and where the gradients go."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.engine.optim import adamw
from pointdistill.methods.base import Draw
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.distill_reconstruction import (
    MASKED_FEATURES,
    DistillReconstruction,
    DistillReconstructionConfig,
)
from pointdistill.methods.point_mae import PointMAE, PointMAEConfig
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.projector import ProjectorConfig

TINY = {"width": 24, "depth": 3, "heads": 2, "groups": 10, "group_size": 4, "drop_path": 0.5}
PREFIX = (4, 6)
DRAW = Draw(seed=0, epoch=2, index=np.arange(4))
MASKS = ["input", "output"]

# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(4, 64, 3, generator=generator)
    return FrameBatch(points, torch.randn(4, *PREFIX, generator=generator) + 3.0, torch.arange(4))


def config(mask_at="output", attend="block_input", weights=(1.0, 1.0)):
    distill = DistillConfig(ConceptConfig(count=5, heads=2, attend=attend), ProjectorConfig(hidden=16), "scalar")
    masking = PointMAEConfig(decoder=DecoderConfig(depth=2, heads=2, drop_path=0.5), mask_at=mask_at)
    return DistillReconstructionConfig(distill, masking, *weights)


def targets():
    return torch.full(PREFIX, 3.0), torch.full(PREFIX, 2.0)


def both(mask_at="output", attend="block_input", weights=(1.0, 1.0)):
    torch.manual_seed(0)
    return DistillReconstruction(config(mask_at, attend, weights), create_backbone("vit_nano", **TINY), *targets())


def alone(method):
    """The distillation, and the reconstruction, of the same weights."""
    distill = Distill(method.config, create_backbone("vit_nano", **TINY), *targets())
    rebuild = PointMAE(method.masking, create_backbone("vit_nano", **TINY))
    for part in (distill, rebuild):
        state = method.state_dict()
        part.load_state_dict({name: state[name] for name in part.state_dict()})
    return distill, rebuild


def gradients(method, total):
    method.zero_grad(set_to_none=True)
    total.backward()
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attend", ["block_input", "block_output"])
@pytest.mark.parametrize("mask_at", MASKS)
def test_weight_0_leaves_each_loss_alone_in_training_too(mask_at, attend):
    method, data = both(mask_at, attend, weights=(2.0, 0.0)), batch()
    distill, _ = alone(method)
    expected, found = distill.train()(data, DRAW).total, method.train()(data, DRAW)
    torch.testing.assert_close(found.total, 2 * expected)
    ours, theirs = gradients(method, found.total), gradients(distill, expected)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], 2 * gradient, rtol=1e-4, atol=1e-7)

    method = both(mask_at, attend, weights=(0.0, 3.0))
    for block in method.backbone.blocks if mask_at == "output" else []:
        block.drop_path_rate = 0.0  # the pass is the distillation's, and drops what it drops
    _, rebuild = alone(method)
    for mine, other in zip(method.backbone.blocks, rebuild.backbone.blocks, strict=True):
        other.drop_path_rate = mine.drop_path_rate
    expected, found = rebuild.train()(data, DRAW).total, method.train()(data, DRAW)
    torch.testing.assert_close(found.total, 3 * expected)
    ours, theirs = gradients(method, found.total), gradients(rebuild, expected)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], 3 * gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("mask_at", MASKS)
def test_total_is_the_weighted_sum_of_what_each_method_says(mask_at):
    method, data = both(mask_at, weights=(0.5, 7.0)).eval(), batch()
    distill, rebuild = (part.eval() for part in alone(method))
    losses = method(data, DRAW)
    one, other = distill(data, DRAW).total, rebuild(data, DRAW).total
    torch.testing.assert_close(losses.total, 0.5 * one + 7 * other)
    torch.testing.assert_close(losses.parts, {"distill": one, "chamfer": other, "chamfer_x1000": 1000 * other})
    figures = method.validate(iter([data, batch(1)]))
    assert figures == distill.validate([data, batch(1)]) | rebuild.validate([data, batch(1)])


@pytest.mark.parametrize("mask_at", MASKS)
def test_gradients_reach_all_of_the_backbone_and_each_loss_its_own(mask_at):
    method = both(mask_at).train()
    for block in (*method.backbone.blocks, *method.decoder.blocks):
        block.drop_path_rate = 0.0
    losses = method(batch(), DRAW)
    assert all(parameter.requires_grad for parameter in method.parameters())

    def reached(loss):
        method.zero_grad(set_to_none=True)
        loss.backward(retain_graph=True)
        return {n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-9}

    names = {name for name, _ in method.named_parameters()}
    late = {name for name in names if name.startswith(("backbone.norm.", "backbone.blocks.2."))}
    decoder = {name for name in names if name.startswith("decoder.")}
    concepts = {name for name in names if name.startswith(("concepts.", "projector."))}
    assert reached(losses.parts["distill"]) | BEFORE_NORM == (names - late - decoder) | BEFORE_NORM
    assert reached(losses.parts["chamfer"]) | BEFORE_NORM == (names - concepts) | BEFORE_NORM
    assert reached(losses.total) | BEFORE_NORM == names | BEFORE_NORM


def test_what_no_loss_reaches_is_not_in_the_optimiser():
    for weights, kind in (((1.0, 0.0), Distill), ((0.0, 1.0), PointMAE)):
        method = both(weights=weights)
        single = next(part for part in alone(method) if type(part) is kind)
        optimised = {id(p) for group in adamw(method, 1e-3, 0.05).param_groups for p in group["params"]}
        expected = {name for name, p in single.named_parameters() if p.requires_grad}
        assert {name for name, p in method.named_parameters() if id(p) in optimised} == expected


def test_the_encoder_sees_all_patches_and_at_the_input_the_visible_ones_again():
    for mask_at, expected in (("output", [10]), ("input", [10, 4])):
        method, seen = both(mask_at).eval(), []
        method.backbone.norm.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        method(batch(), DRAW)
        assert [tokens.shape[1] for tokens in seen] == expected


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 1.0)])
def test_weights_that_train_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="none below 0"):
        both(weights=weights)


def test_the_papers_ablation():
    assert replace(MASKED_FEATURES, decoder=DecoderConfig()) == PointMAEConfig(mask_ratio=0.6, mask_at="output")
    assert MASKED_FEATURES.decoder == DecoderConfig(depth=3)
    assert DistillReconstructionConfig() == DistillReconstructionConfig(DistillConfig(), MASKED_FEATURES, 1.0, 1.0)

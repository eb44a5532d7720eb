"""The method's equations, and where its gradients go."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.engine.optim import adamw
from pointdistill.methods.base import Draw
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.models.concepts import ConceptConfig, ConceptExtractor
from pointdistill.models.projector import FlatProjector, MixProjector, ProjectorConfig
from pointdistill.models.readout import readout

TINY = {"width": 24, "depth": 3, "heads": 2, "groups": 8, "group_size": 4}
PREFIX = (4, 6)


# A constant before a BatchNorm is subtracted again (local2's passes through the maximum and a linear layer first).
BEFORE_NORM = {f"backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}


def batch(size=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return FrameBatch(
        points=torch.randn(size, 64, 3, generator=generator),
        targets=torch.randn(size, *PREFIX, generator=generator) + 3.0,
        index=torch.arange(size),
    )


def distill(attend="block_input", standardise="none", tie=True, form="flat"):
    torch.manual_seed(0)
    config = DistillConfig(
        concepts=ConceptConfig(count=5, heads=2, attend=attend, tie_layers=tie),
        projector=ProjectorConfig(form=form, hidden=16),
        standardise=standardise,
    )
    return Distill(config, create_backbone("vit_nano", **TINY), torch.full(PREFIX, 3.0), torch.full(PREFIX, 2.0))


DRAW = Draw(seed=0, epoch=0, index=np.arange(4))


@pytest.mark.parametrize("attend", ["block_input", "block_output"])
@pytest.mark.parametrize("form", ["flat", "mix"])
def test_gradients_reach_everything_that_trains_and_nothing_else(attend, form):
    method = distill(attend, form=form).train()
    method(batch(), DRAW).total.backward()
    for name, parameter in method.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().max() > 1e-9)
        frozen = name.startswith("backbone.norm.") or (
            attend == "block_input" and name.startswith("backbone.blocks.2.")
        )
        assert parameter.requires_grad != frozen, name
        assert reached != frozen or name in BEFORE_NORM, name


def test_frozen_parameters_are_not_in_the_optimiser():
    method = distill()
    optimised = {id(p) for group in adamw(method, 1e-3, 0.05).param_groups for p in group["params"]}
    assert optimised == {id(p) for p in method.parameters() if p.requires_grad}
    assert all(p.requires_grad is False for p in method.backbone.blocks[-1].parameters())


def test_block_output_lets_the_last_block_learn_and_block_input_never_runs_it():
    ran = []
    for attend in ("block_input", "block_output"):
        method = distill(attend)
        method.backbone.blocks[-1].register_forward_hook(lambda *_, attend=attend: ran.append(attend))
        method(batch(), DRAW)
    assert ran == ["block_output"]


def test_loss_is_equation_12():
    method = distill().eval()
    data = batch()
    expected = F.mse_loss(method.predict(data.points), data.targets)
    torch.testing.assert_close(method(data, DRAW).total, expected)


def test_standardised_loss_is_equation_12_over_the_scale_and_predictions_stay_in_the_teachers_units():
    method = distill(standardise="scalar").eval()
    data = batch()
    expected = F.mse_loss(method.predict(data.points), data.targets) / 4.0
    torch.testing.assert_close(method(data, DRAW).total, expected)
    assert abs(method.predict(data.points).mean().item() - 3.0) < 1.0


def test_each_dimension_can_be_standardised_by_itself():
    std = torch.tensor([[2.0, 0.5, 0.0], [1.0, 1.0, 1.0]])
    method = Distill(DistillConfig(standardise="dimension"), create_backbone("vit_nano"), torch.full((2, 3), 3.0), std)
    least = 0.01 * std.square().mean().sqrt()
    torch.testing.assert_close(method.target_scale, std.clamp_min(least))
    torch.testing.assert_close(method.target_mean, torch.full((2, 3), 3.0))


def test_concepts_follow_equation_6_step_by_step():
    torch.manual_seed(0)
    backbone = create_backbone("vit_nano", **TINY).eval()
    extractor = ConceptExtractor(ConceptConfig(count=5, heads=2), 24, 3).eval()
    tokens, positions, _ = backbone.tokenise(torch.randn(2, 64, 3))
    concepts, features = extractor.prototypes.expand(2, -1, -1), tokens
    for block in backbone.blocks:
        entered = features + positions
        concepts = extractor.blocks[0](concepts, entered)
        features = block(entered)
    trace = backbone.trace(tokens, positions, depth=extractor.blocks_needed(3))
    torch.testing.assert_close(extractor(trace), concepts)


def test_tied_layers_share_one_block():
    assert len(distill(tie=True).concepts.blocks) == 1
    assert len(distill(tie=False).concepts.blocks) == 3


def test_paper_sizes_of_the_projectors():
    flat = FlatProjector((32, 384), (10, 768), 3840)
    assert sum(p.numel() for p in flat.parameters()) == 32 * 384 * 3840 + 3840 + 3840 * 7680 + 7680  # 76.7 M
    mix = MixProjector((32, 384), (10, 768), 384)
    assert mix(torch.zeros(2, 32, 384)).shape == (2, 10, 768)


def test_r2_is_zero_for_the_mean_and_one_for_the_truth():
    method = distill()
    batches = [batch(4, seed) for seed in range(3)]
    mean = torch.cat([b.targets for b in batches]).mean(0)
    targets = iter([b.targets for b in batches])
    method.predict = lambda points: mean.expand(len(points), -1, -1)  # type: ignore[method-assign]
    assert abs(method.validate(batches)["r2"]) < 1e-6
    method.predict = lambda points: next(targets)  # type: ignore[method-assign]
    assert method.validate(batches) == {"r2": 1.0, "spread": pytest.approx(1.0)}


def test_stochastic_depth_does_not_depend_on_the_batch_a_sample_is_in():
    torch.manual_seed(0)
    method = distill(attend="block_output").train()
    for block in method.backbone.blocks:
        block.drop_path_rate = 0.5
    method.backbone.patch_embed.eval()  # BatchNorm mixes samples on purpose
    data = batch()

    def predict(rows):
        seen = {}
        method.projector.register_forward_hook(lambda module, inputs, output: seen.update(out=output.detach()))
        part = FrameBatch(data.points[rows], data.targets[rows], data.index[rows])
        method(part, Draw(0, 3, part.index.numpy()))
        return seen["out"]

    whole = predict([0, 1, 2, 3])
    torch.testing.assert_close(whole[[2, 0]], predict([2, 0]))


@pytest.mark.parametrize("reads", ["tokens", "pooled"])
def test_without_concepts_the_projector_reads_the_tokens(reads):
    torch.manual_seed(0)
    config = DistillConfig(projector=ProjectorConfig(hidden=16), reads=reads)
    method = Distill(
        config, create_backbone("vit_nano", **TINY), torch.full(PREFIX, 3.0), torch.full(PREFIX, 2.0)
    ).eval()
    points = batch().points
    with torch.no_grad():
        tokens = method.backbone(points).tokens
        read = tokens.flatten(1) if reads == "tokens" else torch.cat([tokens.mean(1), tokens.max(1).values], 1)
        expected = method.projector.last(F.gelu(method.projector.first(read))).view(-1, *PREFIX)
        torch.testing.assert_close(method.predict(points), expected)
        order = torch.randperm(8)
        shuffled = readout(reads, tokens[:, order])
    assert torch.allclose(shuffled, readout(reads, tokens), atol=1e-6) == (reads == "pooled")
    method.train()(batch(), DRAW).total.backward()
    silent = {name for name, p in method.named_parameters() if p.grad is None or p.grad.abs().max() <= 1e-9}
    assert silent <= BEFORE_NORM, "all blocks and the final norm learn"
    assert not any(name.startswith("concepts") for name, _ in method.named_parameters())

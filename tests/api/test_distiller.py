"""The method in a loop of the user's own."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import pointdistill
from pointdistill import Distiller, cli, create_backbone, load_teacher
from pointdistill.batch import FrameBatch
from pointdistill.distilled import load_distilled
from pointdistill.doctor import examine
from pointdistill.errors import CheckpointError, DataError, RecipeError
from pointdistill.methods.base import Draw
from pointdistill.methods.distill import DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig

CLOUDS = torch.rand(3, 200, 3, generator=torch.Generator().manual_seed(0)) - 0.5
IMAGES = [Image.new("RGB", (64, 48), colour) for colour in ("white", "black", "red")]


@pytest.fixture(scope="module")
def teacher():
    return load_teacher()


def distiller(teacher, config=None, **options):
    torch.manual_seed(0)
    return Distiller(create_backbone("vit_nano", drop_path=0.5), teacher, config, **options)


def test_losses_are_those_of_the_method_and_of_equation_12(teacher):
    one = distiller(teacher, seed=3)
    targets = one.targets(IMAGES)
    assert torch.equal(targets, teacher.targets(IMAGES))
    batch = FrameBatch(CLOUDS, targets, torch.arange(3))
    found, wanted = one(CLOUDS, IMAGES), one.method(batch, Draw(3, 0, np.arange(3)))
    assert torch.equal(found.total, wanted.total) and set(found.parts) == {"distill"}
    assert one.steps == 1 and not torch.equal(one(CLOUDS, IMAGES).total, found.total)  # another draw of depth
    assert torch.equal(one(CLOUDS, targets=targets, step=0).total, found.total) and one.steps == 2
    one.eval()
    with torch.no_grad():
        by_hand = (one.predict(CLOUDS) - targets).square().mean()
        torch.testing.assert_close(one(CLOUDS, targets=targets).total, by_hand)
    assert one.steps == 2


def test_a_loop_of_ones_own_learns_and_the_teacher_stays(teacher):
    one, before = distiller(teacher), load_teacher().weights_hash
    assert len([*one.parameters()]) == len([*one.method.parameters()])
    assert not any("teacher" in name for name in one.state_dict())
    optimizer = torch.optim.AdamW((p for p in one.parameters() if p.requires_grad), lr=2e-3)
    losses, targets = [], one.targets(IMAGES)
    for _ in range(10):
        optimizer.zero_grad()
        found = one(CLOUDS, targets=targets)
        found.total.backward()
        optimizer.step()
        losses.append(found.total.item())
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert one.backbone is one.method.backbone and teacher.weights_hash == before


def test_targets_are_standardised_by_a_sample(teacher):
    targets = teacher.targets(IMAGES)
    one = distiller(teacher, DistillConfig(standardise="scalar"), targets=targets)
    assert torch.equal(one.method.target_mean, targets.mean(0)) and torch.equal(one.mean_target, targets.mean(0))
    torch.testing.assert_close(one.method.target_scale, targets.std(0, correction=0).square().mean().sqrt())
    with pytest.raises(RecipeError, match='standardise="scalar" needs a sample'):
        distiller(teacher, DistillConfig(standardise="scalar"))
    with pytest.raises(RecipeError, match="no deviation"):
        distiller(teacher, DistillConfig(standardise="dimension"), targets=targets[:1])


def test_with_reconstruction_beside_it(teacher):
    losses = distiller(teacher, DistillReconstructionConfig())(CLOUDS, IMAGES)
    assert {"distill"} < set(losses.parts)
    losses.total.backward()


def test_what_is_saved_is_a_run(teacher, named, tmp_path, capsys):
    one = distiller(teacher, DistillConfig(standardise="scalar"), targets=teacher.targets(IMAGES), points=100)
    one(CLOUDS, IMAGES).total.backward()
    folder = one.save(tmp_path / "mine", source="two colours", terms="mine")
    again, one = Distiller.load(folder), one.eval()
    assert torch.equal(again.predict(CLOUDS), one.predict(CLOUDS)) and torch.equal(again.mean_target, one.mean_target)
    assert again.recipe == one.recipe and not again.training
    cloud = CLOUDS[0].numpy()
    assert pointdistill.caption(cloud, folder) == one.caption(cloud) == again.caption([cloud])[0]
    labels = ["bedroom", "office"]
    assert pointdistill.classify(cloud, folder, labels) == one.classify(cloud, labels)
    assert pointdistill.load_encoder(folder).points == 100
    assert create_backbone("vit_nano", pretrained=folder, drop_path=0.5).width == 96
    assert any("whole: 1 steps" in str(line) for line in examine(folder, 1, 1))
    assert json.loads((folder / "run.json").read_text())["data"]["terms"] == "mine"
    assert one.save(folder) == folder
    np.save(tmp_path / "cloud.npy", cloud)
    cli.main(["caption", str(tmp_path / "cloud.npy"), "--run", str(folder)])
    assert capsys.readouterr().out == f"{one.caption(cloud)}\n"
    with pytest.raises(DataError, match="holds a pre-training"):
        one.save(named / "run")


def test_a_finished_run_is_gone_on_with(named):
    run = load_distilled(named / "run")
    one = Distiller.load(named / "run")
    assert one.recipe == run.recipe and torch.equal(one.mean_target, run.mean_target)
    with torch.no_grad():
        assert torch.equal(one.predict(CLOUDS), run.method.predict(CLOUDS))
    one.train()(CLOUDS, IMAGES).total.backward()
    assert one.method.projector.last.weight.grad.abs().sum() > 0
    with pytest.raises(CheckpointError, match="no finished pre-training"):
        Distiller.load(named / "objects")
    with pytest.raises(RecipeError, match="is not"):
        Distiller.load(named / "run", "random:1")


def test_what_cannot_be_a_batch_is_said(teacher):
    one = distiller(teacher)
    targets = one.targets(IMAGES)
    for given, said in (
        ({}, "has images and targets, or neither"),
        ({"images": IMAGES, "targets": targets}, "has images and targets, or neither"),
        ({"images": IMAGES[:2]}, "has 2 targets for 3 clouds"),
        ({"targets": targets[:, :5]}, r"has targets of shape \(3, 5, 64\)\. Give those of shape \(3, 8, 64\)"),
    ):
        with pytest.raises(DataError, match=said):
            one(CLOUDS, **given)

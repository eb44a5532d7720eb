"""Shapes without a teacher: ShapeNet-55 -> a store -> a backbone by reconstruction."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from build_objects import write_shapenet55
from fake_teacher import factory
from pointdistill import cli
from pointdistill.engine.optim import adamw
from pointdistill.errors import DataError, RecipeError
from pointdistill.loader import FrameLoader
from pointdistill.methods.base import Draw
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.completion import CompletionConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.point_transformer import BACKBONES
from pointdistill.models.query_decoder import QueryDecoderConfig
from pointdistill.prepare import prepare_recordings
from pointdistill.prepare_shapes import prepare_shapes
from pointdistill.pretraining import build_method, run_pretrain, train_loader
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.paper import paper
from pointdistill.recipes.recipe import PretrainRecipe
from pointdistill.recipes.shapenet55 import mask_point_shapenet55, occo_shapenet55, point_mae_shapenet55
from pointdistill.scan_part import FrameSettings
from pointdistill.store import FrameStore


def _standing(cloud):
    x, y, z = cloud.T
    return np.stack([x, -z, y], 1)


def test_store_holds_the_published_clouds_with_z_up(tmp_path):
    written = write_shapenet55(tmp_path / "raw")
    store = prepare_shapes(tmp_path / "raw", tmp_path / "store")
    assert len(store) == 5 and store.up == "z" and not store.has_targets and store.target_shape == (0, 0)
    for row, (name, cloud) in enumerate(written["train"].items()):
        assert store.scan_of(row) == name.removesuffix(".npy")
        np.testing.assert_allclose(store.cloud(row), _standing(cloud), atol=2e-5)  # 16 bits of a box 1.5 wide
    loader = FrameLoader(store, 5, 40, seed=0, frame="gravity", shuffle=False)
    for batch in loader.epoch(0):
        assert batch.targets.shape == (5, 0, 0)
        for points, cloud in zip(batch.points.numpy(), written["train"].values(), strict=True):
            centred = _standing(cloud) - _standing(cloud).mean(0)
            unit = centred / np.linalg.norm(centred, axis=1).max()
            near = np.abs(points[:, None] - unit[None]).max(-1)
            assert near.min(1).max() < 1e-4 and sorted(near.argmin(1)) == list(range(40))


def test_splits_and_fewer_points(tmp_path):
    written = write_shapenet55(tmp_path / "raw")
    both = prepare_shapes(tmp_path / "raw", tmp_path / "all", "all", points=16)
    assert both.scan_names == [name.removesuffix(".npy") for split in ("test", "train") for name in written[split]]
    assert both.points.shape == (7, 16, 3) and both.manifest["source"] == "shapenet55 all"
    cloud = _standing(written["test"]["04379243-aa.npy"])
    near = np.abs(both.cloud(0)[:, None] - cloud[None]).max(-1)
    assert near.min(1).max() < 2e-5 and len(set(near.argmin(1))) == 16
    again = prepare_shapes(tmp_path / "raw", tmp_path / "again", "all", points=16)
    assert (again.path / "points.npy").read_bytes() == (both.path / "points.npy").read_bytes()
    assert again.manifest_hash == both.manifest_hash
    other = prepare_shapes(tmp_path / "raw", tmp_path / "other", "all", points=16, seed=1)
    assert other.manifest_hash != both.manifest_hash


def test_what_cannot_be_prepared_is_said_and_nothing_is_left_valid(tmp_path):
    written = write_shapenet55(tmp_path / "raw")
    last = tmp_path / "raw/shapenet_pc" / list(written["train"])[-1]
    content = last.read_bytes()
    with pytest.raises(DataError, match=r"val\.txt: no such split list"):
        prepare_shapes(tmp_path / "raw", tmp_path / "store", "val")
    np.save(last, np.zeros((39, 3), np.float32))
    with pytest.raises(DataError, match="holds 39 points where 40 belong"):
        prepare_shapes(tmp_path / "raw", tmp_path / "store")
    last.unlink()
    with pytest.raises(DataError, match=f"{last.name}: no such file"):
        prepare_shapes(tmp_path / "raw", tmp_path / "store")
    with pytest.raises(DataError, match="preparation did not finish"):
        FrameStore.open(tmp_path / "store")
    last.write_bytes(content)
    store = prepare_shapes(tmp_path / "raw", tmp_path / "store")  # begun again in the same folder
    stamp = (store.path / "points.npy").stat().st_mtime_ns
    assert prepare_shapes(tmp_path / "raw", store.path).path == store.path
    assert (store.path / "points.npy").stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match="was prepared with points=16384, not with points=16"):
        prepare_shapes(tmp_path / "raw", store.path, points=16)
    with pytest.raises(DataError, match="was prepared"):
        prepare_recordings([], store.path, factory(), FrameSettings(), "none")
    with pytest.raises(DataError, match="no teacher has seen"):
        FrameStore.open(store.path, "small")
    np.save(last, np.zeros((50, 3), np.float32))
    with pytest.raises(DataError, match=r"train\.txt has changed since"):
        prepare_shapes(tmp_path / "raw", store.path)


def _tiny(recipe):
    backbone = replace(BACKBONES["vit_nano"], width=24, depth=2, heads=2, groups=8, group_size=4)
    frames = replace(recipe.frames, points=32)
    engine = replace(recipe.engine, epochs=2, batch_size=5, warmup_epochs=0, checkpoint_every=1, validate_every=1)
    return replace(recipe, backbone=backbone, frames=frames, engine=engine)


def test_recipe_takes_two_steps_at_its_own_sizes(tmp_path):
    """Only the batch is small. By hand, since its checkpoints are hundreds of megabytes."""
    write_shapenet55(tmp_path / "raw", points=1200)
    recipe = point_mae_shapenet55()
    recipe = replace(recipe, engine=replace(recipe.engine, batch_size=2))
    store = prepare_shapes(tmp_path / "raw", tmp_path / "store")
    torch.manual_seed(0)
    method = build_method(recipe, store).train()
    optimizer = adamw(method, recipe.engine.lr, recipe.engine.weight_decay)
    losses = []
    for batch in train_loader(recipe, store).epoch(0):
        assert batch.points.shape == (2, 1024, 3)
        loss = method(batch, Draw(0, 0, batch.index.numpy())).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == 2 and np.isfinite(losses).all() and losses[0] != losses[1]


def test_the_command_line_knows_the_recipe_by_name():
    assert pretraining_recipes()["point-mae-shapenet55"] == point_mae_shapenet55()


@pytest.mark.parametrize(
    ("recipe", "method", "numbers"),
    [
        (
            mask_point_shapenet55(),
            {"real_queries": 16, "decoder": QueryDecoderConfig(heads=2)},
            (128, 5e-4, 0.05, 3, 10),
        ),
        (occo_shapenet55(), {"input_points": 16, "completion": CompletionConfig(8, 2, 2)}, (32, 1e-4, 0, 0, None)),
    ],
    ids=lambda value: value.name if isinstance(value, PretrainRecipe) else "",
)
def test_other_recipes_have_their_authors_numbers_and_take_two_steps(recipe, method, numbers, tmp_path):
    assert pretraining_recipes()[recipe.name] == recipe and recipe.backbone == BACKBONES["vit_s"]
    engine = recipe.engine
    assert (engine.batch_size, engine.lr, engine.weight_decay, engine.warmup_epochs, engine.clip) == numbers
    write_shapenet55(tmp_path / "raw")
    prepare_shapes(tmp_path / "raw", tmp_path / "train")
    tiny = _tiny(replace(recipe, method=replace(recipe.method, **method)))
    result = run_pretrain(tiny, tmp_path / "train", None, tmp_path / "run")
    assert result["steps"] == 2 and np.isfinite([row["loss"] for row in result["curve"]]).all()


def test_recipe_is_point_maes_and_takes_two_steps(tmp_path):
    recipe = point_mae_shapenet55()
    sizes = recipe.backbone, recipe.method.mask_ratio, recipe.method.decoder.depth, recipe.frames.points
    assert sizes == (BACKBONES["vit_s"], 0.6, 4, 1024)
    engine = recipe.engine
    assert (engine.epochs, engine.batch_size, engine.lr, engine.weight_decay) == (300, 128, 1e-3, 0.05)
    write_shapenet55(tmp_path / "raw")
    for split in ("train", "test"):
        prepare_shapes(tmp_path / "raw", tmp_path / split, split)
    tiny = _tiny(recipe)
    tiny = replace(tiny, method=replace(tiny.method, decoder=DecoderConfig(depth=1, heads=2)))
    result = run_pretrain(tiny, tmp_path / "train", tmp_path / "test", tmp_path / "run")
    assert result["steps"] == 2 and set(result["heldout"]) == {"chamfer"}
    assert np.isfinite([row["loss"] for row in result["curve"]]).all()
    assert load_backbone(tmp_path / "run").config == tiny.backbone
    card = (tmp_path / "run/model_card.md").read_text()
    assert "| data | 5 shapes (shapenet55 train), store" in card and "| teacher | none |" in card and "z up" in card
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert run["teacher"]["identity"] == run["recipe"]["teacher"] == "none"
    with pytest.raises(RecipeError, match="shapes without a teacher's targets, which the recipe paper learns from"):
        run_pretrain(_tiny(paper()), tmp_path / "train", None, tmp_path / "distilled")
    assert not (tmp_path / "distilled").exists()


def test_from_the_world_to_a_store_by_command(tmp_path, capsys):
    raw, store = str(tmp_path / "raw"), str(tmp_path / "store")
    cli.main(["world", "shapenet55", raw, "--count", "1", "--workers", "1"])
    cli.main(["prepare", raw, store, "--points", "64"])
    cli.main(["doctor", raw])
    cli.main(["doctor", store])
    out = capsys.readouterr().out
    shapes = len((tmp_path / "raw/ShapeNet-55/train.txt").read_text().split())
    assert f"{shapes} shapes in {store}, without targets" in out.replace("\n", " ")
    assert f"split train: {shapes} shapes can be used, no problems" in out
    assert f"a store of {shapes} shapes (shapenet55 train)" in out and "64 points each, z up, without targets" in out
    for arguments, said in (
        (["prepare", raw, store, "--teacher", "imagenet"], "--teacher belongs to recordings. Leave it out for shapes"),
        (["prepare", raw, store, "--labels"], "Leave --labels out: its shapes are to pre-train on"),
        (["pretrain", "paper", "--data", store, "--out", str(tmp_path / "run")], "which the recipe paper learns from"),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 2 and said in capsys.readouterr().err.replace("\n", " ")

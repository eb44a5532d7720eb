"""Table 7: each row is the encoder and the decoder that it says, measured alike."""

import json
from dataclasses import replace

import pytest
import torch

import build_scannet
from fake_teacher import factory
from pointdistill.errors import CheckpointError, RecipeError
from pointdistill.methods.point_mae import PointMAE
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.point_transformer import BACKBONES, PointTransformer
from pointdistill.prepare import prepare_frames
from pointdistill.pretraining import run_pretrain, validation_loader
from pointdistill.recipes.quickstart import distillation
from pointdistill.recipes.reconstruction import reconstruction
from pointdistill.reconstruction import ReconstructionLoss, table_7, verdict
from pointdistill.tensors import load_tensors


def tiny(seed=0):
    whole = distillation()
    backbone = replace(BACKBONES["vit_nano"], width=24, depth=2, heads=2, groups=8, group_size=4)
    method = replace(whole.method, concepts=replace(whole.method.concepts, count=4, heads=2))
    frames = replace(whole.frames, stored_points=64, points=48)
    engine = replace(whole.engine, epochs=3, batch_size=5, validate_every=100, seed=seed)
    return replace(whole, backbone=backbone, method=method, frames=frames, engine=engine)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A store, and a reconstruction and a distillation of other seeds on it."""
    folder = tmp_path_factory.mktemp("reconstruction")
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00", "scene0001_00"], frames=5)
    store = prepare_frames(root, folder / "store", factory(), every=1, points=64, workers=1)
    run_pretrain(reconstruction(tiny()), store.path, None, folder / "reconstruction")
    run_pretrain(tiny(seed=1), store.path, None, folder / "distillation")
    return store, folder


def test_each_row_is_what_it_says(runs, tmp_path):
    store, folder = runs
    table = table_7(store.path, folder / "reconstruction", folder / "distillation", tmp_path)
    recipe = reconstruction(tiny())

    def measured(backbone=None, decoder=None):
        torch.manual_seed(0)
        method = PointMAE(recipe.method, PointTransformer(recipe.backbone))
        if backbone is not None:
            method.backbone.load_state_dict(backbone)
        if decoder is not None:
            method.decoder.load_state_dict(decoder)
        return method.eval().validate(validation_loader(recipe, store).epoch(0))["chamfer"]

    def part(path, name):
        tensors = load_tensors(path)[0]
        return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}

    trained = folder / "reconstruction" / "method.safetensors"
    rebuilt, distilled = (load_backbone(folder / name).state_dict() for name in ("reconstruction", "distillation"))
    assert list(table) == ["nothing", "reconstruction", "distillation"]
    assert table["nothing"].chamfer == pytest.approx(measured())
    assert table["reconstruction"].chamfer == pytest.approx(measured(rebuilt, part(trained, "decoder")))
    assert table["distillation"].chamfer == pytest.approx(measured(distilled))
    for name, backbone in (("reconstruction", rebuilt), ("distillation", distilled)):
        state = tmp_path / name / "state.safetensors"
        frozen = part(state, "module.backbone")
        assert all(torch.equal(frozen[key], value) for key, value in backbone.items())
        assert table[name].new_decoder == pytest.approx(measured(backbone, part(state, "module.decoder")))
    assert len({row.new_decoder for row in table.values()} | {row.chamfer for row in table.values()}) == 6

    written = json.loads((tmp_path / "table7.json").read_text())
    assert written["frames"] == len(store) and written["mask_at"] == "output" and written["verdict"] == verdict(table)
    # Of the two directions one is zero: a patch's own centre is nearest to what is put there.
    network = PointTransformer(recipe.backbone)
    patches = [network.patches(batch.points).patches for batch in validation_loader(recipe, store).epoch(0)]
    radius = torch.cat(patches).square().sum(-1).mean().item()  # of all patches, not of the hidden ones alone
    assert written["at_centres"] == pytest.approx(radius, rel=0.2)
    row = written["rows"]["distillation"]
    assert row["chamfer"] == table["distillation"].chamfer and row["chamfer_x1000"] == 1000 * row["chamfer"]
    steps = []
    again = table_7(
        store.path,
        folder / "reconstruction",
        folder / "distillation",
        tmp_path,
        report=lambda *step: steps.append(step),
    )
    assert again == table and not steps  # nothing is trained twice


def test_what_is_no_table_is_refused(runs, tmp_path):
    store, folder = runs
    with pytest.raises(RecipeError, match="is no reconstruction"):
        table_7(store.path, folder / "distillation", folder / "reconstruction", tmp_path)
    with pytest.raises(CheckpointError, match="holds no finished pre-training"):
        table_7(store.path, folder / "reconstruction", tmp_path / "nowhere", tmp_path)
    other = replace(tiny(), backbone=replace(tiny().backbone, depth=1))
    run_pretrain(other, store.path, None, tmp_path / "shallow")
    with pytest.raises(RecipeError, match="its backbone or its clouds are others"):
        table_7(store.path, folder / "reconstruction", tmp_path / "shallow", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_verdict_says_whether_the_loss_falls_as_printed():
    rows = {"nothing": ReconstructionLoss(2.0, 1.0), "reconstruction": ReconstructionLoss(0.5, 0.5)}
    fallen = verdict({**rows, "distillation": ReconstructionLoss(0.5, 0.75)})
    assert "loss falls as printed: -75.0%" in fallen and "prints -99.5%" in fallen and fallen.endswith("-25.0%")
    for chamfer, change in ((1.9, "-5.0%"), (3.0, "+50.0%")):
        said = verdict({**rows, "distillation": ReconstructionLoss(chamfer, 0.75)})
        assert f"does not fall as printed: {change}" in said

"""Features of clouds: the backbone's own, whatever the cloud's place and unit; written for one cloud or many."""

import numpy as np
import pytest
import torch

import pointdistill
from pointdistill import cli, create_backbone
from pointdistill.applications.clouds import training_form
from pointdistill.applications.embed import load_encoder
from pointdistill.models.checkpoints import load_backbone, save_backbone

CLOUD = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)


def test_features_are_the_backbones(run):
    cloud, _, _ = training_form(CLOUD, None, "gravity", 300)
    with torch.no_grad():
        features = load_backbone(run).eval()(cloud)
    found = pointdistill.embed(CLOUD, run)
    np.testing.assert_array_equal(found.tokens, features.tokens[0])
    assert found.tokens.shape == (64, 96) and found.pooled.shape == (192,)
    np.testing.assert_allclose(found.pooled[:96], found.tokens.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.pooled[96:], found.tokens.max(0))


def test_place_and_unit_do_not_matter_and_centres_are_points_of_the_cloud(run):
    here, there = pointdistill.embed(CLOUD, run), pointdistill.embed(CLOUD * 8 + [16, 0, -4], run)
    np.testing.assert_allclose(here.tokens, there.tokens, atol=2e-3)
    np.testing.assert_allclose(here.centres * 8 + [16, 0, -4], there.centres, atol=1e-4)
    turned = pointdistill.embed(CLOUD[:, [0, 2, 1]] * [1, 1, -1], run, "y")
    np.testing.assert_allclose(turned.tokens, here.tokens, atol=1e-4)
    for centres, cloud in ((here.centres, CLOUD), (turned.centres, CLOUD[:, [0, 2, 1]] * [1, 1, -1])):
        distances = np.linalg.norm(centres[:, None] - cloud[None], axis=-1)
        assert distances.min(1).max() < 1e-5


def test_any_backbone_will_do(tmp_path):
    save_backbone(create_backbone("vit_nano"), tmp_path, {})
    (tmp_path / "backbone.json").unlink()
    encoder = load_encoder(tmp_path / "backbone.safetensors")
    assert (encoder.frame, encoder.points) == ("gravity", 4096)
    assert pointdistill.embed(CLOUD, encoder).tokens.shape == (64, 96)


def test_the_command_writes_them(run, store, tmp_path, capsys):
    np.save(tmp_path / "cloud.npy", CLOUD)
    words = ["embed", str(tmp_path / "cloud.npy"), str(store), "--backbone", str(run), "--out"]
    cli.main([*words, str(tmp_path / "new" / "features.npz")])
    with np.load(tmp_path / "new" / "features.npz", allow_pickle=False) as arrays:
        assert arrays["tokens"].shape == (7, 64, 96) and arrays["centres"].shape == (7, 64, 3)
        np.testing.assert_array_equal(arrays["tokens"][0], pointdistill.embed(CLOUD, run).tokens)
        assert arrays["names"].tolist() == [str(tmp_path / "cloud.npy"), *(f"{store} {i}" for i in range(6))]
        cli.main([*words, str(tmp_path / "pooled.npy")])
        np.testing.assert_array_equal(np.load(tmp_path / "pooled.npy"), arrays["pooled"])
    for wrong, said in (([*words, "x.txt"], "x.txt"), (["embed", *words[3:], "x.npz"], "no cloud to embed")):
        with pytest.raises(SystemExit) as stopped:
            cli.main(wrong)
        assert stopped.value.code == 2 and said in capsys.readouterr().err

"""Features of clouds: the backbone's own, whatever the cloud's place and unit; written for one cloud or many."""

import numpy as np
import pytest
import torch

import pointdistill
from pointdistill import cli, create_backbone
from pointdistill.applications.clouds import training_form
from pointdistill.applications.embed import embed_all, load_encoder
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
        alone = pointdistill.embed(CLOUD, run)
        for name in ("tokens", "centres", "pooled"):
            np.testing.assert_allclose(arrays[name][0], getattr(alone, name), atol=1e-5)
        assert arrays["names"].tolist() == [str(tmp_path / "cloud.npy"), *(f"{store} {i}" for i in range(6))]
        cli.main([*words, str(tmp_path / "pooled.npy")])
        np.testing.assert_array_equal(np.load(tmp_path / "pooled.npy"), arrays["pooled"])
    files = [["embed", str(tmp_path / "cloud.npy"), *words[3:], "x.npz", "--frame", "1"]]
    for wrong, said in (
        (files[0], "is no store"),
        ([*words, "x.txt"], "x.txt"),
        (["embed", *words[3:], "x.npz"], "no cloud to embed"),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(wrong)
        assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_a_folder_of_files_a_few_at_a_time(run, tmp_path, monkeypatch):
    (tmp_path / "clouds" / "below").mkdir(parents=True)
    clouds = np.random.default_rng(1).standard_normal((5, 400, 3)).astype(np.float32)
    for number, cloud in enumerate(clouds):
        np.save(tmp_path / "clouds" / f"{number}.npy", cloud)
    (tmp_path / "clouds" / "notes.md").write_text("not a cloud")
    sizes, encoder = [], load_encoder(run)
    forward = encoder.backbone.forward
    monkeypatch.setattr(encoder.backbone, "forward", lambda cloud: sizes.append(len(cloud)) or forward(cloud))
    found = list(embed_all([(str(number), cloud) for number, cloud in enumerate(clouds)], encoder, batch=2))
    assert sizes == [2, 2, 1]
    cli.main(["embed", str(tmp_path / "clouds"), "--backbone", str(run), "--out", str(tmp_path / "all.npz")])
    with np.load(tmp_path / "all.npz", allow_pickle=False) as arrays:
        assert arrays["names"].tolist() == [str(tmp_path / "clouds" / f"{number}.npy") for number in range(5)]
        for name in ("tokens", "centres", "pooled"):
            np.testing.assert_allclose(arrays[name], np.stack([getattr(one, name) for one in found]), atol=1e-5)


def test_a_bad_file_among_many_is_named_and_nothing_is_left(run, tmp_path, capsys):
    (tmp_path / "clouds").mkdir()
    for number in range(20):
        np.save(tmp_path / "clouds" / f"{number:02d}.npy", CLOUD if number != 18 else CLOUD[:3])
    for name in ("all.npz", "pooled.npy"):
        with pytest.raises(SystemExit, match="2"):
            cli.main(["embed", str(tmp_path / "clouds"), "--backbone", str(run), "--out", str(tmp_path / "out" / name)])
        assert "18.npy: has 3 finite points" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_features_are_read_as_they_are_wanted(run):
    """Of a thousand clouds only those of two batches are looked at for the first answer."""
    looked_at = []

    def clouds():
        for number in range(1000):
            looked_at.append(number)
            yield f"cloud {number}", CLOUD

    next(embed_all(clouds(), load_encoder(run), batch=4))
    assert len(looked_at) <= 8

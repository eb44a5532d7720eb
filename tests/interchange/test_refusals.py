"""What is no checkpoint of a peer's gets one line and changes nothing; what may lie in a checkpoint is let in."""

import argparse
import types
import warnings
from pathlib import Path

import numpy as np
import peer_networks as theirs
import pytest
import torch

from pointdistill import cli
from pointdistill.errors import CheckpointError, PointdistillError
from pointdistill.interchange import from_peer, read_peer, to_peer
from pointdistill.interchange.peers import PEERS
from pointdistill.io.pth import read_checkpoint
from pointdistill.models.checkpoints import save_backbone
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer


def autoencoder():
    return theirs.MaskedAutoencoder(depth=1, decoder_depth=1).state_dict()


def error_of(capsys, *arguments):
    """The single line that a failing command prints."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    lines = capsys.readouterr().err.strip().splitlines()
    assert stopped.value.code == 2 and len(lines) == 1, lines
    return lines[0]


def test_settings_and_numbers_of_either_numpy_are_read(tmp_path):
    content = {"args": argparse.Namespace(lr=1e-3), "a": np.float32(2.5), "b": np.arange(4), "c": np.bool_(True)}
    torch.save(content, tmp_path / "new.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    written = (tmp_path / "old.pth").read_bytes()
    for core in (b"numpy.core.multiarray", b"numpy._core.multiarray"):  # as numpy 1 and numpy 2 call it
        renamed = written.replace(b"numpy._core.multiarray", core).replace(b"numpy.core.multiarray", core)
        (tmp_path / "renamed.pth").write_bytes(renamed)
        for name in ("new.pth", "renamed.pth"):
            found = read_checkpoint(tmp_path / name, "Mend it")
            assert found["args"].lr == 1e-3 and found["a"] == 2.5 and found["c"]
            assert found["b"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (types.SimpleNamespace(a=1), "types.SimpleNamespace"),
        (np.array([argparse.Namespace()], dtype=object), "ObjectDType"),
        (print, "print"),
    ],
)
def test_anything_else_is_refused_by_its_name(tmp_path, capsys, value, named):
    torch.save(theirs.checkpoint(autoencoder()) | {"extra": value}, tmp_path / "odd.pth")
    line = error_of(capsys, "convert", "--from", "point-mae", tmp_path / "odd.pth", tmp_path / "out")
    assert "odd.pth" in line and named in line and not (tmp_path / "out").exists()


def test_torchscript_is_refused_with_what_to_use(tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "program.pth")
    line = error_of(capsys, "convert", "--from", "point-mae", tmp_path / "program.pth", tmp_path / "out")
    assert "TorchScript" in line and "torch.jit.load" in line and "state_dict()" in line


def test_missing_and_left_over_tensors_are_listed():
    tensors = autoencoder()
    tensors["MAE_encoder.blocks.blocks.0.attn.bias"] = tensors.pop("MAE_encoder.blocks.blocks.0.attn.proj.bias")
    with pytest.raises(CheckpointError) as caught:
        from_peer("point-mae", tensors)
    assert "missing MAE_encoder.blocks.blocks.0.attn.proj.bias" in str(caught.value)
    assert "unexpected MAE_encoder.blocks.blocks.0.attn.bias" in str(caught.value)
    for name in list(autoencoder()):  # whatever is missing, it is said, and nothing is filled in
        with pytest.raises(CheckpointError, match="missing"):
            from_peer("point-mae", {key: value for key, value in autoencoder().items() if key != name})
    with pytest.raises(CheckpointError, match="unexpected anything"):
        from_peer("point-mae", autoencoder() | {"anything": torch.zeros(1)})


def test_other_shapes_heads_and_numbers():
    tensors = autoencoder()
    with pytest.raises(CheckpointError, match=r"qkv\.weight is \(3, 128\) where \(384, 128\) belongs"):
        from_peer("point-mae", tensors | {"MAE_encoder.blocks.blocks.0.attn.qkv.weight": torch.zeros(3, 128)})
    with pytest.raises(CheckpointError, match="128 cannot be shared by 5 heads"):
        from_peer("point-mae", tensors, heads=5)
    with pytest.raises(CheckpointError, match="NaN"):
        from_peer("point-mae", tensors | {"MAE_encoder.norm.bias": torch.full((128,), torch.nan)})
    for content in ({}, {"base_model": 3}, {"epoch": 7}, [1]):
        with pytest.raises(CheckpointError, match="holds no network"):
            read_peer("point-mae", content)


def test_a_checkpoint_of_another_peer_is_refused():
    for peer in ("point-bert", "maskpoint", "act"):
        with pytest.raises(CheckpointError, match="is missing"):
            from_peer(peer, autoencoder())
    with pytest.raises(CheckpointError, match="contrast"):
        recon = theirs.Encoder(block=theirs.ReConBlock).state_dict()
        from_peer("point-mae", {f"MAE_encoder.{name}": value for name, value in recon.items()})
    with pytest.raises(CheckpointError, match="encoder of 3DETR"):
        from_peer("maskpoint", {"transformer_q.encoder.mlp_module.layer0.conv.weight": torch.zeros(1)})
    with pytest.raises(PointdistillError, match="point-mae, point-bert"):
        from_peer("pointmae", autoencoder())


def test_networks_that_point_mae_cannot_build(tmp_path, capsys):
    save_backbone(PointTransformer(BackboneConfig(width=96, depth=1, heads=4)), tmp_path / "nano", {})
    line = error_of(capsys, "convert", "--to", "point-mae", tmp_path / "nano", tmp_path / "nano.pth")
    assert "32, 64, 128" in line and "patch_hidden=128" in line and not (tmp_path / "nano.pth").exists()
    for field in ({"normed_residual": True}, {"patch_pooled": 64}):
        with pytest.raises(PointdistillError, match="Point-MAE's code does not"):
            to_peer("point-mae", PointTransformer(BackboneConfig(depth=1, **field)))


def test_nothing_is_overwritten(tmp_path, capsys):
    torch.save(theirs.checkpoint(autoencoder()), tmp_path / "one.pth")
    torch.save(theirs.checkpoint(theirs.shuffled(theirs.MaskedAutoencoder()).state_dict()), tmp_path / "two.pth")
    for _ in range(2):  # the same file may be converted again
        cli.main(["convert", "--from", "point-mae", str(tmp_path / "one.pth"), str(tmp_path / "out")])
    before = (tmp_path / "out" / "backbone.safetensors").read_bytes()
    line = error_of(capsys, "convert", "--from", "point-mae", tmp_path / "two.pth", tmp_path / "out")
    assert "holds other weights" in line and (tmp_path / "out" / "backbone.safetensors").read_bytes() == before
    line = error_of(capsys, "convert", "--to", "point-mae", tmp_path / "out", tmp_path / "one.pth")
    assert "exists already" in line
    assert "ends in .pth" in error_of(capsys, "convert", "--to", "point-mae", tmp_path / "out", tmp_path / "new.npz")
    assert "one of --from and --to" in error_of(capsys, "convert", tmp_path / "out", tmp_path / "new.pth")
    assert "no such" in error_of(capsys, "convert", "--from", "act", tmp_path / "none.pth", tmp_path / "o").lower()


def test_the_document_names_all_that_is_left_out():
    page = (Path(__file__).parents[2] / "docs" / "interchange.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, peer in PEERS.items():
        missing = [what for what in peer.left_out.values() if what not in rows[name].rsplit("|", 2)[1]]
        assert not missing, name
        assert peer.left_out or rows[name].endswith("| nothing |")

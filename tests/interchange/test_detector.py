"""3DETR and 3DETR-m: the published layout of a checkpoint, through the command, against a network written from it."""

import argparse

import numpy as np
import peer_detector as theirs
import pytest
import torch
from peer_networks import shuffled
from torch.testing import assert_close

from pointdistill import cli
from pointdistill.errors import CheckpointError, PointdistillError
from pointdistill.interchange import from_peer
from pointdistill.models.detr3d_encoder import DETR3D, DETR3D_M
from pointdistill.tasks.detection import Detection, DetectionModel
from pointdistill.tasks.saved import load_task_model


def checkpoint(network):
    """As 3DETR's code writes one: the command line's settings and numpy's numbers lie beside the tensors."""
    args = argparse.Namespace(enc_nhead=4, dec_nhead=4, preenc_npoints=48, nqueries=12, dataset_name="scannet")
    metrics = {0.25: {"mAP": np.float64(65.0), "per_class": np.linspace(0, 1, 18, dtype=np.float32)}}
    moments = {0: {"step": 3, "exp_avg": torch.zeros(2)}}
    return {
        "model": network.state_dict(),
        "optimizer": {"state": moments, "param_groups": [{"lr": np.float64(5e-4), "params": [0]}]},
        "epoch": 720,
        "args": args,
        "best_val_metrics": metrics,
    }


def rooms(points=400):
    generator = torch.Generator().manual_seed(0)
    clouds = torch.rand(2, points, 3, generator=generator) * torch.tensor([2.0, 1.5, 1.0]) - 0.4
    clouds[:, 60:] *= 0.01  # most points near the origin, but not the one that sampling begins with
    return clouds


@pytest.mark.parametrize("quirks", [False, True], ids=["", "quirks"])
@pytest.mark.parametrize("masked", [False, True], ids=["3DETR", "3DETR-m"])
def test_detectors(tmp_path, capsys, masked, quirks):
    network = shuffled(theirs.Detector(masked))
    torch.save(checkpoint(network), tmp_path / "scannet.pth")
    out = tmp_path / "converted"
    cli.main(["convert", "--from", "3detr", str(tmp_path / "scannet.pth"), str(out), *(["--quirks"] * quirks)])
    said = capsys.readouterr().out
    assert "48 tokens by set abstraction" in said and ("3DETR-m" in said) == masked
    saved = load_task_model(out)
    assert isinstance(saved.task, Detection) and saved.task.decoder.queries == 12
    model = saved.model.double()
    points = rooms().double()
    with torch.no_grad():
        logits, centres, sizes = network.double()(points, skip=quirks)
        ours = model(points)
        for found, expected in ((ours.logits, logits), (ours.centres, centres), (ours.sizes, sizes)):
            assert_close(found, expected, rtol=1e-9, atol=1e-9)
        assert not ours.boxes[..., 6].any()
        assert not torch.allclose(network(points, skip=not quirks)[0], logits)


def test_published_sizes_without_the_command_line():
    model = from_peer("3detr", theirs.Detector(True, encoder=256, width=256).state_dict())
    assert isinstance(model, DetectionModel)
    config = model.backbone.config
    assert (config.tokens, config.heads, config.masks) == (DETR3D_M.tokens, DETR3D_M.heads, DETR3D_M.masks)
    assert (config.width, config.depth) == (DETR3D.width, DETR3D.depth)
    assert model.decoder.config.queries == 256


def test_refusals():
    tensors = theirs.Detector(False).state_dict()
    with pytest.raises(CheckpointError, match=r"missing decoder\.layers\.1\.linear2\.bias"):
        from_peer("3detr", {name: value for name, value in tensors.items() if name != "decoder.layers.1.linear2.bias"})
    with pytest.raises(CheckpointError, match="knows 10 classes"):
        from_peer("3detr", theirs.Detector(False, classes=10).state_dict())
    with pytest.raises(CheckpointError, match="is missing"):
        from_peer("3detr", {"MAE_encoder.norm.weight": torch.zeros(3)})
    with pytest.raises(PointdistillError, match="leave these options out"):
        from_peer("3detr", tensors, groups=64)

"""What `convert` wrote goes on: a peer's encoder is fine-tuned and probed, a peer's detector is tested."""

import json

import peer_detector
import peer_networks as theirs
import pytest
import torch
from test_conformance import published
from test_detector import checkpoint

import build_labelled
from pointdistill.models.checkpoints import load_backbone
from pointdistill.tasks.saved import load_task_model
from task_samples import room
from test_cli import run


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    assert run("prepare", build_labelled.write_modelnet(folder / "raw"), folder / "objects", "--labels") == 0
    return folder / "objects"


@pytest.mark.parametrize("peer", ["point-bert", "recon"])
def test_an_encoder_is_where_fine_tuning_starts(objects, tmp_path, capsys, peer):
    torch.save(theirs.checkpoint(published(peer, fine_tuned=False)[1]), tmp_path / "published.pth")
    assert run("convert", "--from", peer, tmp_path / "published.pth", tmp_path / "peer", "--up", "y") == 0
    assert run("doctor", tmp_path / "peer") == 0
    assert f"a backbone of {peer}'s file published.pth" in capsys.readouterr().out
    start = ("classification-small", "--data", objects, "--init", tmp_path / "peer")
    schedule = ("--epochs", 12, "--batch-size", 3)
    assert run("finetune", *start, "--out", tmp_path / "run", *schedule) == 0
    tuned, before = load_task_model(tmp_path / "run").model.backbone, load_backbone(tmp_path / "peer")
    assert tuned.config == before.config
    weights = [network.state_dict()["blocks.0.attention.qkv.weight"] for network in (tuned, before)]
    assert 0 < (weights[0] - weights[1]).abs().max() < 0.05, "a few small steps from the peer's weights"
    assert run("probe", *start) == 0 and run("doctor", tmp_path / "run") == 0
    assert "a fine-tuned model, classification" in capsys.readouterr().out


def test_a_detector_is_tested(tmp_path, capsys):
    raw = build_labelled.write_scannet(tmp_path / "raw", {"train": [room(0)], "val": [room(1), room(2)]})
    assert run("prepare", raw, tmp_path / "scenes", "--labels", "--workers", 1) == 0
    torch.save(checkpoint(theirs.shuffled(peer_detector.Detector(False))), tmp_path / "scannet.pth")
    assert run("convert", "--from", "3detr", tmp_path / "scannet.pth", tmp_path / "peer") == 0
    assert run("doctor", tmp_path / "peer") == 0
    assert "of 3detr's file scannet.pth, detection" in capsys.readouterr().out
    assert run("evaluate", tmp_path / "peer", "--data", tmp_path / "scenes", "--workers", 1) == 0
    assert "detection, val split" in capsys.readouterr().out
    found = json.loads((tmp_path / "peer/evaluation-val/results.json").read_text())
    assert (found["init"], found["recipe"]) == ("3detr", None) and 0 <= found["value"] <= 1
    assert len(list((tmp_path / "peer/evaluation-val/predictions").glob("*.boxes.json"))) == 2

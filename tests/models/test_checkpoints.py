import json

import pytest
import torch

from pointdistill import create_backbone
from pointdistill.errors import CheckpointError
from pointdistill.models.checkpoints import load_backbone, save_backbone

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}


def test_round_trip(tmp_path):
    backbone = create_backbone("vit_nano", **TINY)
    path = save_backbone(backbone, tmp_path, {"recipe": "test"})
    again = load_backbone(tmp_path)
    assert again.config == backbone.config
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert json.loads((tmp_path / "backbone.json").read_text())["recipe"] == "test"
    named = create_backbone("vit_nano", pretrained=path, **TINY)
    assert torch.equal(named.norm.weight, backbone.norm.weight)


def test_another_architecture_is_refused_with_a_tensor_named(tmp_path):
    save_backbone(create_backbone("vit_nano", **TINY), tmp_path, {})
    with pytest.raises(CheckpointError, match=r"another architecture.*blocks\.2"):
        create_backbone("vit_nano", pretrained=tmp_path, **{**TINY, "depth": 3})


def test_damaged_missing_and_foreign_files_are_refused(tmp_path):
    path = save_backbone(create_backbone("vit_nano", **TINY), tmp_path, {})
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_backbone(tmp_path / "elsewhere")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        load_backbone(tmp_path)

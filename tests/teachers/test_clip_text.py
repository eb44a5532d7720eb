"""CLIP's texts beside its images: labels for zero-shot classification by cosine."""

import json

import numpy as np
import pytest
import torch

import build_clipcap
from pointdistill.applications.prefix import TextEncoder
from pointdistill.errors import DataError, PointdistillError
from pointdistill.teachers.clip import ClipFeature, load_clip, load_clip_feature

WORDS = ["a", "b", "a</w>", "b</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny whole CLIP with a tokenizer of two letters."""
    folder = build_clipcap.write_clip(tmp_path_factory.mktemp("clip"))
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"bos_token_id": 5, "eos_token_id": 6, "pad_token_id": 6}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_text_features_are_clips_own(folder):
    from transformers import CLIPModel

    teacher = load_clip_feature(str(folder))
    assert isinstance(teacher, TextEncoder)
    found = teacher.text_features(["a b", "ab"])
    model = CLIPModel.from_pretrained(folder).eval()
    for row, tokens in zip(found, ([5, 2, 3, 6], [5, 4, 6]), strict=True):
        with torch.no_grad():
            hidden = model.text_model(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
        np.testing.assert_allclose(row, model.text_projection.weight.detach() @ hidden, atol=1e-5)
    assert len(teacher.text_features(["a " * 50])) == 1  # longer than it reads


def test_weights_of_texts_are_no_part_of_the_teacher(folder):
    teacher = load_clip_feature(str(folder))
    before = teacher.weights_hash, set(teacher.state_dict())
    teacher.text_features(["a"])
    assert before == (load_clip_feature(str(folder)).weights_hash, set(teacher.state_dict()))


def test_without_text_encoder(folder, tmp_path):
    load_clip(str(folder)).model.save_pretrained(tmp_path / "vision")
    with pytest.raises(DataError, match="without CLIP's text encoder"):
        load_clip_feature(str(tmp_path / "vision")).text_features(["a"])
    with pytest.raises(PointdistillError, match="made without"):
        ClipFeature(load_clip(str(folder))).text_features(["a"])

"""Vision models of transformers as teachers: which of their outputs are the target."""

import numpy as np
import pytest
import torch
from PIL import Image

from pointdistill.errors import DataError
from pointdistill.teachers.base import Teacher
from pointdistill.teachers.vision import load_vision

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def _write(folder, model, processor):
    torch.manual_seed(0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders as their owners publish them: a DINOv2, a whole SigLIP with its text part, a convolutional network."""
    import transformers as t

    root = tmp_path_factory.mktemp("hub")
    crop = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    siglip = t.SiglipConfig(text_config={**text, "vocab_size": 20}, vision_config={**SMALL, "intermediate_size": 16})
    convolutional = t.ConvNextConfig(hidden_sizes=[4, 8, 8, 12], depths=[1, 1, 1, 1], image_size=64)
    square = {"height": 32, "width": 32}
    return {
        "dinov2": _write(root / "dino", t.Dinov2Model(t.Dinov2Config(**SMALL)), t.BitImageProcessorPil(**crop)),
        "siglip": _write(root / "siglip", t.SiglipModel(siglip), t.SiglipImageProcessorPil(size=square)),
        "convnext": _write(
            root / "convnext",
            t.ConvNextModel(convolutional),
            t.BitImageProcessorPil(size={"shortest_edge": 64}, crop_size=64),
        ),
    }


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 255, (60, 80, 3), dtype=np.uint8)).convert(m) for m in ("RGB", "L")]


@pytest.mark.parametrize(
    ("name", "tokens", "pooled"),
    [("dinov2", (16, 16), (1, 16)), ("siglip", (16, 16), (1, 16)), ("convnext", (4, 12), (1, 12))],
)
def test_tokens_and_pooled_output(models, images, name, tokens, pooled):
    teacher, average = load_vision(models[name]), load_vision(models[name], pooled=True)
    assert isinstance(teacher, Teacher) and teacher.target_shape == tokens and average.target_shape == pooled
    assert teacher.targets(images).shape == (2, *tokens) and average.targets(images).shape == (2, *pooled)
    assert teacher.targets(images).dtype == torch.float32
    assert teacher.weights_hash == average.weights_hash and teacher.identity != average.identity
    assert teacher.identity.startswith(f"hf-{name}")
    assert load_vision(models[name]).identity == teacher.identity


@torch.no_grad()
def test_class_token_is_left_out(models, images):
    teacher = load_vision(models["dinov2"])
    pixels = teacher.processor(images=images[0], return_tensors="pt")["pixel_values"]
    hidden = teacher.model(pixel_values=pixels).last_hidden_state
    assert hidden.shape[1] == 17
    torch.testing.assert_close(teacher.targets(images[:1]), hidden[:, 1:])


def test_other_pixels_are_another_teacher(models, tmp_path):
    from transformers import BitImageProcessorPil, Dinov2Model

    model = Dinov2Model.from_pretrained(models["dinov2"])
    wider = BitImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    first, second = load_vision(models["dinov2"]), load_vision(_write(tmp_path, model, wider))
    assert first.weights_hash == second.weights_hash and first.identity != second.identity


def test_what_is_no_vision_model(models, tmp_path):
    import build_clipcap

    with pytest.raises(DataError, match="image processor"):
        load_vision(str(build_clipcap.write_tokenizer(tmp_path / "gpt2")))


def test_a_classifiers_checkpoint_has_tokens_but_no_pooling_layer(images, tmp_path):
    import transformers as t

    square = {"height": 32, "width": 32}
    classifier = t.ViTForImageClassification(t.ViTConfig(**SMALL, intermediate_size=16))
    folder = _write(tmp_path, classifier, t.ViTImageProcessorPil(size=square))
    teacher = load_vision(folder)
    assert teacher.targets(images).shape == (2, 16, 16) and load_vision(folder).weights_hash == teacher.weights_hash
    with pytest.raises(DataError, match="gives no pooler_output"):
        load_vision(folder, pooled=True)

"""CLIP and ClipCap from checkpoints in the published layouts, against plain formulas on the same tensors."""

import re
import socket
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import build_clipcap
from pointdistill.errors import CheckpointError, DataError, PointdistillError
from pointdistill.models.clipcap import MlpMapper, TransformerMapper
from pointdistill.recipes.paper import paper
from pointdistill.teachers.base import Captioner, Teacher, hash_tensors
from pointdistill.teachers.clip import VIT_B32, ClipFeature, ClipPatches, ClipVision, load_clip
from pointdistill.teachers.clipcap import ClipCapTeacher, load_clipcap, load_mapper


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """clip/, gpt2/ (the tokenizer) and tiny_weights.pt."""
    root = tmp_path_factory.mktemp("published")
    build_clipcap.write_clip(root / "clip")
    build_clipcap.write_tokenizer(root / "gpt2")
    build_clipcap.write_weights(root / "tiny_weights.pt", build_clipcap.mlp_tensors(), build_clipcap.gpt2_tensors())
    return root


@pytest.fixture(scope="module")
def teacher(folder) -> ClipCapTeacher:
    return load_clipcap(folder / "tiny_weights.pt", str(folder / "clip"), str(folder / "gpt2"))


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    sizes = [(40, 50), (64, 33), (32, 32)]
    return [Image.fromarray(generator.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]


@pytest.fixture(scope="module")
def whole_clip(folder):
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(folder / "clip").eval()


@pytest.fixture(scope="module")
def pixels(images):
    from transformers import CLIPImageProcessorPil

    side = {"height": build_clipcap.SIDE, "width": build_clipcap.SIDE}
    processor = CLIPImageProcessorPil(size={"shortest_edge": build_clipcap.SIDE}, crop_size=side)
    return processor(images=images, return_tensors="pt")["pixel_values"]


@torch.no_grad()
def test_image_feature_is_clips_own(folder, images, whole_clip, pixels):
    clip = load_clip(str(folder / "clip"))
    expected = whole_clip.get_image_features(pixel_values=pixels).pooler_output
    torch.testing.assert_close(clip.image_features(images), expected, atol=1e-4, rtol=1e-4)
    feature = ClipFeature(clip)
    assert isinstance(feature, Teacher) and feature.targets(images).shape == (3, *feature.target_shape)
    assert feature.target_shape == (1, build_clipcap.FEATURE)


@torch.no_grad()
def test_patch_tokens_by_hand(folder, images, whole_clip, pixels):
    patches = ClipPatches(load_clip(str(folder / "clip")))
    hidden = whole_clip.vision_model(pixel_values=pixels).last_hidden_state
    norm = whole_clip.vision_model.post_layernorm
    normalised = functional.layer_norm(hidden, hidden.shape[-1:], norm.weight, norm.bias, norm.eps)
    expected = normalised[:, 1:] @ whole_clip.visual_projection.weight.T
    assert patches.target_shape == (16, build_clipcap.FEATURE)
    torch.testing.assert_close(patches.targets(images), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_target_is_the_mlp_on_the_raw_feature(teacher, images, whole_clip, pixels):
    tensors = {name.removeprefix("clip_project.model."): value for name, value in build_clipcap.mlp_tensors().items()}
    feature = whole_clip.get_image_features(pixel_values=pixels).pooler_output
    hidden = torch.tanh(feature @ tensors["0.weight"].T + tensors["0.bias"])
    expected = (hidden @ tensors["2.weight"].T + tensors["2.bias"]).reshape(3, build_clipcap.PREFIX, -1)
    found = teacher.targets(images)
    assert found.shape == (3, *teacher.target_shape) and found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert isinstance(teacher, Teacher) and isinstance(teacher, Captioner)
    teacher.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_only_the_mapper_is_needed_to_distil(folder, teacher, images, tmp_path):
    mapper = build_clipcap.mlp_tensors()
    both = load_clipcap(folder / "tiny_weights.pt", str(folder / "clip"))
    assert (both.identity, both.weights_hash) == (teacher.identity, teacher.weights_hash)
    with pytest.raises(PointdistillError, match="GPT-2 tokenizer"):
        both.caption(both.targets(images))
    # Without GPT-2 in the file the width of a vector is taken for 768.
    wide = {name: torch.zeros(size) for name, size in _published_shapes().items()}
    alone = build_clipcap.write_weights(tmp_path / "alone.pt", wide)
    loaded = load_mapper(alone)
    assert isinstance(loaded, MlpMapper) and (loaded.prefix_length, loaded.width) == (10, 768)
    other = build_clipcap.write_weights(tmp_path / "tiny_weights.pt", {**mapper, **build_clipcap.gpt2_tensors(1)})
    assert load_clipcap(other, str(folder / "clip")).weights_hash == teacher.weights_hash
    next(iter(mapper.values()))[0, 0] += 1
    build_clipcap.write_weights(other, mapper, build_clipcap.gpt2_tensors())
    changed = load_clipcap(other, str(folder / "clip"))
    assert changed.identity == teacher.identity and changed.weights_hash != teacher.weights_hash


def _published_shapes() -> dict[str, tuple[int, ...]]:
    sizes = {"0.weight": (3840, 512), "0.bias": (3840,), "2.weight": (7680, 3840), "2.bias": (7680,)}
    return {f"clip_project.model.{name}": size for name, size in sizes.items()}


def test_identity_is_the_recipes_for_the_published_sizes_alone(teacher):
    config = SimpleNamespace(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        patch_size=32,
        image_size=224,
        hidden_act="quick_gelu",
        projection_dim=512,
    )
    network = torch.nn.Linear(1, 1)
    network.config = config
    clip = ClipVision(network)
    assert clip.architecture == VIT_B32
    with torch.device("meta"):
        published, shorter = MlpMapper(512, 10, 768), MlpMapper(512, 8, 768)
    for mapper in (published, shorter):
        mapper.to_empty(device="cpu")
    assert ClipCapTeacher(clip, published, "conceptual").identity == paper().teacher
    assert ClipCapTeacher(clip, published, "coco").identity == "clipcap-coco"
    assert ClipCapTeacher(clip, shorter, "conceptual").identity.startswith("clipcap-conceptual-vit-")
    assert teacher.identity.startswith("clipcap-tiny-vit-32x2x2-") and "mlp-24-96-3x64" in teacher.identity
    config.hidden_act = "gelu"  # as in CLIPs that others trained
    assert ClipCapTeacher(clip, published, "conceptual").identity != paper().teacher


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("clip_project.model.2.bias"), r"missing clip_project\.model\.2\.bias\."),
        (lambda tensors: tensors.pop("clip_project.model.0.weight"), r"missing clip_project\.model\.0\.weight\."),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "unexpected extra"),
        (
            lambda tensors: tensors.update({"clip_project.model.4.bias": torch.ones(1)}),
            r"unexpected clip_project\.model\.4\.bias",
        ),
        (
            lambda tensors: tensors.update({"clip_project.model.0.bias": torch.ones(1)}),
            r"0\.bias is \(1,\) where \(96,",
        ),
        (lambda tensors: tensors.update({"clip_project.model.0.weight": torch.ones(1)}), r"0\.weight is no matrix"),
        (lambda tensors: tensors.update({"clip_project.linear.weight": torch.ones(1, 1)}), "prefix_const"),
    ],
)
def test_other_tensors_are_refused_by_name(tmp_path, change, said):
    tensors = build_clipcap.mlp_tensors() | build_clipcap.gpt2_tensors()
    change(tensors)
    path = build_clipcap.write_weights(tmp_path / "odd.pt", tensors)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_mapper(path)
    assert "odd.pt" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_tensors(tmp_path, folder):
    with pytest.raises(DataError, match=r"none\.pt: No such file"):
        load_mapper(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"model": {"a": torch.ones(1)}}, tmp_path / "nested.pt")
    torch.save(SimpleNamespace(a=1), tmp_path / "code.pt")
    for name, said in {"text.pt": "not a file of tensors", "nested.pt": "dictionary", "code.pt": "tensors"}.items():
        with pytest.raises(CheckpointError, match=said) as caught:
            load_mapper(tmp_path / name)
        assert "\n" not in str(caught.value)
    narrow = build_clipcap.write_weights(
        tmp_path / "narrow.pt", build_clipcap.mlp_tensors(feature=20), build_clipcap.gpt2_tensors()
    )
    with pytest.raises(CheckpointError, match=r"reads features 20 wide, .* gives 24"):
        load_clipcap(narrow, str(folder / "clip"))


def test_clip_must_be_whole(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    build_clipcap.write_clip(tmp_path / "clip")
    file = tmp_path / "clip" / "model.safetensors"
    tensors = load_file(file)
    # Older checkpoints hold a constant buffer; it is no reason to refuse them.
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(tensors, file, {"format": "pt"})
    clip = load_clip(str(tmp_path / "clip"))
    assert hash_tensors(clip.state_dict()) == hash_tensors(load_clip(str(folder / "clip")).state_dict())
    del tensors["visual_projection.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors .*visual_projection\.weight"):
        load_clip(str(tmp_path / "clip"))
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="not readable as a CLIP configuration"):
        load_clip(str(tmp_path / "other"))
    (tmp_path / "other" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(DataError, match="gpt2 model, not CLIP"):
        load_clip(str(tmp_path / "other"))


@torch.no_grad()
def test_transformer_mapper_step_by_step(tmp_path, folder):
    tensors = build_clipcap.transformer_tensors()
    path = build_clipcap.write_weights(tmp_path / "transformer_weights.pt", tensors, build_clipcap.gpt2_tensors())
    mapper = load_mapper(path)
    assert isinstance(mapper, TransformerMapper)
    features = torch.randn(2, 20, generator=torch.Generator().manual_seed(1))
    expected = np.stack([_transformer_mapper(tensors, row.numpy()) for row in features])
    found = mapper(features)
    assert found.shape == (2, build_clipcap.PREFIX, build_clipcap.GPT_WIDTH)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)
    with pytest.raises(CheckpointError, match=r"transformer mapper of 20 wide features.*teacher class"):
        load_clipcap(path, str(folder / "clip"))
    tensors.pop("clip_project.transformer.layers.1.mlp.fc2.bias")
    build_clipcap.write_weights(path, tensors)
    with pytest.raises(CheckpointError, match=r"missing clip_project\.transformer\.layers\.1\.mlp\.fc2\.bias"):
        load_mapper(path)


def _transformer_mapper(tensors, feature):
    """One image's prefix from the published tensors, head by head."""
    values = {re.sub("^clip_project\\.", "", name): value.double().numpy() for name, value in tensors.items()}
    width, heads = build_clipcap.GPT_WIDTH, 8
    image = (values["linear.weight"] @ feature + values["linear.bias"]).reshape(-1, width)
    tokens = np.concatenate([image, values["prefix_const"]])

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * values[f"{name}.weight"] + values[f"{name}.bias"]

    for layer in range(2):
        at = f"transformer.layers.{layer}"
        normed, mixed = norm(tokens, f"{at}.norm1"), np.zeros_like(tokens)
        query = normed @ values[f"{at}.attn.to_queries.weight"].T
        both = normed @ values[f"{at}.attn.to_keys_values.weight"].T
        key, value = both[:, :width], both[:, width:]
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            score = query[:, part] @ key[:, part].T / np.sqrt(width // heads)
            weight = np.exp(score - score.max(1, keepdims=True))
            mixed[:, part] = weight / weight.sum(1, keepdims=True) @ value[:, part]
        tokens = tokens + mixed @ values[f"{at}.attn.project.weight"].T + values[f"{at}.attn.project.bias"]
        hidden = norm(tokens, f"{at}.norm2") @ values[f"{at}.mlp.fc1.weight"].T + values[f"{at}.mlp.fc1.bias"]
        tokens = tokens + np.maximum(hidden, 0) @ values[f"{at}.mlp.fc2.weight"].T + values[f"{at}.mlp.fc2.bias"]
    return tokens[len(image) :]


def test_folders_need_no_network(folder, teacher, monkeypatch):
    from huggingface_hub import constants

    asked = []

    def refuse(*address, **options):
        asked.append(address)
        raise OSError("no network in tests")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between one attempt and the next
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    again = load_clipcap(folder / "tiny_weights.pt", str(folder / "clip"), str(folder / "gpt2"))
    assert again.weights_hash == teacher.weights_hash and not asked
    with pytest.raises(DataError, match="Look at the name and the connection"):
        load_clip("nobody/no-such-clip")
    assert asked  # whoever names a hub id means it

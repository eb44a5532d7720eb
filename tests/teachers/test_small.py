import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from pointdistill.errors import CheckpointError, DataError
from pointdistill.teachers.base import Captioner, Teacher, hash_tensors
from pointdistill.teachers.networks import TeacherConfig, TeacherNetworks
from pointdistill.teachers.small import CONFIG, PACKAGED, WEIGHTS, SmallTeacher, load_small_teacher
from pointdistill.teachers.text import END, UNKNOWN, Vocabulary
from pointdistill.teachers.text_encoder import contrastive_loss


@pytest.fixture
def teacher(tiny) -> SmallTeacher:
    torch.manual_seed(0)
    vocabulary = Vocabulary.build(["a chair and a table"])
    return SmallTeacher(TeacherNetworks(tiny, len(vocabulary)), vocabulary, tiny)


@pytest.fixture(scope="module")
def packaged() -> SmallTeacher:
    return load_small_teacher()


def images(count: int = 3) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    modes = ["RGB", "L", "RGBA"]
    return [
        Image.fromarray(generator.integers(0, 255, (30 + 10 * i, 50, 3), dtype=np.uint8)).convert(modes[i % 3])
        for i in range(count)
    ]


def test_is_a_teacher_with_the_promised_shapes(teacher):
    assert isinstance(teacher, Teacher)
    targets = teacher.targets(images())
    assert targets.shape == (3, *teacher.target_shape) and targets.dtype == torch.float32
    assert teacher.image_features(images()).shape == (3, teacher.config.feature_width)
    assert teacher.text_features(["a chair"]).shape == (1, teacher.config.feature_width)
    assert len(teacher.caption(targets)) == 3


def test_frozen_whatever_a_training_loop_does(teacher):
    teacher.train()
    teacher.requires_grad_(True)
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    targets = teacher.targets(images())
    assert not targets.requires_grad
    student = torch.randn_like(targets, requires_grad=True)
    (student - targets).square().mean().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_target_does_not_depend_on_the_batch(teacher):
    alone = torch.cat([teacher.targets([image]) for image in images()])
    assert torch.allclose(alone, teacher.targets(images()), atol=1e-5)


def test_save_and_load_round_trip(teacher, tmp_path):
    teacher.save(tmp_path)
    again = load_small_teacher(tmp_path)
    assert torch.equal(again.targets(images()), teacher.targets(images()))
    assert (again.identity, again.weights_hash) == (teacher.identity, teacher.weights_hash)
    assert again.vocabulary == teacher.vocabulary and again.config == teacher.config


def test_likelihood_sums_the_words_and_the_end(packaged):
    prefix = packaged.targets(images())
    texts = ["a chair", "a table and two chairs in an office", "xylophone"]
    found = packaged.log_likelihood(prefix, texts)
    assert isinstance(packaged, Captioner) and found.shape == (3, 3)
    model, vocabulary = packaged.networks.language_model, packaged.vocabulary
    for column, text in enumerate(texts):
        known = [vocabulary.words.index(word) + 3 if word in vocabulary else UNKNOWN for word in text.split()]
        for row in range(3):
            score, said = 0.0, torch.empty(1, 0, dtype=torch.int64)
            for token in [*known, END]:
                score += model(prefix[row : row + 1], said)[0, -1].log_softmax(0)[token].item()
                said = torch.cat([said, torch.tensor([[token]])], dim=1)
            assert found[row, column].item() == pytest.approx(score, abs=1e-3)
    own = packaged.log_likelihood(prefix, packaged.caption(prefix))  # what it would say itself it finds likely
    assert (own.diagonal() > found.max(dim=1).values).all()
    assert packaged.log_likelihood(prefix, []).shape == (3, 0)


def test_hash_of_tensors_is_of_names_types_shapes_and_bytes():
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(1, dtype=torch.int64)}
    first = hash_tensors(tensors)
    digest = hashlib.sha256(b"a torch.int64 ()\n" + np.int64(1).tobytes())
    digest.update(b"b torch.float32 (2, 3)\n" + np.arange(6, dtype=np.float32).tobytes())
    assert first == digest.hexdigest() == hash_tensors(dict(reversed(tensors.items())))
    transposed = {**tensors, "b": tensors["b"].T.contiguous().T}  # the same numbers, otherwise in memory
    assert hash_tensors(transposed) == first
    others = [
        {**tensors, "b": tensors["b"].reshape(3, 2)},
        {**tensors, "b": tensors["b"].bfloat16()},
        {**tensors, "b": tensors["b"] + 1},
        {"c": tensors["b"], "a": tensors["a"]},
        {"b": tensors["b"]},
    ]
    assert len({first, *map(hash_tensors, others)}) == 6


def test_packaged_teacher_loads_with_its_hash(packaged):
    assert packaged.weights_hash == hashlib.sha256((PACKAGED / WEIGHTS).read_bytes()).hexdigest()
    assert packaged.target_shape == (8, 64)
    assert len(packaged.vocabulary) < 256
    assert (PACKAGED / WEIGHTS).stat().st_size < 8e6
    assert packaged.targets(images()).isfinite().all()


def test_missing_damaged_and_foreign_files_are_named(teacher, tmp_path):
    with pytest.raises(DataError, match=r"teacher\.json"):
        load_small_teacher(tmp_path / "nowhere")
    teacher.save(tmp_path / "good")

    cut = shutil.copytree(tmp_path / "good", tmp_path / "cut")
    (cut / WEIGHTS).write_bytes((cut / WEIGHTS).read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="safetensors"):
        load_small_teacher(cut)

    swapped = shutil.copytree(tmp_path / "good", tmp_path / "swapped")
    shutil.copy(PACKAGED / WEIGHTS, swapped / WEIGHTS)
    with pytest.raises(CheckpointError, match="not the weights"):
        load_small_teacher(swapped)

    other = shutil.copytree(tmp_path / "good", tmp_path / "other")
    description = json.loads((other / CONFIG).read_text())
    description["config"]["feature_width"] = 24
    (other / CONFIG).write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="architecture"):
        load_small_teacher(other)

    broken = shutil.copytree(tmp_path / "good", tmp_path / "broken")
    (broken / CONFIG).write_text("{")
    with pytest.raises(DataError, match="JSON"):
        load_small_teacher(broken)


def test_image_encoder_stays_small():
    networks = TeacherNetworks(TeacherConfig(), 200)
    assert sum(parameter.numel() for parameter in networks.image_encoder.parameters()) < 1e6


def test_contrastive_loss_by_hand():
    generator = np.random.default_rng(0)
    image, text = generator.normal(size=(2, 4, 3))
    image_unit, text_unit = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text))
    logits = 5.0 * image_unit @ text_unit.T

    def cross_entropy(rows: np.ndarray) -> float:
        return float(np.mean(np.log(np.exp(rows).sum(1)) - np.diag(rows)))

    expected = (cross_entropy(logits) + cross_entropy(logits.T)) / 2
    to_tensor = torch.from_numpy
    loss = contrastive_loss(to_tensor(image).float(), to_tensor(text).float(), torch.tensor(5.0).log())
    assert loss.item() == pytest.approx(expected, abs=1e-5)

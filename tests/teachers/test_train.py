import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill.errors import DataError, RecipeError
from pointdistill.teachers import train as training
from pointdistill.teachers.captioned import Jitter, augment
from pointdistill.teachers.quality import class_precision_recall, explained_by_classes, retrieval_recall
from pointdistill.teachers.train import QUALITY, WorldImages, train_teacher
from pointdistill.world.palette import COLOURS


@pytest.fixture(scope="module")
def trained(tmp_path_factory, captioned_folder, longer):
    root = tmp_path_factory.mktemp("teacher")
    folder = captioned_folder(root / "images", images=96)
    return folder, root / "out", train_teacher(folder, root / "out", settings=longer)


def test_writes_a_teacher_and_its_quality(trained):
    _, out, teacher = trained
    report = json.loads((out / QUALITY).read_text())
    assert report["weights_sha256"] == teacher.weights_hash
    assert report["images"] == 72 and report["quality"]["images"] == 24
    assert set(report["seconds"]) == {"contrastive", "language_model", "mapper"}


def test_mapper_learned(trained):
    """The held-out captions are likelier than under a model that ignores the image: log 4 + log 2 over seven tokens."""
    _, out, _ = trained
    report = json.loads((out / QUALITY).read_text())
    assert report["quality"]["caption_nats"] < 0.9 * np.log(8) / 7


def test_goes_on_after_the_last_finished_stage(trained, fast, tmp_path, monkeypatch):
    folder, _, _ = trained

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_mapper", stop)
        with pytest.raises(KeyboardInterrupt):
            train_teacher(folder, tmp_path / "out", settings=fast)
    with monkeypatch.context() as patch:
        patch.setattr(training, "train_contrastive", stop)
        patch.setattr(training, "train_language_model", stop)
        resumed = train_teacher(folder, tmp_path / "out", settings=fast)
    whole = train_teacher(folder, tmp_path / "whole", settings=fast)
    assert resumed.weights_hash == whole.weights_hash


def test_another_seed_or_setting_needs_another_folder(trained, longer):
    folder, out, _ = trained
    with pytest.raises(RecipeError, match="seed"):
        train_teacher(folder, out, seed=1, settings=longer)
    with pytest.raises(RecipeError, match="settings"):
        train_teacher(folder, out, settings=replace(longer, vocabulary=20))


def test_bad_folders(captioned_folder, fast, tmp_path):
    with pytest.raises(DataError):
        train_teacher(tmp_path / "nowhere", tmp_path / "out", settings=fast)
    folder = captioned_folder(tmp_path / "images", images=8)
    (folder / "003.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"003\.jpg"):
        train_teacher(folder, tmp_path / "out", settings=fast)
    (folder / "003.jpg").unlink()
    with pytest.raises(DataError, match=r"003\.jpg|captions\.jsonl"):
        train_teacher(folder, tmp_path / "out", settings=fast)
    few = captioned_folder(tmp_path / "few", images=1)
    with pytest.raises(DataError, match="too few"):
        train_teacher(few, tmp_path / "few_out", settings=fast)


def test_bad_truth_names_the_line(captioned_folder, fast, tmp_path):
    folder = captioned_folder(tmp_path / "images", images=8)
    (folder / "truth.jsonl").write_text('{"file_name": "000.jpg", "classes": []}\n{"file_name": 3\n')
    with pytest.raises(DataError, match="line 2"):
        train_teacher(folder, tmp_path / "out", settings=fast)


def test_augmentation_is_mild_and_keyed():
    pixels = torch.randint(0, 255, (8, 16, 20, 3), dtype=torch.uint8)
    one, two = (augment(pixels, Jitter(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two) and one.shape == (8, 3, 16, 20) and one.abs().max() <= 1
    still = augment(pixels, Jitter(0.0, 0.0, 0.0, 0.0, flip=False), torch.Generator().manual_seed(3))
    assert torch.allclose((still + 1) * 127.5, pixels.permute(0, 3, 1, 2).float(), atol=0.02)


def test_retrieval_recall_counts_ties_as_found():
    features = torch.eye(4)
    assert retrieval_recall(features, features, 1) == 1
    assert retrieval_recall(features, features.roll(1, 0), 1) == 0
    assert retrieval_recall(features, features.roll(1, 0), 2) == 1
    assert retrieval_recall(features[[0, 0, 1]], features[[0, 0, 1]], 1) == 1


def test_class_precision_and_recall():
    precision, recall = class_precision_recall(
        ["a chair next to a table", "a bed"], [frozenset({"chair", "sofa"}), frozenset({"bed", "window"})]
    )
    assert precision == pytest.approx(2 / 3) and recall == pytest.approx(2 / 4)


def test_linear_prefix_is_explained_by_its_classes():
    generator = np.random.default_rng(0)
    names = np.array(["bed", "chair", "sofa", "table"])
    classes = [frozenset(names[generator.random(4) < 0.5].tolist()) for _ in range(200)]
    present = np.array([[name in seen for name in names] for seen in classes], np.float32)
    prefixes = torch.from_numpy(present @ generator.normal(size=(4, 6)).astype(np.float32)).unflatten(1, (2, 3))
    assert explained_by_classes(prefixes, classes) > 0.99
    assert explained_by_classes(torch.randn(200, 2, 3), classes) < 0.2


def test_without_a_folder_the_world_makes_the_images(fast, tmp_path):
    world = WorldImages(rooms=1, test_rooms=1, frames_per_room=6, size=(20, 16))
    teacher = train_teacher(None, tmp_path, settings=replace(fast, world=world, leave_out=tuple(COLOURS)))
    quality = json.loads((tmp_path / QUALITY).read_text())["quality"]
    assert quality["written_precision"] > 0.8 and quality["class_recall"] is not None
    assert not any(colour in teacher.vocabulary for colour in COLOURS)

"""Captions and zero-shot labels, read from what a student predicts; the student here is a perfect one (conftest)."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import pointdistill
from pointdistill import cli
from pointdistill.applications.classify import fill
from pointdistill.distilled import load_distilled
from pointdistill.errors import CheckpointError, RecipeError
from pointdistill.store import FrameStore
from pointdistill.teachers.small import load_small_teacher

CLOUD = np.random.default_rng(0).standard_normal((500, 3))
LABELS = ["bedroom", "office", "shower curtain"]


def by_hand(teacher, prefix, text):
    """log p(text | prefix), word by word."""
    tokens, total = teacher.vocabulary.encode([text], len(text.split()) + 1)[0].tolist(), 0.0
    for place, token in enumerate(tokens):
        logits = teacher.networks.language_model(prefix, torch.tensor([tokens[:place]], dtype=torch.int64))
        total += logits[0, -1].log_softmax(0)[token].item()
    return total


def test_the_caption_is_what_the_teacher_says_of_the_picture(run, target):
    expected = load_small_teacher().caption(target)[0]
    assert len(expected.split()) > 2
    assert pointdistill.caption(CLOUD, run) == expected
    assert pointdistill.caption(CLOUD.astype(np.float32), load_distilled(run), load_small_teacher(), "y") == expected


def test_labels_are_ranked_by_likelihood_over_that_at_the_mean(run, store, target):
    teacher = load_small_teacher()
    mean = torch.from_numpy(FrameStore.open(store).target_statistics()[0])[None]
    texts = ["a bedroom", "an office", "a shower curtain"]
    scores = np.array([by_hand(teacher, target, text) - by_hand(teacher, mean, text) for text in texts])
    shares = np.exp(scores) / np.exp(scores).sum()
    found = pointdistill.classify(CLOUD, run, LABELS)
    assert list(found) == [LABELS[index] for index in np.argsort(-shares)]
    np.testing.assert_allclose([found[label] for label in LABELS], shares, rtol=1e-3)
    assert found == pointdistill.classify(CLOUD, run, LABELS[::-1], template="a {}")
    assert found != pointdistill.classify(CLOUD, run, LABELS, template="a corner of a {}")


class FeatureTeacher:
    """A teacher of image features that texts can be compared with: a label's feature is its number's unit vector."""

    identity, weights_hash, target_shape = "features", "0" * 64, (1, 4)

    def targets(self, images):
        return torch.ones(len(images), 1, 4)

    def text_features(self, texts):
        assert texts == ["a photo of a chair", "a photo of a table"]
        return 7 * torch.eye(4)[:2]


class SilentTeacher(FeatureTeacher):
    text_features = None


class Constant(torch.nn.Module):
    def predict(self, points):
        return torch.tensor([[[3.0, 3.03, 0.0, 1.0]]])


def test_features_are_compared_by_cosine(run):
    distilled = load_distilled(run)
    teacher = {"identity": "features", "weights_hash": "0" * 64, "target_shape": [1, 4]}
    constant = load_distilled(run).method
    constant.predict = Constant().predict
    distilled = replace(distilled, method=constant, teacher=teacher, mean_target=torch.zeros(1, 4))
    found = pointdistill.classify(CLOUD, distilled, ["chair", "table"], FeatureTeacher())
    length = np.sqrt(3.0**2 + 3.03**2 + 1)
    share = 1 / (1 + np.exp(-100 * 0.03 / length))
    assert found == {"table": pytest.approx(share, rel=1e-4), "chair": pytest.approx(1 - share, rel=1e-4)}
    with pytest.raises(RecipeError, match="no language model"):
        pointdistill.caption(CLOUD, distilled, FeatureTeacher())


def test_another_teacher_than_the_runs_is_refused(run, tmp_path):
    distilled = load_distilled(run)
    other = replace(distilled, teacher={**distilled.teacher, "weights_hash": "f" * 64})
    with pytest.raises(RecipeError, match=r"ffffffff, which the embedded one is not.*--teacher"):
        pointdistill.caption(CLOUD, other)
    with pytest.raises(RecipeError, match="which features 00000000 is not"):
        pointdistill.classify(CLOUD, distilled, LABELS, FeatureTeacher())


@pytest.mark.parametrize(
    ("labels", "template", "said"),
    [
        (["chair"], "a {}", "two or more"),
        (["chair", "chair"], "a {}", "each once"),
        (["chair", " "], "a {}", "none empty"),
        (["chair", "table"], "a thing", "write {} once"),
    ],
)
def test_labels_that_cannot_be(labels, template, said):
    with pytest.raises(RecipeError, match=said):
        fill(labels, template)


def test_words_that_the_teacher_does_not_know_are_named(run):
    with pytest.raises(RecipeError, match=r"does not know 'armchair', 'spaceship'. Its words: .*bathtub"):
        pointdistill.classify(CLOUD, run, ["chair", "spaceship", "armchair"])


def test_runs_that_cannot_predict_are_refused(run, tmp_path):
    with pytest.raises(CheckpointError, match="no finished pre-training"):
        load_distilled(tmp_path)
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    card = json.loads((folder / "run.json").read_text())
    for change, said in (
        ({**card["recipe"], "method": {"mask_ratio": 0.6, "decoder": {"depth": 2}}}, "predicts no teacher's target"),
        ({**card["recipe"], "backbone": {**card["recipe"]["backbone"], "depth": 2}}, "does not fit the recipe"),
        ({"name": "of another version"}, "cannot be read"),
    ):
        (folder / "run.json").write_text(json.dumps({**card, "recipe": change}))
        with pytest.raises(CheckpointError, match=said):
            load_distilled(folder)


def test_the_commands_print_it(run, store, target, capsys, tmp_path):
    np.save(tmp_path / "cloud.npy", CLOUD)
    expected = load_small_teacher().caption(target)[0]
    for words in ([str(tmp_path / "cloud.npy"), "--up", "-y"], [str(store), "--frame", "1"]):
        cli.main(["caption", *words, "--run", str(run)])
        assert capsys.readouterr().out == expected + "\n"
        cli.main(["classify", *words, "--run", str(run), "--labels", "bedroom, office,kitchen"])
        rows = [line.split(" ", 1) for line in capsys.readouterr().out.splitlines()]
        assert {name for _, name in rows} == {"bedroom", "office", "kitchen"}
        shares = [float(share) for share, _ in rows]
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=2e-3)

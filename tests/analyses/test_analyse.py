"""The verb: files, page, and one line for what cannot be used."""

import pytest

from pointdistill.report.analyses import read_analyses
from pointdistill.report.examples import load_examples
from test_cli import error_of, run


@pytest.fixture(scope="module")
def stores(finished):
    root = finished.root
    return ["--data", root / "train", "--heldout", root / "heldout"]


def test_everything_is_written(finished, stores, capsys):
    root = finished.root
    assert run("analyse", root / "run", *stores, "--objects", root / "objects") == 0
    printed = capsys.readouterr().out
    out = root / "run" / "analyses"
    assert "held-out R² by distilled, prediction" in printed and "analyses.html" in printed
    found, examples = read_analyses(out), load_examples(out)
    assert found.predictability and found.concepts and found.features and found.facts["the latter are"] == "held out"
    assert len(examples.attention) == 4 and len(examples.sampling) == 3 and not examples.detection
    assert examples.sampling[0].counts.tolist() == [64, 16]
    page = (out / "analyses.html").read_text(encoding="utf-8")
    for name in ("prefix", "attention", "features", "sampling", "facts"):
        assert f'<section id="{name}"' in page
    for name in ("labels", "protocols", "scenes"):
        assert f'<section id="{name}"' not in page


def test_frames_that_are_not_held_out_are_said(finished, tmp_path):
    root = finished.root
    twice = ["--data", root / "train", "--heldout", root / "train"]
    assert run("analyse", root / "run", *twice, "--out", tmp_path) == 0
    assert read_analyses(tmp_path).facts["the latter are"].startswith("NOT held out: 2")
    assert read_analyses(tmp_path).features is None


def test_what_cannot_be_used(finished, stores, tmp_path, capsys):
    root, out = finished.root, ["--out", tmp_path / "out"]
    for arguments, words in (
        ([root / "train", *stores], "holds no finished pre-training"),
        ([root / "run", "--data", root / "objects", "--heldout", root / "heldout"], "objects"),
        ([root / "run", *stores, "--objects", root / "train"], "Name one of labelled objects"),
        ([root / "run", *stores, "--detector", root / "run"], "belong together"),
        ([root / "run", *stores, "--detector", root / "run", "--scenes", root / "train"], "no finished fine-tuning"),
    ):
        assert words in error_of(capsys, "analyse", *arguments, *out)
    assert not (tmp_path / "out" / "analyses.json").exists()

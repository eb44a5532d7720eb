"""Frames in words, and those whose features are alike."""

import numpy as np
import pytest
import torch

from pointdistill.analyses.captions import captions, cosines, neighbours_examples, reader_of
from pointdistill.analyses.subject import pooled_frames
from pointdistill.errors import RecipeError


class Reader:
    """A language model that names the first number of a prefix."""

    def caption(self, prefix):
        return [f"{float(one.flatten()[0]):.4f}" for one in prefix]

    def log_likelihood(self, prefix, texts):
        raise NotImplementedError


def test_cosines_are_those_of_the_definition():
    features = np.random.default_rng(0).normal(size=(5, 7))
    centred = features - features.mean(0)
    for a in range(5):
        for b in range(5):
            wanted = centred[a] @ centred[b] / np.linalg.norm(centred[a]) / np.linalg.norm(centred[b])
            assert cosines(features)[a, b] == pytest.approx(wanted)
    assert (cosines(np.ones((3, 4))) == 0).all()


def test_captions_are_of_the_teachers_and_of_the_predicted_prefix(finished):
    found = captions(finished.subject, finished.heldout, Reader(), shown=3)
    rows = [0, (len(finished.heldout) - 1) // 2, len(finished.heldout) - 1]
    assert [float(one.teacher) for one in found] == pytest.approx(
        [float(finished.heldout.targets[row].flatten()[0]) for row in rows], abs=1e-3
    )
    batch = finished.subject.loader(finished.heldout, len(finished.heldout)).batch(np.array(rows), 0)
    with torch.inference_mode():
        predicted = finished.subject.method.predict(batch.points)
    assert [one.student for one in found] == Reader().caption(predicted)
    assert captions(finished.subject, finished.heldout, None) == []


def test_neighbours_are_of_other_scans_and_the_most_alike(finished):
    store = finished.heldout
    found = neighbours_examples(finished.subject, store, Reader(), shown=2)
    likeness = cosines(pooled_frames(finished.subject.backbone, finished.subject.loader(store, len(store))))
    assert len(found) == 2
    for example, asked in zip(found, (0, len(store) - 1), strict=True):
        scan = store.scan_of(asked)
        assert example.names[0].startswith(scan) and not any(name.startswith(scan) for name in example.names[1:])
        others = [row for row in range(len(store)) if store.scan_of(row) != scan]
        assert example.likeness[1:] == pytest.approx(sorted(likeness[asked, others], reverse=True)[:3])
        assert example.likeness[0] == pytest.approx(1) and example.counts.sum() == len(example.points)
        assert all(example.said)


def test_a_teacher_that_does_not_speak_is_passed_over_unless_named(finished):
    assert reader_of(finished.subject, finished.root / "run") is None
    with pytest.raises(RecipeError):
        reader_of(finished.subject, finished.root / "run", "random")

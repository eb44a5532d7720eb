import numpy as np
import pytest
import torch

from pointdistill.analyses.concept_attention import attention_examples, concept_attention, concept_figures, figures_of


def test_examples_are_of_evenly_spaced_frames(finished):
    found = attention_examples(finished.subject, finished.heldout, shown=3)
    for one, row in zip(found, (0, 5, 11), strict=True):
        assert one.title == f"{finished.heldout.scan_of(row)}, frame {finished.heldout.frames[row]}"
        assert one.attention.shape == (4, 8) and one.patches.shape == (8, 8)
        np.testing.assert_allclose(one.attention.sum(1), 1, rtol=1e-5)
        distance = np.abs(one.points[:, None] - finished.heldout.cloud(row)[None]).max(-1).min(1)
        assert distance.max() < 1e-4, "points stand where the camera saw them"


def test_attention_follows_its_patches(finished):
    """Another order of the same points gives each patch, found by its centre, the same weight."""
    method = finished.subject.method
    points = finished.subject.loader(finished.heldout, 12).batch(np.array([3]), 0).points
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(63, generator=torch.Generator())])
    torch.testing.assert_close(
        concept_attention(method, points), concept_attention(method, points[:, order]), rtol=1e-3, atol=1e-5
    )


def test_figures():
    groups = torch.eye(4)
    same = figures_of(groups[[0, 0]].expand(3, 2, 4))
    assert (same.frames, same.patches, same.overlap) == (3, 4, 1.0) and same.read == [1.0, 1.0]
    assert figures_of(groups[[0, 1]].expand(3, 2, 4)).overlap == 0.0
    even = figures_of(torch.full((2, 1, 4), 0.25))
    assert even.overlap is None and even.read == pytest.approx([4.0])


def test_of_held_out_frames(finished):
    found = concept_figures(finished.subject, finished.heldout)
    assert found is not None and found.frames == 12 and len(found.read) == 4
    assert all(1 <= read <= 8.001 for read in found.read) and 0 <= found.overlap <= 1.001

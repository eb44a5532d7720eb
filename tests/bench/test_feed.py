"""What `bench feed` measures and says; never whether this machine is fast."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill.bench import feed as bench
from pointdistill.bench.feed import FeedFigures
from pointdistill.bench.synthetic_store import synthetic_store
from pointdistill.errors import RecipeError
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.models.projector import ProjectorConfig
from pointdistill.recipes.paper import paper


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return synthetic_store(tmp_path_factory.mktemp("feed") / "store", 1)


@pytest.fixture
def small(monkeypatch):
    """The paper's recipe with a backbone that takes no time."""
    recipe = paper()
    method = replace(recipe.method, projector=ProjectorConfig(form="mix"))
    backbone = BackboneConfig(width=384, depth=1, heads=6, groups=8, group_size=8)
    monkeypatch.setattr(bench, "usable_cores", lambda: 1)
    monkeypatch.setattr(bench, "paper", lambda: replace(recipe, backbone=backbone, method=method))


def test_a_made_up_store_is_the_papers_size(store):
    assert len(store) == 64 and store.points.shape[1] == 16384 and store.target_shape == (10, 768)
    assert (store.counts == 16384).all()
    assert np.abs(store.cloud(0) - store.cloud(1)).max() > 0.1  # each frame is another


def test_figures_of_a_store(store, small):
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    figures = bench.feed(store, batches=2, steps=1)
    assert (figures.frames, figures.stored_points, figures.points) == (64, 16384, 4096)
    assert 0 < figures.clouds < figures.copies and figures.clouds_elapsed > 0
    assert figures.share == figures.feed / figures.step > 0
    assert torch.get_num_threads() == threads
    assert cores is None or os.sched_getaffinity(0) == cores


def test_limits():
    good = FeedFigures(64, 16384, 4096, 5000.0, 4000.0, 9e4, 0.05, 1.0)
    assert [row.limit.held for row in good.rows()] == [True, True]
    bad = replace(good, clouds=4999.0, feed=0.051).rows()
    assert [row.limit.held for row in bad] == [False, False]
    assert "by the clock 4,000" in bad[0].note and bad[1].ratio("a step of the paper's recipe") == pytest.approx(
        1 / 0.051
    )


def test_a_store_that_is_too_small(store, monkeypatch):
    monkeypatch.setattr(bench, "_BATCH", 65)
    with pytest.raises(RecipeError, match="64 frames are less than one batch of 65"):
        bench.feed(store)

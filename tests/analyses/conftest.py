"""A tiny finished distillation, its store, one of other rooms, and labelled objects."""

from dataclasses import replace
from typing import NamedTuple

import pytest

import build_labelled
import build_scannet
from fake_teacher import factory
from pointdistill.analyses.subject import Subject
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.prepare import prepare_frames
from pointdistill.pretraining import run_pretrain
from pointdistill.recipes.quickstart import distillation
from pointdistill.store import FrameStore
from test_cli import run


class Finished(NamedTuple):
    """Folders, and what is read from them."""

    root: object
    subject: Subject
    train: FrameStore
    heldout: FrameStore


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    root = tmp_path_factory.mktemp("analyses")
    stores = {}
    for name, scans in (("train", ["scene0000_00", "scene0001_00"]), ("heldout", ["scene0002_00", "scene0003_00"])):
        raw = build_scannet.write_data_set(root / "raw" / name, scans, frames=6)
        stores[name] = prepare_frames(raw, root / name, factory(), every=1, points=120, workers=1)
    recipe = distillation()
    recipe = replace(
        recipe,
        backbone=BackboneConfig(width=24, depth=2, heads=2, groups=8, group_size=8),
        frames=replace(recipe.frames, points=64),
        method=replace(recipe.method, concepts=replace(recipe.method.concepts, count=4, heads=2)),
        engine=replace(recipe.engine, epochs=2, batch_size=4, warmup_epochs=0),
    )
    assert isinstance(recipe.method.concepts, ConceptConfig)
    run_pretrain(recipe, root / "train", root / "heldout", root / "run")
    assert (
        run("prepare", build_labelled.write_modelnet(root / "modelnet", per_class=4), root / "objects", "--labels") == 0
    )
    return Finished(root, Subject.read(root / "run"), stores["train"], stores["heldout"])

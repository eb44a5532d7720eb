"""`pointdistill probe`: frozen backbones by every protocol, from a prepared store."""

import json
from dataclasses import replace

import pytest

import build_labelled
from pointdistill.errors import RecipeError
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.probing import PROTOCOLS, run_probe
from pointdistill.recipes.downstream import RECIPES
from test_cli import error_of, run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    assert run("prepare", build_labelled.write_modelnet(folder / "raw"), folder / "objects", "--labels") == 0
    return folder / "objects"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol(store, protocol):
    recipe = RECIPES["classification-small"]()
    task = replace(recipe.task, points=64, group_count=8, group_size=8)
    recipe = replace(recipe, task=task, backbone=BackboneConfig(width=24, depth=2, heads=2))
    found = run_probe(recipe, store, protocol=protocol)
    assert found["accuracy"] > 0.9, "random features tell balls from plates"
    assert run_probe(recipe, store, protocol=protocol) == found


def test_the_command_prints_one_table(store, tmp_path, capsys):
    command = ("probe", "classification-small", "--data", store)
    assert run(*command, "--protocol", "nearest-neighbours", "--out", tmp_path / "figures.json") == 0
    said = capsys.readouterr().out
    assert "frozen backbone, nearest-neighbours, test split" in said and "plate" in said
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert (kept["protocol"], kept["init"]) == ("nearest-neighbours", "scratch") and "accuracy" in kept["figures"]
    assert "store of objects" in error_of(capsys, "probe", "detection-small", "--data", store)


def test_unknown_protocols_are_refused(store):
    with pytest.raises(RecipeError, match=r"no protocol 'mlp'\. Choose one of linear"):
        run_probe(RECIPES["classification-small"](), store, protocol="mlp")

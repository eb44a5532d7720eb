"""What `dataclasses.asdict` and JSON made of a dataclass comes back as it was."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import distillation, point_mae
from pointdistill.recipes.recipe import as_json, read_pretrain_recipe
from pointdistill.recipes.reconstruction import distillation_with_reconstruction, reconstruction
from pointdistill.typed_json import read_typed


@dataclass(frozen=True)
class Inner:
    size: int
    pair: tuple[float, float] = (0.5, 1.0)


@dataclass(frozen=True)
class Other:
    length: int


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | Other
    many: tuple[Inner, ...]
    mode: Literal["a", "b"]
    named: dict[int, str]
    maybe: float | None = None
    nested: list[tuple[int, ...]] = field(default_factory=list)
    on: bool = False


VALUE = Outer("x", Other(3), (Inner(1), Inner(2, (1.0, 2.0))), "b", {4: "four"}, 0.1, [(1, 2), ()], True)


def test_round_trip():
    content = json.loads(json.dumps(asdict(VALUE)))
    again = read_typed(Outer, content)
    assert again == VALUE and isinstance(again.many[1].pair, tuple) and list(again.named) == [4]
    del content["maybe"], content["many"][1]["pair"]
    assert read_typed(Outer, content).maybe is None and read_typed(Outer, content).many[1].pair == (0.5, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 3}, "name: 3 is no str"),
        ({"mode": "c"}, "mode: 'c' is no"),
        ({"colour": 1}, "Outer has no field 'colour'"),
        ({"many": [{"size": 1}, {"size": "2"}]}, r"many\[1\]\.size: '2' is no int"),
        ({"inner": {"width": 1}}, "inner has no field 'width'"),
        ({"named": {"four": "x"}}, "named: 'four' is no int"),
        ({"on": 1}, "on: 1 is no bool"),
        ({"maybe": True}, "maybe: True is no float"),
        ({"many": {}}, "many: {} is no"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    with pytest.raises(TypeError, match=words):
        read_typed(Outer, {**json.loads(json.dumps(asdict(VALUE))), **change})


def test_what_is_missing_is_named():
    content = asdict(VALUE)
    del content["mode"]
    with pytest.raises(TypeError, match="Outer lacks 'mode'"):
        read_typed(Outer, content)


RECIPES = [
    paper(),
    distillation(),
    point_mae(distillation()),
    *(reconstruction(paper(), at) for at in ("input", "output")),
    *(distillation_with_reconstruction(distillation(), at) for at in ("input", "output")),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.name)
def test_pretrain_recipes(recipe):
    assert read_pretrain_recipe(json.loads(json.dumps(as_json(recipe)))) == recipe

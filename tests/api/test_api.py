"""The documented way from Python: every example of docs/api.md and of the public docstrings."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pointdistill
from hub_stand_in import standing_in

ROOT = Path(__file__).parents[2]
PUBLIC = sorted({*pointdistill.__all__} - {"geometry"})


def run_examples(test: doctest.DocTest) -> int:
    """How many there were; all said what they should."""
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(test, out=said.append)
    assert results.failed == 0, "".join(said)
    return results.attempted


def test_every_block_of_the_page_runs(named, monkeypatch, tmp_path):
    monkeypatch.chdir(named)
    page = (ROOT / "docs" / "api.md").read_text()
    torch.manual_seed(0)
    assert page.count("```python") == page.count("```python\n>>> ")
    blocks = re.sub(r"```bash\n.*?```", "", page, flags=re.DOTALL).replace("```", "")
    examples = doctest.DocTestParser().get_doctest(blocks, {}, "docs/api.md", "docs/api.md", 0)
    with standing_in(str(tmp_path)) as hub:
        assert run_examples(examples) > 40
    assert list(hub.repositories) == ["me/rooms"]


def test_examples_in_docstrings_run():
    finder, ran = doctest.DocTestFinder(exclude_empty=True), 0
    for name in PUBLIC:
        thing = getattr(pointdistill, name)
        home = importlib.import_module(thing.__module__)
        for test in finder.find(thing, name, home, globs={**vars(home), "np": np, "torch": torch}):
            ran += run_examples(test)
    assert ran > 10


def test_public_names_are_there_and_say_what_they_are():
    assert {*pointdistill.__all__} <= {*dir(pointdistill)}
    assert len(PUBLIC) == len(pointdistill.__all__) - 1
    page = (ROOT / "docs" / "api.md").read_text()
    for name in PUBLIC:
        thing = getattr(pointdistill, name)
        assert thing.__name__ == name and len(thing.__doc__) > 40, name
        assert f"`{name}" in page or f" {name}(" in page, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pointdistill.nothing  # noqa: B018


def test_importing_it_loads_nothing_heavy():
    said = "import sys, pointdistill; dir(pointdistill); print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


TYPED = """
import numpy as np
import torch
from pointdistill import *
import pointdistill as p

reveal_type(p.create_backbone("vit_nano")(torch.rand(1, 100, 3)).pooled)
reveal_type(p.create_backbone("vit_nano")([np.zeros((4, 3)), torch.rand(5, 3)]).at(np.zeros((1, 2, 3))))
reveal_type(p.embed("a.ply", "run"))
reveal_type(p.embed(["a.ply", np.zeros((3, 3))], "run"))
reveal_type(p.caption(torch.rand(3, 3), "run"))
reveal_type(p.caption([torch.rand(3, 3)], "run"))
reveal_type(p.classify(np.zeros((3, 3)), "run", ["a", "b"]))
reveal_type(p.Distiller(p.create_backbone()).caption(["a.ply"]))
reveal_type(p.Distiller(p.create_backbone())(torch.rand(1, 100, 3), []).total)
reveal_type(p.load_teacher("imagenet").targets([]))
reveal_type(p.finetune("modelnet40", None, "data").figures)
reveal_type(p.unit_clouds("a.ply"))
p.embed(3, "run")
"""
REVEALED = [
    "Tensor",
    "Tensor",
    "Embedding",
    "list[Embedding]",
    "str",
    "list[str]",
    "dict[str, float]",
    "list[str]",
    "Tensor",
    "Tensor",
    "dict[str, Any]",
    "list[Tensor]",
]


@pytest.mark.long
def test_a_type_checker_knows_the_public_names(tmp_path):
    import json

    (tmp_path / "use.py").write_text(TYPED)
    done = subprocess.run(
        [Path(sys.executable).parent / "pyright", "--outputjson", tmp_path / "use.py"], capture_output=True, text=True
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    revealed = [one["message"].rpartition(' is "')[2].rstrip('"') for one in found if one["severity"] == "information"]
    assert revealed == REVEALED
    errors = [one for one in found if one["severity"] == "error"]
    assert len(errors) >= 1 and all("embed" in TYPED.splitlines()[one["range"]["start"]["line"]] for one in errors)

"""The notebooks: run to their end as they stand, with nothing kept of the machine that ran them."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from test_guides import arguments, parsed  # noqa: F401

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["nbformat"] == 4 and found["metadata"]["kernelspec"]["name"] == "python3"
    return [cell for cell in found["cells"] if cell["cell_type"] == kind]


def script(path: Path) -> str:
    """The code of all cells; their command lines (!...) become calls."""
    lines = "\n".join("".join(cell["source"]) for cell in cells(path, "code")).splitlines()
    return "\n".join(f"_run({shlex.split(line[1:])!r})" if line.startswith("!") else line for line in lines)


def test_there_are_some():
    assert len(NOTEBOOKS) >= 2


@notebooks
def test_code_compiles_and_commands_parse(parsed, path):  # noqa: F811
    compile(script(path), path.name, "exec")
    commands = [
        line[1:]
        for cell in cells(path, "code")
        for line in "".join(cell["source"]).splitlines()
        if line.startswith("!")
    ]
    assert commands
    for command in commands:
        given = arguments(command)
        assert given is not None, command
        parsed([word for word in given if word != "--quiet"])  # of every verb: read before the verb is


@notebooks
def test_what_is_kept_is_of_one_run_from_the_first_cell_to_the_last(path):
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(tmp|home|root|work|Users)/|Traceback|\x1b|\\u001b", text)
    assert len(text) < 600_000


@notebooks
def test_links_lead_somewhere(path):
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links and all((path.parent / link).is_file() for link in links), links


RUN = """
import subprocess, sys
def _run(words):
    subprocess.run([sys.executable, "-m", *words], check=True)
"""


@pytest.mark.long
@notebooks
def test_notebooks_run(tmp_path, path):
    (tmp_path / "notebook.py").write_text(RUN + script(path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "notebook.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr

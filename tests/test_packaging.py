"""What is installed: light imports, one version, all files, help for every verb."""

import contextlib
import inspect
import io
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from setuptools import Distribution

import pointdistill
from pointdistill.cli import VERBS, main

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pointdistill"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

HELP_OF_ALL_VERBS = """
import contextlib, io, sys
import pointdistill
from pointdistill.cli import VERBS, main

for arguments in ([], *([verb] for verb in VERBS)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
print(*sorted({"torch", "numpy", "scipy", "plotly"} & set(sys.modules)))
"""


def test_import_and_help_load_neither_torch_nor_numpy():
    found = subprocess.run([sys.executable, "-c", HELP_OF_ALL_VERBS], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_one_version():
    assert pointdistill.__version__ == PROJECT["version"] == metadata.version("pointdistill")
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_console_script_is_the_cli():
    assert PROJECT["scripts"] == {"pointdistill": "pointdistill.cli:main"}


@pytest.fixture(scope="module")
def shipped() -> set[Path]:
    """All files of a wheel, relative to the package, by setuptools' own reading of pyproject.toml."""
    with contextlib.chdir(ROOT):
        distribution = Distribution({"script_name": "setup.py"})
        distribution.parse_config_files([str(ROOT / "pyproject.toml")])
        distribution.include_package_data = False  # what version control knows must not decide what is shipped
        command = distribution.get_command_obj("build_py")
        command.ensure_finalized()
        modules = [Path(path) for _, _, path in command.find_all_modules()]
        data = [Path(folder, name) for _, folder, _, names in command.data_files for name in names]
        return {path.resolve().relative_to(SOURCE) for path in (*modules, *data)}


def test_type_marker_and_teacher_are_shipped(shipped):
    assert {
        Path("py.typed"),
        Path("teachers/weights/teacher.safetensors"),
        Path("teachers/weights/teacher.json"),
    } <= shipped


def test_every_file_of_the_package_is_shipped(shipped):
    there = {
        path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert there - shipped == set()


def test_every_room_is_a_package():
    rooms = {path.parent for path in SOURCE.rglob("*.py")}
    assert {room for room in rooms if not (room / "__init__.py").is_file()} == set()


def _help(*arguments: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit) as left:
        main([*arguments, "--help"])
    assert left.value.code == 0
    return text.getvalue()


def _words(text: str) -> str:
    """The text without the help's frames and line breaks."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_a_verb_does_and_what_each_option_means(verb):
    text = _words(_help(verb))
    document = inspect.getdoc(VERBS[verb])
    assert document is not None
    summary, _, arguments = document.partition("Args:")
    assert " ".join(summary.split("\n\n")[0].split()) in text
    explained = dict(re.findall(r"^ {4}(\w+): (.+?)(?=^ {4}\w|\Z)", arguments, re.MULTILINE | re.DOTALL))
    assert list(explained) == list(inspect.signature(VERBS[verb]).parameters)
    for name, explanation in explained.items():
        assert " ".join(explanation.split()).rstrip(".") in text, f"{verb} --help does not explain {name}"


def test_help_lists_all_verbs():
    text = _words(_help())
    for verb in VERBS:
        assert f" {verb} " in text
    assert "--debug" in text and "--version" in text


def test_version_option(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"pointdistill {PROJECT['version']}\n"


def test_what_a_user_can_mend_is_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left:
        main(["quickstart", "--fast", "--thorough"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("pointdistill: error: ") and error.count("\n") == 1 and "Traceback" not in error
    with pytest.raises(SystemExit):
        main(["quickstart", "--fast", "--thorough", "--debug"])
    assert "Traceback" in capsys.readouterr().err

"""The guides' commands: all of them parse, with the values given; in the long form all that can run here are run."""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointdistill import cli
from test_own_files import example

ROOT = Path(__file__).parent.parent
GUIDES = sorted(
    {"index.md", "first-steps.md", "own-recordings.md", "own-teacher.md", "own-method.md", "own-task.md", "own-data.md"}
    | {"reproduce-scannet.md", "reading-results.md", "faq.md"}
)


def commands(page: str) -> list[str]:
    """The command lines of a page's shell blocks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


def arguments(command: str) -> list[str] | None:
    """What the command line is given; None of other programs' commands."""
    words = shlex.split(command)
    if words[0] == "torchrun":
        return words[words.index("-m") + 2 :]
    return words[1:] if words[0] == "pointdistill" else None


@pytest.fixture
def parsed(monkeypatch):
    """The command line with verbs that do nothing: what each would have been called with."""

    def stub(verb):
        return functools.wraps(verb)(lambda *given, **options: (given, options))

    monkeypatch.setattr(cli, "VERBS", {name: stub(verb) for name, verb in cli.VERBS.items()})
    return cli._run


@pytest.mark.parametrize("page", GUIDES)
def test_commands_parse(parsed, page):
    assert commands(page) or page == "reading-results.md"
    for command in commands(page):
        given = arguments(command)
        if given is None:
            assert shlex.split(command)[0] in ("pip", "python"), command
        elif given != ["--version"]:
            try:
                parsed(given)
            except SystemExit as left:
                raise AssertionError(f"{page}: {command}") from left


def test_wrong_commands_do_not_parse(parsed):
    for command in ("pretrain quickstart --data", "doctor rooms --every soon", "prepare rooms"):
        with pytest.raises((SystemExit, cli.PointdistillError)):
            parsed(command.split())


SMALLER = {
    "world": ["--frames", "6"],
    "prepare": [],
    "pretrain": ["--epochs", "1", "--batch-size", "4"],
    "finetune": ["--epochs", "1", "--batch-size", "2"],
}
NOT_HERE = re.compile(
    r"^pip |torchrun|quickstart --fast|clipcap|--teacher imagenet|--scale paper|--from |bench sens|"
    r"\b(STORES?|RUN|OBJECTS|TUNED|SCENES|CLOUDS|MODEL|RECIPE)\b|finetune (scannet|modelnet)|evaluate .* scenes|"
    r"my_recipe|reproduce"
)
"""What needs downloads, a GPU, others' files or hours."""


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in GUIDES if page not in ("index.md", "reading-results.md", "faq.md")])
def test_commands_run(tmp_path, page):
    """One after the other, in a smaller form, where the guide leaves its reader."""
    program = [sys.executable, "-m", "pointdistill"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def run(*words: object) -> None:
        line = [str(word) for word in (*program, *words)]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{page}: {' '.join(line[2:])}: {done.stdout}{done.stderr}"

    for other in ("own-data.md", "own-method.md", "own-task.md", "own-teacher.md"):
        name, text = example(other)
        (tmp_path / name).write_text(text)
    run("world", "scannet", "rooms", "--count", "4", "--frames", "6")
    run("prepare", "rooms", "first", "--every", "1", "--points", "2048")
    run("pretrain", "quickstart", "--data", "first", "--out", "run", "--epochs", "1", "--batch-size", "4")
    for name in ("SCANNET", "my_rooms"):
        (tmp_path / name).symlink_to("rooms")
    if page == "own-data.md":
        shutil.rmtree(tmp_path / "run")
        _data(tmp_path / "DATA")
    if page in ("first-steps.md", "own-recordings.md"):
        shutil.rmtree(tmp_path / "run")
    if page in ("first-steps.md", "own-method.md", "own-task.md", "own-teacher.md"):
        shutil.rmtree(tmp_path / "rooms")
    if page == "own-teacher.md":
        shutil.rmtree(tmp_path / "run")
    ran = 0
    for command in commands(page):
        given = arguments(command)
        if given is None or NOT_HERE.search(command):
            continue
        given = [word for word in given if word not in ("--device", "cuda", "--frames-only")]
        given = ["1" if before == "--every" else word for before, word in zip(["", *given], given, strict=False)]
        more = SMALLER.get(given[0], [])
        if given[0] == "prepare" and "--labels" not in given:
            more = ["--points", "2048", *([] if "--every" in given else ["--every", "1"])]
        if given[0] == "pretrain" and given[1] == "paper":
            continue
        run(*given, *more)
        ran += 1
    assert ran >= 3 or page == "reproduce-scannet.md"


def _data(root: Path) -> None:
    """own-data.md's folder."""
    from test_own_files import write_data

    write_data(root)

"""README's commands, taken from its text, run in their fast form: the quickstart's table and page come out."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pointdistill import create_backbone

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TASKS = {"classification", "semantic_segmentation", "detection", "part_segmentation"}


def commands():
    """Every command line in README's shell blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def environment():
    """This process's environment without the tests' thread setting."""
    return {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The first of the two commands, in its fast form."""
    assert commands()[0] == "make quickstart"
    out = tmp_path_factory.mktemp("readme") / "quickstart"
    done = subprocess.run(
        ["make", "-C", ROOT, "quickstart", f"OUT={out}", "ARGS=--fast"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_the_first_screen_is_the_two_commands():
    assert commands()[:2] == ["make quickstart", "make test"]


def test_quickstart_prints_one_table_and_says_that_it_claims_nothing(quickstart):
    _, printed = quickstart
    for task in TASKS:
        assert task.replace("_", " ") in printed.lower()
    assert "mean nothing" in printed
    assert "\x1b" not in printed


def test_results_hold_what_others_rely_on(quickstart):
    out, _ = quickstart
    results = json.loads((out / "results.json").read_text())
    assert results["schema"] == 1
    assert set(results["tasks"]) == TASKS
    for task in results["tasks"].values():
        assert isinstance(task["metric"], str)
        assert len(task["scratch"]) == len(task["distilled"]) == len(task["seeds"])
        assert all(0 <= figure <= 100 for figure in task["scratch"] + task["distilled"])
    assert set(results["seconds"]) >= {"data", "preparation", "training"}


def test_the_page_is_whole_and_needs_no_network(quickstart):
    out, _ = quickstart
    page = (out / "report.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?:", page)


def test_the_same_command_again_does_nothing_twice(quickstart):
    out, _ = quickstart
    before = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    subprocess.run(["make", "-C", ROOT, "quickstart", f"OUT={out}", "ARGS=--fast"], check=True, env=environment())
    assert before
    assert before == {path: path.stat().st_mtime_ns for path in before}


SMALLER = {
    "world": ["--frames", "6"],
    "doctor": [],
    "prepare": ["--points", "2048"],
    "pretrain": ["--epochs", "1", "--batch-size", "4"],
    "finetune": ["--epochs", "1", "--batch-size", "2"],
    "evaluate": [],
    "report": [],
    "reproduce": [],
    "caption": [],
    "classify": [],
    "embed": [],
}
"""What makes a command quick; the other verbs train for long, or are what `quickstart` above has run."""


def test_the_other_commands_run_as_written(quickstart, tmp_path):
    """One after the other, as README has them, each in a smaller form; those that take long by their help."""
    shutil.copytree(quickstart[0], tmp_path / "quickstart", ignore=shutil.ignore_patterns("data", "store"))
    program = [ROOT / ".venv/bin/pointdistill"]
    for command in commands():
        words = shlex.split(command)
        if words[0] != "pointdistill":
            continue
        more = SMALLER.get(words[1])
        run = [*program, *words[1:], *more] if more is not None else [*program, words[1], "--help"]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=environment())
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        for option in (word for word in words[2:] if more is None and word.startswith("--")):
            assert option in done.stdout, command
    assert (tmp_path / "run" / "backbone.safetensors").exists()
    assert create_backbone("vit_nano", pretrained=tmp_path / "run").width == 96


def test_the_python_block_runs():
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(block, names)
    assert names["features"].tokens.shape == (2, 64, 384)
    assert names["features"].pooled.shape == (2, 768)
    assert names["each"].shape == (2, 4096, 384)

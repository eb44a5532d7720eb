"""How verbs speak: answers and remarks, --quiet, --json, names that are nearly right, help that teaches."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import build_labelled
from pointdistill import cli
from pointdistill.cli import OF_EVERY_VERB, VERBS, options
from pointdistill.console import answer, console, in_json, progress, say, silence, speaking, warn
from pointdistill.errors import choose
from pointdistill.verbs.examples import EXAMPLES

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x9b]")


def call(capsys, *arguments):
    """Exit code, standard output and standard error of a command in this process."""
    code = 0
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as left:
        code = left.code
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Labelled objects, prepared."""
    folder = tmp_path_factory.mktemp("objects")
    root = build_labelled.write_modelnet(folder / "modelnet", per_class=2)
    cli.main(["prepare", str(root), str(folder / "store"), "--labels", "--quiet"])
    return folder / "store"


def test_what_is_heard(capsys):
    def everything():
        say("a remark")
        answer("[an answer] of :cat: and more")
        warn("a warning")

    everything()
    heard = capsys.readouterr()
    assert heard.out == "a remark\n[an answer] of :cat: and more\nwarning: a warning\n" and not heard.err
    with speaking(quiet=True):
        everything()
    assert capsys.readouterr().out == "[an answer] of :cat: and more\nwarning: a warning\n"
    with speaking(as_json=True):
        everything()
    heard = capsys.readouterr()
    assert not heard.out and "a remark" in heard.err and "an answer" in heard.err
    with silence():
        everything()
    with speaking(quiet=True, as_json=True):
        everything()
    assert capsys.readouterr() == ("", "")
    everything()
    assert "a remark" in capsys.readouterr().out


def test_json_of_what_is_no_json(tmp_path):
    found = in_json({"out": tmp_path, 3: (float("nan"), 1.5, float("inf"), True, None), "n": [{"a": 1}]})
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "out": str(tmp_path),
        "3": [None, 1.5, None, True, None],
        "n": [{"a": 1}],
    }


def test_json_is_all_of_the_output(capsys, tmp_path, objects):
    """Real commands: each leaves one object, readable by any JSON reader, with what its folder says."""
    finetune = ("finetune", "classification-small", "--data", objects, "--out", tmp_path / "run", "--epochs", 1)
    found = {}
    for name, command in {
        "doctor": ("doctor", objects),
        "finetune": finetune,
        "evaluate": ("evaluate", tmp_path / "run", "--data", objects, "--workers", 1),
        "probe": ("probe", "classification-small", "--data", objects),
    }.items():
        quiet = ["--quiet"] if name == "probe" else []
        code, out, err = call(capsys, *command, "--json", *quiet)
        found[name] = json.loads(out)
        assert code == 0 and (not err if quiet else err and not CONTROL.search(err)), name
    assert found["doctor"]["problems"] == [] and found["doctor"]["path"] == str(objects)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["finetune"] == {"out": str(tmp_path / "run"), **result}
    folder = tmp_path / "run" / "evaluation-test"
    assert found["evaluate"] == {"out": str(folder), **json.loads((folder / "results.json").read_text())}
    assert 0 <= found["probe"]["figures"]["accuracy"] <= 1


def test_json_of_a_failure_is_none(capsys, tmp_path):
    code, out, err = call(capsys, "evaluate", tmp_path / "nowhere", "--data", tmp_path, "--json")
    assert code == 2 and not out and len(err.splitlines()) == 1


def test_doctor_in_json_keeps_its_exit_code(capsys, tmp_path):
    root = build_labelled.write_modelnet(tmp_path / "modelnet", per_class=2)
    broken = next(root.rglob("*_0001.txt"))
    broken.write_text(broken.read_text().replace(broken.read_text().split(",")[0], "nan", 1))
    code, out, _ = call(capsys, "doctor", root, "--json")
    assert code == 1 and any(broken.name in problem for problem in json.loads(out)["problems"])


def test_quiet_prints_the_table_alone(capsys, tmp_path, objects):
    command = ("finetune", "classification-small", "--data", objects, "--out", tmp_path / "run", "--epochs", 1)
    _, loud, _ = call(capsys, *command)
    _, quiet, err = call(capsys, *command, "--quiet")
    assert "accuracy" in quiet and "s of training" in loud and "s of training" not in quiet and not err
    assert set(quiet.splitlines()) < set(loud.splitlines())


def test_no_control_characters_but_on_a_terminal(tmp_path, objects):
    command = [sys.executable, "-m", "pointdistill", "finetune", "classification-small", "--data", str(objects)]
    said = subprocess.run(
        [*command, "--out", str(tmp_path / "piped"), "--epochs", "1"], capture_output=True, text=True, check=True
    )
    assert not CONTROL.search(said.stdout) and not CONTROL.search(said.stderr)
    shown = _on_a_terminal([*command, "--out", str(tmp_path / "shown"), "--epochs", "2"])
    assert "\x1b[" in shown and "left" in shown and re.search(r"[\d.]+/s|[\d.]+ s each", shown), shown
    quiet = _on_a_terminal([*command, "--out", str(tmp_path / "quiet"), "--epochs", "2", "--quiet"])
    assert "left" not in quiet and "accuracy" in quiet


def _on_a_terminal(command):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "160"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # nobody writes any more
            break
        if not piece:
            break
        shown += piece
    assert process.wait() == 0, shown
    return shown.decode()


def test_bars_show_rate_time_left_and_losses(monkeypatch, capsys):
    monkeypatch.setattr(console, "_force_terminal", True)
    with progress() as bars:
        task = bars.add_task("pre-training", total=100, note="")
        for done in (10, 20, 30):
            bars.update(task, completed=done, note="loss 0.123")
        bars.refresh()
        shown = "".join(str(column(bars.tasks[0])) for column in bars.columns if not isinstance(column, str))
    assert "loss 0.123" in shown and "30/100" in shown
    assert re.search(r"[\d.e+]+/s|s each", shown), shown


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("pretrian quickstart", "Did you mean pretrain?"),
        ("pretrain quickstart --dta store", "Did you mean --data?"),
        ("pretrain quickstart --heldut=store", "Did you mean --heldout?"),
        ("evaluate run --jason", "Did you mean --json?"),
        ("pretrain quickstrat --data store", "Did you mean quickstart?"),
        ("pretrain quickstart-point-ame --data store", "Did you mean quickstart-point-mae?"),
        ("finetune detection-smal --data store", "Did you mean detection-small?"),
        ("reproduce tabel5", "Did you mean table5?"),
        ("prepare HERE/scans HERE/new --teacher imagnet", "Did you mean imagenet?"),
        ("doctor HERE/scnas", "Did you mean scans?"),
        ("doctor HERE/scnas/deeper", "Did you mean scans?"),
        ("embed HERE/clod.npy --backbone HERE --out x.npz", "Did you mean"),
    ],
)
def test_nearly_right_names(capsys, tmp_path, command, meant):
    (tmp_path / "scans").mkdir()
    np.save(tmp_path / "cloud.npy", np.zeros((4, 3)))
    code, out, err = call(capsys, *command.replace("HERE", str(tmp_path)).split())
    assert code == 2 and not out and len(err.splitlines()) == 1
    if "embed" not in command:
        assert meant in err


def test_names_that_resemble_none_are_listed():
    assert choose("abacus", ["chair", "table"]) == "Choose one of chair, table"
    assert choose("Tabel", ["chair", "table"]) == "Did you mean table?"
    assert choose("anything", []) == "Choose one of "


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_examples_that_are_commands(capsys, verb):
    code, out, _ = call(capsys, verb, "--help")
    assert code == 0 and not CONTROL.search(out)
    below = out.split("examples:\n")[1]
    assert all(option in below for option in OF_EVERY_VERB)
    for example in EXAMPLES[verb]:
        assert example in below
        words = shlex.split(example, comments=True)
        words = words[words.index("pointdistill") + 1 :]
        assert words[0] == verb
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options(verb) | set(OF_EVERY_VERB)


def test_examples_are_of_verbs():
    assert list(EXAMPLES) == list(VERBS)

"""One-file recipes, as the documents have them: a data set, a teacher, a method and a task from a temporary folder, by
the command line, without touching the package; and what is said of files that are wrong."""

import csv
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import build_labelled
import pointdistill
import task_samples
from pointdistill import cli
from pointdistill.datasets.user import load_user_reader
from pointdistill.errors import CheckpointError, PointdistillError, RecipeError
from pointdistill.models.checkpoints import load_backbone
from pointdistill.pretraining import run_named_recipe
from pointdistill.recipes.user import load_pretrain_recipe
from pointdistill.store import FrameStore
from pointdistill.user_code import UserCode, user_code

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(__file__).parents[1] / "src" / "pointdistill"


def example(page: str) -> tuple[str, str]:
    """A page's file: its name, in the first line, and its content."""
    blocks = re.findall(r"```python\n(# (my_\w+\.py)\n.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1, page
    return blocks[0][1], blocks[0][0]


def write_data(root: Path) -> None:
    """Data in the layout that own-data.md makes up."""
    generator = np.random.default_rng(0)
    for number in range(2):
        place = root / "recordings" / f"room{number}"
        place.mkdir(parents=True)
        (place / "camera.json").write_text('{"width": 24, "height": 18, "focal": 20.0}')
        np.save(place / "poses.npy", np.tile(np.eye(4), (4, 1, 1)))
        for frame in range(4):
            Image.fromarray(generator.integers(0, 255, (18, 24, 3), np.uint8)).save(place / f"{frame:04d}.jpg")
            np.save(place / f"{frame:04d}.npy", generator.uniform(1, 3, (18, 24)).astype(np.float32))
    for split in ("train", "val", "test"):
        for label, stretch in {"mug": (1, 1, 1), "plate": (1, 0.1, 1)}.items():
            place = root / "objects" / split / label
            place.mkdir(parents=True)
            for number in range(2):
                np.save(place / f"{number}.npy", generator.normal(size=(256, 3)) * stretch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a user works: the examples' files, and data in no layout that the package knows."""
    folder = tmp_path_factory.mktemp("own")
    for page in ("own-data.md", "own-method.md", "own-task.md", "own-teacher.md"):
        name, text = example(page)
        (folder / name).write_text(text)
    write_data(folder / "DATA")
    (folder / "DATA/recordings/room1/0002.npy").unlink()
    (folder / "DATA/recordings/room1/0003.npy").write_bytes(b"not an array")
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def store_of(folder: Path) -> Path:
    """The frames of the data, prepared by the user's reader, with the user's teacher."""
    reader, teacher = ["--reader", "my_data.py:MyData"], ["--teacher", "my_teacher.py:MyTeacher"]
    cli.main(["prepare", "DATA", "store", *reader, *teacher, "--every", "1", "--points", "256", "--workers", "1"])
    return folder / "store"


def test_recordings_travel_with_their_file(inside):
    """Where the file has not been loaded, as in a worker process. That workers do it: test_guides.py, on all cores."""
    reader = load_user_reader(UserCode(inside / "my_data.py", "MyData"), "DATA")
    sent = pickle.dumps(reader.recordings("train"))
    loaded = sys.modules.pop(type(reader.reader).__module__)
    received = pickle.loads(sent)
    assert [recording.name for recording in received] == ["room0", "room1"]
    assert type(received[0].recording).__module__ == loaded.__name__ in sys.modules
    with received[0].open() as frames:
        assert [frame.index for frame in frames.every(2)] == [0, 2]


SMALL = ["--epochs", "1", "--batch-size", "2"]


def test_a_data_set_and_a_teacher(inside, capsys):
    store = FrameStore.open(store_of(inside))
    assert list(store.scan_names) == ["room0", "room1"] and len(store) == 6 and store.up == "z"
    assert store.manifest["source"] == "mydata train" and store.manifest["reader"]["file"] == "my_data.py"
    assert [skipped["frame"] for skipped in store.manifest["skipped"]] == [2, 3]
    assert store.teacher["identity"] == "edges-1" and store.target_shape == (16, 4)
    assert np.ptp(np.asarray(store.targets, np.float32), axis=0).max() > 0.01
    cli.main(["prepare", "DATA", "objects", "--reader", "my_data.py:MyData", "--labels"])
    assert "objects (train 4, val 4, test 4)" in capsys.readouterr().out
    cli.main(["doctor", "objects"])


def test_a_method(inside, capsys):
    store_of(inside)
    command = ["pretrain", "my_method.py:recipe", "--data", "store", "--out", "mine", *SMALL]
    cli.main(command)
    result, run = (json.loads((inside / "mine" / f"{name}.json").read_text()) for name in ("result", "run"))
    assert -1 <= result["seen"]["cosine"] <= 1 and {"loss", "cosine"} <= result["curve"][-1].keys()
    assert run["code"]["file"] == "my_method.py" and run["code"]["method"] == "CosineConfig"
    assert load_backbone(inside / "mine").width == 96
    written = (inside / "mine" / "backbone.safetensors").stat().st_mtime_ns
    cli.main(command)  # a finished run is read back
    assert (inside / "mine" / "backbone.safetensors").stat().st_mtime_ns == written
    with pytest.raises(SystemExit):
        cli.main(["caption", "store", "--frame", "0", "--run", "mine"])
    assert "is of a file of its owner's, my_method.py. Its backbone alone can be used" in capsys.readouterr().err


def test_another_content_is_another_recipe(inside):
    store_of(inside)
    other = inside / "other.py"
    other.write_text((inside / "my_method.py").read_text())
    arguments = (Path("store"), None, Path("edited"), 1, 2, 0, "cpu", False)
    run_named_recipe("other.py:recipe", *arguments)
    other.write_text(other.read_text() + "# edited\n")
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        run_named_recipe("other.py:recipe", *arguments)


def test_a_task(inside, capsys):
    rooms = {split: [task_samples.room(seed) for seed in seeds] for split, seeds in ROOMS.items()}
    build_labelled.write_scannet(inside / "rooms", rooms)
    cli.main(["prepare", "rooms", "labelled", "--labels", "--workers", "1"])
    cli.main(["finetune", "my_task.py:recipe", "--data", "labelled", "--out", "counter", *SMALL])
    cli.main(["probe", "my_task.py:recipe", "--data", "labelled"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "counter", "--data", "labelled"])
    assert "evaluate counter --recipe FILE.py:recipe" in capsys.readouterr().err
    options = ["--recipe", "my_task.py:recipe", "--out", "one", "--workers", "1"]
    cli.main(["evaluate", "counter", "--data", "labelled", *options])
    results = json.loads((inside / "one" / "results.json").read_text())
    assert 0 <= results["value"] <= 1 and results["code"]["file"] == "my_task.py"
    with (inside / "one" / "predictions.csv").open() as file:
        assert [row["room"] for row in csv.DictReader(file)] == [room.name for room in rooms["test"]]
    assert "counting" in (inside / "one" / "index.html").read_text().lower()
    found = pointdistill.finetune("my_task.py:recipe", None, "labelled", epochs=1, batch_size=2)
    assert found.saved.task.name == "counting" and set(found.figures) == {"within_two", "exact"}
    cli.main(["doctor", "counter"])
    assert "its task Counting from a file of its owner's" in capsys.readouterr().out


@pytest.mark.long
def test_a_task_in_several_processes(inside, capsys):
    """Each loads the file by itself, and the bits are the same."""
    if not (inside / "counter").is_dir():
        test_a_task(inside, capsys)
    options = ["--data", "labelled", "--recipe", "my_task.py:recipe"]
    for out, workers in (("alone", "1"), ("several", "2")):
        cli.main(["evaluate", "counter", *options, "--out", out, "--workers", workers])
    alone, several = ((inside / out / "results.json").read_bytes() for out in ("alone", "several"))
    assert alone == several


ROOMS = {"train": (0, 1, 2), "val": (3,), "test": (4, 5)}


def test_the_package_is_not_touched(folder):
    """None of it imports or lists what is added; that a wheel is enough: test_distributions.py."""
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    for page in ("own-data.md", "own-method.md", "own-task.md", "own-teacher.md"):
        name, content = example(page)
        classes = re.findall(r"^class (My\w+|Cosine\w*|Count\w+)", content, re.MULTILINE)
        assert classes and not any(re.search(rf"\bclass {one}\b", text) for one in classes), name


def test_how_files_are_named():
    assert user_code("paper", "pretrain") is None
    assert user_code("~/x.py:recipe", "pretrain") == UserCode(Path.home() / "x.py", "recipe")
    with pytest.raises(PointdistillError, match=r"--reader x\.py: what in that file\? Write FILE\.py:NAME"):
        user_code("x.py", "--reader")


METHOD = """
from dataclasses import dataclass, replace
import torch
from torch import nn
from pointdistill.losses import Losses
from pointdistill.recipes.quickstart import distillation
@dataclass(frozen=True)
class Config:
    learns_from_teacher = False
    views = 1
    def build(self, backbone, targets):
        return Mine(backbone)
class Mine(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
    def forward(self, batch, draw):
        loss = self.backbone(batch.points).tokens.square().mean()
        return Losses(loss, {})
    def validate(self, batches):
        return {"zero": 0.0}
def recipe():
    return replace(distillation(), name="mine", method=Config())
"""


OF_RECIPES = [
    (("def recipe", "def other"), r"has no recipe\. It has Config, Mine, other\."),
    (("    return replace(", "    1 / 0\n    return replace("), r"line 23: recipe\(\) raised ZeroDivisionError"),
    (("method=Config())", "method=Config()).name"), "recipe is str, no PretrainRecipe nor a function"),
    (('name="mine"', 'name="a/b"'), "the recipe's name is 'a/b'"),
    (("    views = 1\n", ""), "the recipe's method, Config, lacks views"),
    (("@dataclass(frozen=True)\n", "@dataclass\n"), "the recipe's method, Config, is no frozen dataclass"),
    (("    views = 1\n", "    views = 1\n    x: object = nn\n"), "the settings of recipe are no plain values"),
    (("return Losses(loss, {})", "return loss"), r"Mine returned Tensor\. Return losses\.Losses"),
    (("return Losses(loss, {})", "return Losses(loss.detach(), {})"), "Mine: the total follows from no weight"),
    (("return Losses(loss, {})", "return Losses(loss, {'x': batch.points})"), "'x' is no single number"),
    (
        ("return Losses(loss, {})", "return loss.no_such_thing"),
        r"wrong\d+\.py, line 19: the recipe raised AttributeError",
    ),
    (("return Mine(backbone)", "return object()"), r"object is no torch\.nn\.Module"),
    (("def validate", "def validates"), "Mine lacks backbone or validate"),
    (("self.backbone = backbone\n", "self.backbone = nn.Identity()\n"), r"Mine\.backbone is no PointTransformer"),
    (('return {"zero": 0.0}', "return 0.0"), r"Mine\.validate returned 0\.0\. Return a dictionary"),
]
OF_TASKS = [
    (("    def tally(", "    def tallies("), "the recipe's task, Counting, lacks tally"),
    ((") -> CountFacts:", "):"), r"Counting\.facts says None of what it returns"),
    (('= "scenes"', '= "objects"'), "the task's store is 'objects', the recipe's 'scenes'"),
    (("    points: int = 2048", "    points: int = nothing"), r"line \d+: loading it raised NameError"),
    (("task=Counting()", "task=Counting(), backbone=3"), "the recipe's backbone is a int"),
]
OF_READERS = [
    (("class MyData", "class Other"), [], r"has no MyData\. It has Frames, Recording, Other\."),
    (("    def recordings(", "    def films("), [], "MyData: has no method recordings"),
    (("# my_data", "# my_data"), ["--split", "val"], "MyData finds no recordings of the split 'val'"),
    (("        return Frames(", "        return len("), [], r"line \d+: Recording\.open raised TypeError"),
    (("self.depth_shift = 1000.0", "self.shift = 1000.0"), [], r"Frames lacks depth_shift\. See"),
    (
        ("(metres * self.depth_shift).round().astype(np.uint16)", "metres"),
        [],
        r"depth is float32 of the shape \(18, 24\)",
    ),
    (("self.poses[index]", "self.poses[index, 0]"), [], r"its pose has the shape \(4,\) where \(4, 4\) belongs"),
    ((".read_bytes()", ""), [], r"its colour is \w+, not the bytes of an image file"),
    (("    def walk(", "    def walks("), ["--labels"], "reads no labelled data"),
    (("    def files(", "    def file("), ["--labels"], "MyData: lacks files, which readers of objects have"),
    (("# my_data", "# my_data"), ["--labels", "--split", "dev"], r"has no split 'dev'\. Take one of"),
    (("self.classes.index(path.parent.name)", "7"), ["--labels"], "the label 7 of 2 classes"),
    (('up = "y"', 'up = "w"'), ["--labels"], "up is 'w', not one of y, z"),
    (("cloud.astype(np.float32)", "cloud[:, :2]"), ["--labels"], r"points of the shape \(256, 2\), not \(points, 3\)"),
]

PLAIN = """
import json, sys
from pointdistill import cli
from pointdistill.errors import PointdistillError
said = []
for command in json.load(sys.stdin):
    try:
        cli._run(command)
    except PointdistillError as error:
        said.append(str(error))
    else:
        said.append("nothing")
print(json.dumps(said))
"""


def test_files_that_are_wrong(inside, tmp_path):
    """What is said of each, in one process without the tests' checks of annotations, which would speak first."""
    store_of(inside)
    (tmp_path / "right.py").write_text(METHOD)
    training = ["--data", "store", "--epochs", "1", "--batch-size", "2"]
    commands, expected = (
        [["pretrain", f"{tmp_path}/right.py:recipe", *training, "--out", f"{tmp_path}/right"]],
        ["nothing"],
    )
    texts = {"own-task.md": example("own-task.md")[1], "own-data.md": example("own-data.md")[1]}
    for number, (text, change, options, said) in enumerate(
        [
            *((METHOD, change, None, said) for change, said in OF_RECIPES),
            *((texts["own-task.md"], change, None, said) for change, said in OF_TASKS),
            *((texts["own-data.md"], change, options, said) for change, options, said in OF_READERS),
        ]
    ):
        assert change[0] in text, change
        file, out = tmp_path / f"wrong{number}.py", str(tmp_path / f"out{number}")
        file.write_text(text.replace(*change))
        of_frames = ["--every", "2", "--points", "64", "--workers", "1", "--teacher", "my_teacher.py:MyTeacher"]
        if text == METHOD:
            commands.append(["pretrain", f"{file}:recipe", *training, "--probe-every", "0", "--out", out])
        elif options is None:
            commands.append(["finetune", f"{file}:recipe", "--data", "labelled", "--out", out])
        else:
            more = options if "--labels" in options else [*options, *of_frames]
            commands.append(["prepare", "DATA", out, "--reader", f"{file}:MyData", *more])
        expected.append(said)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], input=json.dumps(commands), capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    for command, pattern, said in zip(commands, expected, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert re.search(pattern, said) and "\n" not in said, f"{command}: {said}"


def test_the_other_blocks_of_the_guides(inside):
    """A recipe without a method of its own, and a look at a frame."""
    store_of(inside)
    recipe, look = (block for block in blocks("own-recordings.md"))
    (inside / "my_recipe.py").write_text(recipe)
    assert load_pretrain_recipe(UserCode(inside / "my_recipe.py", "mine")).engine.epochs == 50
    exec(look, {})
    assert (inside / "frame.ply").read_bytes().startswith(b"ply\n")
    exec(blocks("first-steps.md")[0], {})


def blocks(page: str) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    return sorted(found, key=lambda block: "my_recipe.py" not in block)


def test_runs_of_a_file_name_no_code_that_is_run(inside, tmp_path):
    """model.json that names a file does not make anybody run it."""
    from pointdistill.tasks.saved import load_task_model

    (tmp_path / "evil.py").write_text("raise SystemExit('run')\n")
    card = {"task": "counting", "code": {"file": str(tmp_path / "evil.py"), "name": "recipe", "task": "Counting"}}
    (tmp_path / "model.json").write_text(json.dumps(card))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is of a file of its owner's"):
        load_task_model(tmp_path)

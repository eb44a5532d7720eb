"""`--teacher SPEC`: what each spelling means, one line where it means nothing, the network only where it is named."""

import pickle
import re
import sys
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import build_scannet
from pointdistill import cli
from pointdistill.errors import DataError, MissingPackage, PointdistillError
from pointdistill.store import FrameStore
from pointdistill.teachers import pretrained
from pointdistill.teachers.named import KINDS, load_captioner, teacher_factory
from pointdistill.teachers.small import SmallTeacher, load_small_teacher
from pointdistill.teachers.user import load_user_teacher

DOCUMENT = Path(__file__).parents[2] / "docs" / "teacher.md"


def test_without_a_spec_it_is_the_embedded_one():
    assert teacher_factory() is load_small_teacher
    assert isinstance(load_captioner(), SmallTeacher)


def test_a_folder_is_found_from_any_other(tmp_path, monkeypatch):
    load_small_teacher().save(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    factory = pickle.loads(pickle.dumps(teacher_factory("mine")))
    monkeypatch.chdir("/")
    assert factory().weights_hash == load_small_teacher().weights_hash


def test_each_kind_makes_what_it_says(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "imagenet").mkdir()  # a data set's folder is no teacher
    monkeypatch.chdir(tmp_path)
    folder, weights = str(tmp_path / "models"), str(tmp_path / "w.pt")
    meant = {
        "clipcap:w.pt@models": ("load_clipcap", (weights, folder)),
        "clipcap:w.pt@owner/clip@models": ("load_clipcap", (weights, "owner/clip", folder)),
        "clip-feature:models": ("load_clip_feature", (folder,)),
        "clip-patches:owner/clip": ("load_clip_patches", ("owner/clip",)),
        "hf:owner/model": ("load_vision", ("owner/model", False)),
        "hf-pooled:models": ("load_vision", (folder, True)),
        "imagenet": ("load_imagenet", (True,)),
        "imagenet-map": ("load_imagenet", (False,)),
        "small-feature": ("load_small_feature", ()),
        "small-patches:models": ("load_small_patches", (tmp_path / "models",)),
        "random": ("RandomTeacher", (0,)),
        "random:7": ("RandomTeacher", (7,)),
        "my.file.py:Mine": ("load_user_teacher", (str(tmp_path / "my.file.py"), "Mine")),
    }
    assert {spec.partition(":")[0] for spec in meant} >= {*KINDS}
    for spec, (function, arguments) in meant.items():
        factory = teacher_factory(spec)
        assert isinstance(factory, partial) and (factory.func.__name__, factory.args) == (function, arguments)
        assert pickle.loads(pickle.dumps(factory)).args == arguments


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("clippcap:w.pt@models", r"neither a name nor a folder .*\(docs/teacher\.md\)\. Did you mean clipcap\?"),
        ("oracle:w.pt", r"neither a name nor a folder .*\(docs/teacher\.md\)\. Choose one of "),
        ("nowhere", "neither a name nor a folder"),
        ("imagenet:x", "write imagenet$"),
        ("random:", "write random"),
        ("random:-1", "SEED a whole number"),
        ("small-feature:", "write small-feature"),
        ("hf", "write hf:MODEL"),
        ("hf:", "write hf:MODEL"),
        ("clipcap:w.pt", "write clipcap:WEIGHTS@CLIP"),
        ("clipcap:w.pt@a@b@c", "write clipcap:WEIGHTS@CLIP"),
        ("clipcap:@models", "write clipcap:WEIGHTS@CLIP"),
        ("my_file.py", "which class"),
        ("my_file.py:", "which class"),
    ],
)
def test_specs_that_mean_nothing(spec, said):
    with pytest.raises(PointdistillError, match=said) as caught:
        teacher_factory(spec)
    assert spec in str(caught.value)
    if "Choose" in said:
        assert all(kind in str(caught.value) for kind in KINDS)


def test_only_teachers_with_a_language_model_caption(tmp_path):
    with pytest.raises(PointdistillError, match="has no language model"):
        load_captioner("imagenet")
    with pytest.raises(PointdistillError, match="also name GPT-2's tokenizer"):
        load_captioner("clipcap:conceptual_weights.pt@owner/clip")
    path = tmp_path / "my.py"
    path.write_text(GOOD)
    with pytest.raises(PointdistillError, match="has no language model"):
        load_captioner(f"{path}:Mine")
    path = tmp_path / "speaks.py"
    path.write_text(f"{GOOD}    def caption(self, prefix): return ['a']\n    def log_likelihood(self, *_): return 0\n")
    assert load_captioner(f"{path}:Mine").caption(torch.zeros(1, 1, 2)) == ["a"]


class Recorder:
    """Stands for a class of transformers; keeps what it was asked for."""

    calls: list = []  # noqa: RUF012

    @classmethod
    def from_pretrained(cls, source, **options):
        cls.calls.append((source, options["local_files_only"]))
        return cls()


def test_the_network_is_for_hub_ids_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Recorder, "calls", [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "model").mkdir(parents=True)
    for model in ("owner/model", str(tmp_path), "other/model"):
        pretrained.load_settings(Recorder, model, "a model")
    here = str(tmp_path / "owner" / "model")
    assert Recorder.calls == [(here, True), (str(tmp_path), True), ("other/model", False)]
    for model in ("./other/model", "../model", "/other/model", "a/b/c", "model", "~/model", "https://host/model", "?"):
        with pytest.raises(DataError, match="no such folder"):
            pretrained.load_settings(Recorder, model, "a model")
    assert len(Recorder.calls) == 3


def test_a_hub_that_cannot_be_reached_is_one_line():
    with pytest.raises(DataError, match="Look at the name and the connection") as caught:
        teacher_factory("clip-feature:nobody/no-such-clip")()  # the tests run with HF_HUB_OFFLINE
    assert "\n" not in str(caught.value) and "nobody/no-such-clip" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "module", "extra"),
    [("hf:owner/model", "transformers", "teacher"), ("imagenet", "efficientnet_lite_pytorch", "imagenet")],
)
def test_an_extra_that_is_not_installed(monkeypatch, spec, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackage, match=rf"pip install 'pointdistill\[{extra}\]'") as caught:
        teacher_factory(spec)()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    project = tomllib.loads((DOCUMENT.parents[1] / "pyproject.toml").read_text())["project"]
    assert any(module.replace("_", "-") in package for package in project["optional-dependencies"][extra])


def _documents_example() -> str:
    section = DOCUMENT.read_text(encoding="utf-8").split("\n## Your own 2D model\n", 1)[1]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]


def test_the_documents_class_prepares_a_store_in_two_processes(tmp_path, monkeypatch):
    example = _documents_example()
    assert len([line for line in example.splitlines() if line.strip()]) <= 18
    data = build_scannet.write_data_set(tmp_path / "scannet", ["scene0000_00", "scene0001_00"], frames=3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_file.py").write_text(example)
    arguments = [str(data), "store", "--teacher", "my_file.py:MyTeacher", "--every", "1", "--points", "32"]
    cli.main(["prepare", *arguments, "--workers", "2"])
    store, teacher = FrameStore.open(tmp_path / "store"), load_user_teacher("my_file.py", "MyTeacher")
    assert store.teacher["identity"] == teacher.identity and store.teacher["weights_hash"] == teacher.weights_hash
    assert store.target_shape == teacher.target_shape and len(store) == 6
    assert np.ptp(np.asarray(store.targets, np.float32), axis=0).max() > 0.01  # not one answer for all


GOOD = """
import numpy as np
class Mine:
    identity, weights_hash, target_shape = "mine", "0", (1, 2)
    def targets(self, images):
        return np.zeros((len(images), 1, 2), np.float16)
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("class Mine", "class Other"), r"my\.py: has no class Mine\. It has Other\."),
        (("class Mine", "Mine = 3\nclass Other"), "has no class Mine"),
        (("import numpy", "import no_such_package, numpy"), r"my\.py, line 2: loading it raised ModuleNotFoundError"),
        (("import numpy as np", "1 / 0"), "line 2: loading it raised ZeroDivisionError: division by zero"),
        (("class Mine:", "class Mine"), "line 3: loading it raised SyntaxError"),
        (("identity, weights_hash, target_shape =", "name, hash, shape ="), "Mine: lacks identity, weights_hash, targ"),
        (('"mine", "0"', '"mine", 7'), "weights_hash is 7, not a text"),
        (("(1, 2)\n", "(1, 2, 3)\n"), r"target_shape is \(1, 2, 3\)"),
        (("    def targets", "    targets = 1\n    def other"), "targets is no method"),
        (
            ("    def targets", "    def __init__(self):\n        self.x = y\n    def targets"),
            r"line 6: Mine\(\) raised Na",
        ),
    ],
)
def test_classes_that_are_no_teachers(tmp_path, change, said):
    path = tmp_path / "my.py"
    path.write_text(GOOD)
    assert load_user_teacher(str(path), "Mine").targets([Image.new("RGB", (4, 4))]).dtype == torch.float32
    other = tmp_path / "other" / "my.py"
    other.parent.mkdir()
    other.write_text(GOOD.replace(*change))
    with pytest.raises(DataError, match=said) as caught:
        load_user_teacher(str(other), "Mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("np.zeros((len(images), 2, 1), np.float32)", r"the shape \(2, 2, 1\) where \(2, 1, 2\) belongs"),
        ("np.zeros((len(images), 1, 2), np.int64)", "returned int64"),
        ("[[0.0, 0.0]] * len(images)", "returned list"),
        ("None", "returned NoneType"),
        ("np.full((len(images), 1, 2), np.inf)", "not finite"),
        ("images[0].no_such_thing", r"my\.py, line 6: Mine\.targets raised AttributeError"),
    ],
)
def test_targets_that_are_none(tmp_path, returned, said):
    path = tmp_path / "my.py"
    path.write_text(GOOD.replace("np.zeros((len(images), 1, 2), np.float16)", returned))
    with pytest.raises(DataError, match=said):
        load_user_teacher(str(path), "Mine").targets([Image.new("RGB", (4, 4))] * 2)

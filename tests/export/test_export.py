"""Exported files say what the package says, wherever they run."""

import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import KINDS, Built, build, build_backbone, clouds

from pointdistill.cli import main
from pointdistill.datasets.objects import ObjectSet
from pointdistill.datasets.scannet import DETECTION_CLASSES
from pointdistill.errors import CheckpointError, DataError, MissingPackage, PointdistillError
from pointdistill.export import export_model
from pointdistill.geometry import to_unit_sphere
from pointdistill.models.checkpoints import load_backbone
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.part_segmentation import limited_argmax
from pointdistill.tasks.sampling import unit_sphere

onnxruntime = pytest.importorskip("onnxruntime")
ROOT = Path(__file__).parents[2]
DETECTION = {known.name for known in DETECTION_CLASSES}
ALONE = "import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"  # a name that stands for None cannot be imported


def run_onnx(path: Path, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_inputs()] == list(inputs)
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def alone(script: str, *blocked: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(blocked=blocked) + script], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """A backbone's two files, and what it says itself of two clouds."""
    folder = tmp_path_factory.mktemp("features")
    path = build_backbone(folder, depth=1)
    for ending in ("onnx", "pt2"):
        main(["export", str(path), str(folder / f"features.{ending}"), "--points", "60"])
    backbone = load_backbone(path).eval()
    for number, points in enumerate(clouds(60).values()):
        unit = to_unit_sphere(torch.from_numpy(points))
        with torch.no_grad():
            found = backbone(unit.points)
        np.savez(
            folder / f"{number}.npz",
            points=points,
            tokens=found.tokens.numpy(),
            centres=(found.centres * unit.radius + unit.centre).numpy(),
            pooled=torch.cat([found.tokens.mean(1), found.tokens.amax(1)], 1).numpy(),
        )
    return folder


CHECK = """
for number in (0, 1):
    wanted = np.load(f"{number}.npz")
    tokens, centres, pooled = run(wanted["points"])
    assert np.abs(tokens - wanted["tokens"]).max() < 1e-4 and np.ptp(tokens, 1).max() > 0.5
    assert np.abs(pooled - wanted["pooled"]).max() < 1e-4
    # The same of the cloud's points are centres, in the same order.
    chosen = lambda at: ((at[:, :, None] - wanted["points"][:, None]) ** 2).sum(-1).argmin(-1)
    assert (chosen(centres) == chosen(wanted["centres"])).all() and np.abs(centres - wanted["centres"]).max() < 1e-6
for name in ("torch", "pointdistill"):
    try:
        __import__(name)
        print(name, end=" ")
    except ImportError:
        pass
"""


def test_onnx_runs_without_torch_and_without_this_package(features):
    run = """
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("features.onnx", providers=["CPUExecutionProvider"])
run = lambda points: session.run(None, {"points": points})
"""
    assert alone(run + CHECK, "torch", "pointdistill", cwd=features) == ""


def test_a_program_runs_without_this_package(features):
    """By docs/deployment.md's own lines."""
    np.save(features / "room.npy", clouds(60)["random"][0])
    run = """
assert np.isfinite(pooled.numpy()).all()
run = lambda points: [value.numpy() for value in program(torch.from_numpy(points))]
"""
    assert alone(documented()[1] + run + CHECK, "pointdistill", cwd=features) == "torch "


def documented() -> list[str]:
    """Lines of Python in docs/deployment.md: for ONNX, for PyTorch."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_metadata_say_how_to_use_it(features):
    beside = json.loads((features / "features.onnx.json").read_text())
    assert [port["shape"] for port in beside["inputs"]] == [[1, 60, 3]]
    assert [(port["name"], port["shape"]) for port in beside["outputs"]] == [
        ("tokens", [1, 8, 24]),
        ("centres", [1, 8, 3]),
        ("pooled", [1, 48]),
    ]
    assert "x right, y down, z forward" in beside["inputs"][0]["is"] and "terms" in beside["provenance"]
    assert beside["provenance"]["recipe"] == "tiny" and beside["provenance"]["data"]["source"] == "embedded"
    assert max(beside.pop("checked").values()) < 1e-4
    session = onnxruntime.InferenceSession(str(features / "features.onnx"), providers=["CPUExecutionProvider"])
    inside = session.get_modelmeta().custom_metadata_map
    assert {
        name: json.loads(inside[name]) if not isinstance(beside[name], str) else inside[name] for name in inside
    } == {**beside}
    extra = {"pointdistill.json": ""}
    torch.export.load(features / "features.pt2", extra_files=extra)
    assert json.loads(extra["pointdistill.json"]) == beside


def test_files_hold_nothing_pickled_and_no_paths_of_this_machine(features):
    with zipfile.ZipFile(features / "features.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert any("weights" in name for name in contents)
    for name, content in contents.items():
        assert not content.startswith((b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK")), name
    for content in (*contents.values(), (features / "features.onnx").read_bytes()):
        assert b".py" not in content and str(ROOT).encode() not in content and b"site-packages" not in content


def test_the_graph_does_not_grow_with_its_searches(features):
    import onnx

    graph = onnx.load(features / "features.onnx").graph
    assert [node.op_type for node in graph.node].count("Scan") == 1 and len(graph.node) < 250
    assert (features / "features.onnx").stat().st_size < 1.5 * (features / "backbone.safetensors").stat().st_size + 1e5


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Built:
    """A detector with its file."""
    built = build(KINDS["detection"], tmp_path_factory.mktemp("detector"), shallow=True)
    export_model(built.folder, built.folder / "detector.onnx")
    return built


def test_detection_keeps_the_boxes_that_its_test_keeps(detector):
    check_detection(detector)


def check_detection(built: Built) -> None:
    """Held against `Detection.predict`: the same boxes, scores and classes."""
    task, model = built.saved.task, built.saved.model
    kept, proposed = 0, 0
    for scene in (*built.data.test, several_times(built.data.test[0], task.points // 3)):
        points = task._test_points(scene, 0)[None]
        found = run_onnx(built.folder / "detector.onnx", points=points)
        with torch.no_grad():
            proposals = model(torch.from_numpy(points))
        np.testing.assert_allclose(found["boxes"], proposals.boxes[-1], atol=1e-4)
        np.testing.assert_allclose(found["logits"], proposals.logits[-1], atol=1e-4)
        wanted = task.predict(model, [scene], 0, 0)
        best = np.argsort(-found["scores"][0], kind="stable")
        best = best[found["kept"][0][best]]
        np.testing.assert_allclose(found["boxes"][0][best], wanted.boxes, atol=1e-4)
        np.testing.assert_allclose(found["scores"][0][best], wanted.scores, atol=1e-4)
        np.testing.assert_allclose(found["class_scores"][0][best], wanted.class_scores, atol=1e-4)
        kept, proposed = kept + len(best), proposed + len(found["kept"][0])
    assert 0 < kept < proposed


def several_times(scene, count):
    """A scene of which only `count` vertices are left, so that tests draw some of them several times."""
    rows = slice(0, count)
    return replace(
        scene,
        points=scene.points[rows],
        colours=scene.colours[rows],
        semantic=scene.semantic[rows],
        instance=scene.instance[rows],
    )


def test_documented_lines_run(detector, tmp_path):
    """docs/deployment.md's own lines, for clouds of more points than the graph takes and of fewer."""
    (tmp_path / "detector.onnx").write_bytes((detector.folder / "detector.onnx").read_bytes())
    room = detector.data.test[0].points
    for count in (20, len(room)):
        np.save(tmp_path / "room.npy", room[:count])
        said = alone(documented()[0], "torch", "pointdistill", cwd=tmp_path)
        assert all(line.split(" [")[0] in DETECTION for line in said.splitlines()) and "[" in said


def test_wrong_inputs_are_one_line(tmp_path, capsys, monkeypatch):
    backbone = build_backbone(tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds no model"):
        export_model(tmp_path, tmp_path / "a.onnx")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        export_model(tmp_path / "nothing.safetensors", tmp_path / "a.onnx")
    with pytest.raises(DataError, match=r"ends in none of \.onnx, \.pt2"):
        export_model(backbone, tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"does not end in \.pt2"):
        export_model(backbone, tmp_path / "a.onnx", "torch")
    with pytest.raises(PointdistillError, match="--points 7: this model needs clouds of 8 points or more"):
        export_model(backbone, tmp_path / "a.onnx", points=7)
    for arguments, words in [(["--points", "0"], "--points 0: must be 1"), (["--batch", "0"], "--batch 0: must be 1")]:
        with pytest.raises(SystemExit) as left:
            main(["export", str(backbone), str(tmp_path / "a.onnx"), *arguments])
        assert left.value.code == 2 and words in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingPackage, match=r"needs onnxscript.*pointdistill\[onnx\]"):
        export_model(backbone, tmp_path / "a.onnx")
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.long
@pytest.mark.parametrize("ending", ["onnx", "pt2"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_can_be_exported(recipe, ending, tmp_path):
    """The file is held against the package before it is written; what is written is looked at."""
    built = build(recipe, tmp_path)
    exported = export_model(tmp_path, tmp_path / f"model.{ending}", batch=2)
    assert exported.description["task"] == built.saved.task.name
    assert max(exported.description["checked"].values()) < 1e-4
    json.loads((tmp_path / f"model.{ending}.json").read_text())


@pytest.mark.long
@pytest.mark.parametrize(
    "recipe",
    [name for name in RECIPES if name.startswith("scannet-") and "seg" not in name and name != "scannet-dgcnn"],
)
def test_every_detector_keeps_the_boxes_that_its_test_keeps(recipe, tmp_path):
    built = build(recipe, tmp_path)
    export_model(tmp_path, tmp_path / "detector.onnx")
    check_detection(built)


@pytest.mark.long
@pytest.mark.parametrize("points", [60, 96, 150])
def test_classes_are_those_of_the_test(points, tmp_path):
    """More points than the task takes: farthest ones are kept, as its test does."""
    built = build(KINDS["classification"], tmp_path)
    task, model = built.saved.task, built.saved.model
    path = export_model(tmp_path, tmp_path / "model.onnx", points=points).path
    for cloud in clouds(points).values():
        found = run_onnx(path, points=cloud)["logits"]
        if points > task.points:
            split = ObjectSet(cloud, np.zeros(1, np.int64), ("one",), built.saved.facts.classes)
            wanted = replace(task, votes=1).predict(model, split, 0, 0).classes
            found = np.exp(found - found.max()) / np.exp(found - found.max()).sum()
        else:
            with torch.no_grad():
                wanted = model(torch.from_numpy(unit_sphere(cloud[0])[None]))
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.long
def test_parts_are_those_of_the_package(tmp_path):
    built = build(KINDS["part_segmentation"], tmp_path)
    model = built.saved.model
    exported = export_model(tmp_path, tmp_path / "model.onnx", points=70)
    assert exported.description["categories"] == ["dumbbell", "table"]
    for category, cloud in enumerate(clouds(70).values()):
        category = np.array([category])
        found = run_onnx(exported.path, points=cloud, category=category)
        with torch.no_grad():
            logits = model(torch.from_numpy(unit_sphere(cloud[0])[None]), torch.from_numpy(category))
        np.testing.assert_allclose(found["logits"], logits, atol=1e-4)
        parts = limited_argmax(logits, model.allowed[torch.from_numpy(category)])
        assert (found["parts"] == parts.numpy()).all() and set(found["parts"].flat) <= {0, 1} | {2, 3}


@pytest.mark.long
@pytest.mark.parametrize(
    "recipe", ["scannet-segmentation", "scannet-segmentation-colour", "semantic-segmentation-small", "scannet-dgcnn"]
)
def test_point_classes_are_those_of_the_package(recipe, tmp_path):
    built = build(recipe, tmp_path)
    exported = export_model(tmp_path, tmp_path / "model.onnx", points=80)
    colours = np.random.default_rng(1).random((1, 80, 3), dtype=np.float32)
    for cloud in clouds(80).values():
        inputs = {"points": cloud, **({"colours": colours} if built.saved.task.colour else {})}
        found = run_onnx(exported.path, **inputs)["logits"]
        with torch.no_grad():
            wanted = built.saved.model(torch.from_numpy(cloud), torch.from_numpy(colours))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        assert np.ptp(found, 1).max() > 0.05
    assert exported.description["classes"][0] == "wall"


@pytest.mark.long
@pytest.mark.parametrize("quirks", [{"skip_near_origin": True, "neighbours_by_index": True}, {"class_token": True}])
def test_peers_backbones_too(quirks, tmp_path):
    path = build_backbone(tmp_path, **quirks)
    for ending in ("onnx", "pt2"):
        assert max(export_model(path, tmp_path / f"a.{ending}").description["checked"].values()) < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["scannet-detection", "scannet-detection-set-abstraction", "scannet-3detr"])
def test_detectors_of_the_papers_size(recipe, tmp_path):
    """2,048 tokens of 40,000 points; the same boxes as the package's."""
    built = build(recipe, tmp_path, whole=True)
    exported = export_model(tmp_path, tmp_path / "detector.onnx")
    for cloud in clouds(40_000, seed=3).values():
        found = run_onnx(exported.path, points=cloud)
        with torch.no_grad():
            proposals = built.saved.model(torch.from_numpy(cloud))
        np.testing.assert_allclose(found["boxes"], proposals.boxes[-1], atol=1e-4)
        np.testing.assert_allclose(found["logits"], proposals.logits[-1], atol=1e-4)


@pytest.mark.long
def test_the_backbone_of_the_papers_size(tmp_path):
    """ViT-S, 64 patches of 32 of 4,096 points."""
    path = build_backbone(tmp_path, width=384, depth=12, heads=6, groups=64, group_size=32)
    exported = export_model(path, tmp_path / "features.onnx", points=4096)
    backbone = load_backbone(path).eval()
    for cloud in clouds(4096, seed=3).values():
        unit = to_unit_sphere(torch.from_numpy(cloud))
        with torch.no_grad():
            wanted = backbone(unit.points)
        found = run_onnx(exported.path, points=cloud)
        np.testing.assert_allclose(found["tokens"], wanted.tokens, atol=1e-4)
        np.testing.assert_allclose(found["centres"], wanted.centres * unit.radius + unit.centre, atol=1e-6)

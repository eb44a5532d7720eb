"""The page of analyses: back from JSON, complete, and drawn by a browser."""

import dataclasses
import json
import re
import subprocess

import numpy as np
import pytest
import report_synthetic
from PIL import Image
from test_report_page import CHROMIUM, FLAGS, RECTANGLES, Parser

from pointdistill.errors import DataError
from pointdistill.report.analyses import (
    Analyses,
    ConceptFigures,
    FeatureMap,
    LabelCurves,
    MappedFeatures,
    Predictability,
    ProtocolFigures,
    Reading,
    read_analyses,
    write_analyses_page,
)
from pointdistill.report.analyses.payload import attention, component_columns, label_curves, protocol_bars
from pointdistill.report.analyses.schema import write_analyses
from pointdistill.report.examples import AttentionExample, SamplingExample, load_examples, save_examples

GENERATOR = np.random.default_rng(0)
PLANE = [(float(x), float(y)) for x, y in GENERATOR.normal(size=(12, 2))]
CURVES = LabelCurves(
    "Classification",
    "accuracy",
    "%",
    {"scratch": {1.0: [40.0, 44.0], 100.0: [80.0, 82.0]}, "point_bert": {100.0: [85.0], 1.0: [60.0, 50.0]}},
)
READINGS = [
    Reading("scratch", "ridge", 0.1, [0.1, None], [0.3, -0.2]),
    Reading("distilled", "prediction", 0.4, [0.4, 0.4], [0.6, 0.1]),
]
MAPPED = [MappedFeatures(init, 0.5, 0.1, PLANE, (0.4, 0.2), PLANE) for init in ("distilled", "scratch")]
PROTOCOLS = {"linear probe": {"scratch": [1.0, 2.0]}, "fine-tuning": {"scratch": [5.0], "mask_point": [6.0]}}
MADE = Analyses(
    title="Made up",
    version="0",
    facts={"recipe": "<none>"},
    predictability=Predictability(10, 8, 2, [0.5, 0.3], READINGS),
    concepts=ConceptFigures(5, 16, [3.0, 9.5], 0.4),
    features=FeatureMap(["chair", "desk"], [0, 1] * 6, 3.0, 0, MAPPED),
    label_curves=[CURVES],
    protocols=[ProtocolFigures("Detection", "AP25", "%", PROTOCOLS)],
)


def examples():
    pipeline = report_synthetic.pipeline_example()
    weights = GENERATOR.random((2, len(pipeline.patches)))
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    rows = np.concatenate([GENERATOR.permutation(len(pipeline.cloud))[:count] for count in (800, 200)])
    return [
        AttentionExample("room, frame 1", pipeline.cloud, pipeline.patches, weights),
        SamplingExample("room, frame 1", pipeline.cloud, np.array([800, 200]), rows, np.array([0.01, 0.05])),
        report_synthetic.detection_example(count=3000),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("analyses")
    write_analyses(out, MADE)
    save_examples(out, examples())
    write_analyses_page(out)
    return out


def test_there_and_back(folder, tmp_path):
    assert read_analyses(folder) == MADE
    loaded = load_examples(folder)
    assert loaded.attention[0].title == "room, frame 1" and loaded.sampling[0].counts.tolist() == [800, 200]
    (tmp_path / "analyses.json").write_text(json.dumps({**dataclasses.asdict(MADE), "features": 3}))
    with pytest.raises(DataError, match="features"):
        read_analyses(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_analyses(tmp_path / "nowhere")


def test_page_is_complete_and_loads_nothing(folder):
    text = (folder / "analyses.html").read_text(encoding="utf-8")
    parser = Parser()
    parser.feed(text)
    assert not parser.open and "link" not in parser.tags
    assert all(load.startswith(("data:image/", "#")) for load in parser.loads)
    for name in ("prefix", "concepts", "features", "labels", "protocols", "detection", "sampling", "facts"):
        assert f'<section id="{name}"' in text
    assert "50.0 mm" in text and "&lt;none&gt;" in text and "point bert" in text


def test_what_is_drawn_is_what_was_computed(folder):
    curve = label_curves(CURVES)["series"][1]
    assert [point["x"] for point in curve["points"]] == [1.0, 100.0]
    assert curve["points"][0]["mean"] == 55.0 and curve["points"][0]["std"] == pytest.approx(50**0.5)
    assert curve["points"][1]["std"] is None
    columns = component_columns(MADE.predictability)
    assert columns["shares"] == [0.5, 0.3] and columns["series"][0]["y"] == [0.3, -0.2]
    assert [bar["init"] for bar in protocol_bars(MADE.protocols[0])["groups"][1]["bars"]] == ["scratch", "mask_point"]
    entry = attention(load_examples(folder).attention[0])
    assert entry["concepts"] == 2 and entry["groups"] == 64 and entry["size"] == 32


def test_nothing_computed_is_nothing_shown(tmp_path):
    write_analyses(tmp_path, Analyses("Empty", "0"))
    text = write_analyses_page(tmp_path).read_text(encoding="utf-8")
    assert "<section" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_browser_draws_everything(folder, tmp_path):
    copy, picture = tmp_path / "page.html", tmp_path / "page.png"
    text = (folder / "analyses.html").read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", RECTANGLES + "</body>"), encoding="utf-8")
    own = [f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"--screenshot={picture}", copy.as_uri()]
    dom = subprocess.run([CHROMIUM, *FLAGS, *own], capture_output=True, text=True, timeout=120).stdout
    root = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<html[^>]*>", dom)[0]))
    assert "errors" not in root, root["errors"]
    assert (root["ready"], root["failed"], root["drawn"]) == ("yes", "0", str(2 + 4 + 1 + 1 + 3))
    assert "the patch it reads most" in dom
    shades = np.asarray(Image.open(picture).convert("L"), dtype=np.float64)
    for kind, x, y, width, height in json.loads(root["rectangles"].replace("&quot;", '"')):
        cut = shades[int(y) + 5 : int(y + height) - 5, int(x) + 5 : int(x + width) - 5]
        assert cut.size and cut.std() > 3, f"{kind} at {x}, {y} is empty"

"""The page of analyses: back from JSON, complete, and drawn by a browser."""

import dataclasses
import json

import numpy as np
import pytest
import report_synthetic
from test_report_page import Parser

from browser import charts, chromium, drawn, opened, root
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
from pointdistill.report.analyses.charts import column_charts, label_chart, protocol_chart
from pointdistill.report.analyses.schema import Caption, write_analyses
from pointdistill.report.examples import (
    AttentionExample,
    NeighboursExample,
    SamplingExample,
    load_examples,
    save_examples,
)
from pointdistill.report.payload import attention

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
    captions=[Caption("room, frame 1", "a room with a bed", "a <b>room</b>")],
)


def examples():
    pipeline = report_synthetic.pipeline_example()
    weights = GENERATOR.random((2, len(pipeline.patches)))
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    rows = np.concatenate([GENERATOR.permutation(len(pipeline.cloud))[:count] for count in (800, 200)])
    return [
        AttentionExample("room, frame 1", pipeline.cloud, pipeline.patches, weights),
        SamplingExample("room, frame 1", pipeline.cloud, np.array([800, 200]), rows, np.array([0.01, 0.05])),
        NeighboursExample(
            ["room, frame 1", "other, frame 2"],
            ["a bed", ""],
            np.array([1.0, 0.75]),
            np.array([len(pipeline.cloud), 500]),
            np.concatenate([pipeline.cloud, pipeline.cloud[:500]]),
        ),
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
    for name in ("prefix", "captions", "attention", "neighbours", "features", "labels", "protocols", "scenes", "facts"):
        assert f'<section id="{name}"' in text
    assert "50.0 mm" in text and "&lt;none&gt;" in text and "point bert" in text
    assert "a &lt;b&gt;room&lt;/b&gt;" in text


def test_what_is_drawn_is_what_was_computed(folder):
    chart = label_chart(CURVES)
    assert "55.0 ± 7.1" in (folder / "analyses.html").read_text(encoding="utf-8") and chart.count("line scratch") == 1
    tokens, components = column_charts(MADE.predictability)
    assert tokens.count("<rect") == 3 and components.count("<rect") == 4 and "shares" in components
    assert "mask point: 6.00, one seed" in protocol_chart(MADE.protocols[0])
    entry = attention(load_examples(folder).attention[0])
    assert entry["concepts"] == 2 and entry["groups"] == 64 and entry["size"] == 32


def test_nothing_computed_is_nothing_shown(tmp_path):
    write_analyses(tmp_path, Analyses("Empty", "0"))
    text = write_analyses_page(tmp_path).read_text(encoding="utf-8")
    assert "<section" not in text


def test_browser_draws_everything(folder):
    with chromium() as browser, opened(browser, folder / "analyses.html") as page:
        assert (root(page)["drawn"], root(page)["failed"], root(page)["contexts"]) == ("4", "0", "1")
        for kind in ("attention", "neighbours", "sampling", "scenes"):
            picture = drawn(page, kind)
            there = picture[..., 3] > 0
            assert there.mean() > 0.02 and picture[there][:, :3].std() > 10, kind
        assert charts(page) == [True] * (2 + 4 + 1 + 1)
        assert "the patch it reads most" in page.inner_text("#attention-said")
        first = drawn(page, "attention")
        page.select_option("#concept-choice", index=1)
        assert page.inner_text("#attention-said").startswith("Concept 2") and (drawn(page, "attention") != first).any()
        assert page.locator("#neighbours-list tbody tr").count() == 2 and "0.75" in page.inner_text("#neighbours-list")

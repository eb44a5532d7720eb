import dataclasses
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import report_synthetic
from PIL import Image

from pointdistill.errors import DataError
from pointdistill.report.comparison import lines
from pointdistill.report.examples import Examples, load_examples, save_examples
from pointdistill.report.html import Html, tag
from pointdistill.report.page import page, write_page
from pointdistill.report.payload import detection, matches
from pointdistill.report.pictures import depth_uri
from pointdistill.report.results_section import stands_out, summary
from pointdistill.report.run_details import duration, value_text
from pointdistill.report.schema import write_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=8000", "--window-size=1280,6400",
]  # fmt: skip
RECTANGLES = """<script>
const wait = setInterval(() => {
  if (!document.documentElement.dataset.ready) return;
  clearInterval(wait);
  const found = [...document.querySelectorAll(".plot")].map((plot) => {
    const { x, y, width, height } = plot.getBoundingClientRect();
    return [plot.dataset.plot, x, y + scrollY, width, height];
  });
  document.documentElement.dataset.rectangles = JSON.stringify(found);
}, 50);
</script>"""


class Parser(html.parser.HTMLParser):
    """Collects what a page would load, and checks that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.loads, self.open, self.tags = [], [], []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.loads += [value for key, value in attributes if key in ("src", "href", "srcset", "data", "action")]
        if name not in ("meta", "img", "input", "br", "link"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_results(folder / "results.json", report_synthetic.results("thorough", 3, controls=True))
    save_examples(folder, report_synthetic.all_examples(scenes=2, points=5000))
    write_page(folder)
    return folder


def test_page_is_complete_and_loads_nothing(run):
    text = (run / "report.html").read_text(encoding="utf-8")
    parser = Parser()
    parser.feed(text)
    assert not parser.open
    assert all(load.startswith(("data:image/", "#")) for load in parser.loads), parser.loads
    assert "link" not in parser.tags and "iframe" not in parser.tags
    assert "default-src &#x27;none&#x27;; script-src" in text
    for name in ("results", "pipeline", "pretraining", "finetuning", "detection", "labelled", "run", "reading"):
        assert f'<section id="{name}"' in text
    assert text.count("<img") == len(re.findall(r'<img[^>]* alt="[^"]+', text))
    assert sorted(path.name for path in run.iterdir()) == ["examples", "report.html", "results.json"]


def test_examples_round_trip(tmp_path):
    made = report_synthetic.all_examples(scenes=1, points=500)
    save_examples(tmp_path, [*made, *made])
    save_examples(tmp_path, made)
    assert len(list((tmp_path / "examples").iterdir())) == 4
    loaded = load_examples(tmp_path)
    for before, after in zip(
        made, [*loaded.pipeline, *loaded.detection, *loaded.segmentation, *loaded.parts], strict=True
    ):
        for entry in dataclasses.fields(before):
            np.testing.assert_array_equal(getattr(before, entry.name), getattr(after, entry.name))
            assert type(getattr(before, entry.name)) is type(getattr(after, entry.name))


def test_damaged_example_is_named(tmp_path):
    save_examples(tmp_path, [report_synthetic.part_example()])
    path = tmp_path / "examples" / "parts-000.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"parts-000\.npz: not a readable"):
        load_examples(tmp_path)
    np.savez(path, title="a")
    with pytest.raises(DataError, match="points: an array is missing"):
        load_examples(tmp_path)


def test_text_from_data_is_escaped():
    nasty = "</script><script>alert('x')</script><b>&"
    results = dataclasses.replace(report_synthetic.results(), version=nasty, recipe={nasty: nasty})
    example = dataclasses.replace(report_synthetic.pipeline_example(), title=nasty, truth=nasty, student=nasty)
    text = page(results, Examples(pipeline=[example]))
    assert "<script>alert" not in text and "<b>&" not in text
    parser = Parser()
    parser.feed(text)
    assert not parser.open and parser.tags.count("script") == 3


def test_elements():
    made = tag("a", "<", Html("<i>x</i>"), None, ["&"], href='"', class_="b", data_x=1, hidden=True, title=None)
    assert made == '<a href="&quot;" class="b" data-x="1" hidden>&lt;<i>x</i>&amp;</a>'
    assert tag("img", src="") == '<img src="">'


def test_parts_that_are_missing_are_left_out():
    results = dataclasses.replace(
        report_synthetic.results("fast", 1), pretraining=[], recipe={}, seconds={}, teacher={}
    )
    text = page(results, Examples())
    for name in ("pipeline", "pretraining", "detection", "labelled"):
        assert f'id="{name}"' not in text
    assert "its figures mean nothing" in text and "higher mean" not in text and "won</span>" not in text


def test_claims_follow_the_figures():
    plain, judged = report_synthetic.results(), report_synthetic.results("thorough", 3, controls=True)
    assert "won" not in summary(plain)
    assert "3 of 4 count as won" in summary(judged)
    heads = {line.task: line for line in lines(judged) if line.main}
    assert stands_out(heads["classification"]) and not stands_out(heads["part_segmentation"])
    single = next(line for line in lines(report_synthetic.results("fast", 1)) if line.main)
    assert not stands_out(single)


def test_matches_are_those_of_ap():
    true = np.array([[0, 0, 0, 1, 1, 1, 0], [5, 0, 0, 1, 1, 1, 0]], dtype=np.float32)
    places = [[0, 0, 0], [0.1, 0, 0], [5, 0, 0], [9, 9, 9]]
    boxes = np.array([[*place, 1, 1, 1, 0] for place in places], dtype=np.float32)
    found, overlap = matches(boxes, ["chair", "chair", "desk", "sofa"], true, ["chair", "chair"])
    assert found.tolist() == [True, False, False, False]
    np.testing.assert_allclose(overlap, [1, 0.9 / 1.1, 0, 0], atol=1e-6)


def test_scene_without_boxes():
    example = report_synthetic.detection_example(count=100)
    none = np.zeros((0, 7), dtype=np.float32)
    empty = dataclasses.replace(
        example, true_boxes=none, true_names=[], predicted_boxes=none, predicted_names=[], scores=none[:, 0]
    )
    assert detection(empty, 50)["predicted"]["scores"] == []


def test_depth_without_any_value():
    assert depth_uri(np.zeros((4, 5), dtype=np.uint16)).startswith("data:image/png")


def test_value_texts():
    assert [duration(seconds) for seconds in (3.21, 59.4, 425, 4350)] == ["3.2 s", "59 s", "7 min 05 s", "1 h 12 min"]
    values = (0.1 + 0.2, 20000, True, None, [1, 2.5], "x")
    assert [value_text(value) for value in values] == ["0.3", "20,000", "yes", "–", "1, 2.5", "x"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_browser_draws_everything(run, tmp_path):
    copy = tmp_path / "report.html"
    copy.write_text((run / "report.html").read_text(encoding="utf-8").replace("</body>", RECTANGLES + "</body>"))
    picture = tmp_path / "page.png"
    dom = subprocess.run(
        [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={tmp_path}/profile",
            "--dump-dom",
            f"--screenshot={picture}",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    root = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<html[^>]*>", dom)[0]))
    assert "errors" not in root, root["errors"]
    assert (root["ready"], root["failed"], root["canvases"]) == ("yes", "0", "3")
    shades = np.asarray(Image.open(picture).convert("L"), dtype=np.float64)
    rectangles = json.loads(root["rectangles"].replace("&quot;", '"'))
    assert len(rectangles) == int(root["drawn"]) == 4 + 3 + 4 + 3
    for kind, x, y, width, height in rectangles:
        cut = shades[int(y) + 5 : int(y + height) - 5, int(x) + 5 : int(x + width) - 5]
        assert cut.size and cut.std() > 3, f"{kind} at {x}, {y} is empty"

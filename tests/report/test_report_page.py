import dataclasses
import html.parser
import re

import numpy as np
import pytest
import report_synthetic

from browser import charts, chromium, drawn, opened, root, without_webgl
from pointdistill.errors import DataError
from pointdistill.report.comparison import lines
from pointdistill.report.evaluation_page import evaluation_page
from pointdistill.report.examples import Examples, load_examples, save_examples
from pointdistill.report.html import Html, tag
from pointdistill.report.page import page, write_page
from pointdistill.report.payload import detected, matches, scenes
from pointdistill.report.pictures import depth_uri
from pointdistill.report.results_section import stands_out, summary
from pointdistill.report.run_details import duration, value_text
from pointdistill.report.schema import write_results


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
    for name in ("results", "pipeline", "pretraining", "finetuning", "scenes", "run", "reading"):
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
    assert not parser.open and parser.tags.count("script") == 2


def test_elements():
    made = tag("a", "<", Html("<i>x</i>"), None, ["&"], href='"', class_="b", data_x=1, hidden=True, title=None)
    assert made == '<a href="&quot;" class="b" data-x="1" hidden>&lt;<i>x</i>&amp;</a>'
    assert tag("img", src="") == '<img src="">'


def test_parts_that_are_missing_are_left_out():
    results = dataclasses.replace(
        report_synthetic.results("fast", 1), pretraining=[], recipe={}, seconds={}, teacher={}
    )
    text = page(results, Examples())
    for name in ("pipeline", "pretraining", "scenes"):
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
    assert detected(empty)["boxes"]["scores"] == []
    (entry,) = scenes([("a", Examples(detection=[empty]))])
    assert entry["true"]["boxes"] == [] and entry["names"] == []


def test_depth_without_any_value():
    assert depth_uri(np.zeros((4, 5), dtype=np.uint16)).startswith("data:image/png")


def test_value_texts():
    assert [duration(seconds) for seconds in (3.21, 59.4, 425, 4350)] == ["3.2 s", "59 s", "7 min 05 s", "1 h 12 min"]
    values = (0.1 + 0.2, 20000, True, None, [1, 2.5], "x")
    assert [value_text(value) for value in values] == ["0.3", "20,000", "yes", "–", "1, 2.5", "x"]


def test_one_scene_of_several_sources_is_one_entry():
    first = report_synthetic.segmentation_example(0, 3000)
    other = dataclasses.replace(first, predicted=first.truth)
    elsewhere = report_synthetic.segmentation_example(1, 3000)
    found = scenes(
        [
            ("scratch", Examples(segmentation=[first, elsewhere])),
            ("distilled", Examples(segmentation=[other])),
            ("distilled", Examples(segmentation=[other])),
        ]
    )
    assert [[run["name"] for run in entry["runs"]] for entry in found] == [
        ["scratch", "distilled", "distilled (2)"],
        ["scratch"],
    ]
    assert found[0]["runs"][1]["right"] == 1.0 and found[0]["runs"][0]["right"] < 1


def test_fifty_scenes_stay_within_the_budget():
    many = [report_synthetic.segmentation_example(seed, 7000) for seed in range(50)]
    sizes = {len(entry["truth"]) for entry in scenes([("a", Examples(segmentation=many))])}
    assert sizes == {8000}  # 6000 bytes in base64


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def visible(page, kind):
    """Share of a viewer's pixels that something covers, and how much these vary."""
    picture = drawn(page, kind)
    there = picture[..., 3] > 0
    return there.mean(), picture[there][:, :3].std()


def test_browser_draws_clouds_and_boxes_with_one_context(run, browser):
    with opened(browser, run / "report.html") as page:
        assert {key: root(page)[key] for key in ("drawn", "failed", "contexts")} == {
            "drawn": "2",
            "failed": "0",
            "contexts": "1",
        }
        for kind in ("pipeline", "scenes"):
            share, spread = visible(page, kind)
            assert share > 0.05 and spread > 20, kind
        assert charts(page) == [True] * (4 + 3 + 4)
        whole = drawn(page, "scenes")
        green = (whole[..., 1] - np.maximum(whole[..., 0], whole[..., 2]) > 25).sum()
        assert green > 100  # edges of true boxes
        page.uncheck('input[data-layer="true"]')
        fewer = drawn(page, "scenes")
        assert (fewer[..., 1] - np.maximum(fewer[..., 0], fewer[..., 2]) > 25).sum() < green / 4


def test_browser_turns_zooms_and_resets_by_keys_and_buttons(run, browser):
    with opened(browser, run / "report.html") as page:
        stage = page.locator('.viewer[data-view="scenes"] .space')
        first = drawn(page, "scenes")
        stage.focus()
        seen = [first]
        for key in ("ArrowLeft", "ArrowUp", "+", "Shift+ArrowRight"):
            page.keyboard.press(key)
            seen.append(drawn(page, "scenes"))
            assert (seen[-1] != seen[-2]).any(-1).mean() > 0.02, key
        page.click('.viewer[data-view="scenes"] [data-camera="reset"]')
        assert (drawn(page, "scenes") == first).all()
        page.click('.viewer[data-view="scenes"] [data-camera="above"]')
        assert (drawn(page, "scenes") != first).any()
        stage.click()  # in the middle, once the page has come to rest
        assert page.inner_text("#picked").startswith("Point at ")


def test_browser_hides_classes_and_shows_truth_prediction_and_errors(run, browser):
    with opened(browser, run / "report.html", dark=True) as page:
        assert page.locator("#scenes-choice optgroup").count() == 3
        page.select_option("#scenes-choice", "2")
        assert page.locator('#scenes [data-only="boxes"]').first.is_hidden()
        pictures = {}
        for colouring in ("predicted", "truth", "errors", "height"):
            page.check(f'input[name="colouring"][value="{colouring}"]')
            pictures[colouring] = drawn(page, "scenes")
        assert all((pictures["predicted"] != pictures[other]).any() for other in ("truth", "errors", "height"))
        page.check('input[name="colouring"][value="truth"]')
        covered = (drawn(page, "scenes")[..., 3] > 0).mean()
        page.uncheck('#classes input[data-kind="floor"]')
        assert (drawn(page, "scenes")[..., 3] > 0).mean() < covered
        assert page.evaluate("document.activeElement.dataset.kind") == "floor"  # the keyboard stays where it was
        page.click('[data-classes="none"]')
        assert (drawn(page, "scenes")[..., 3] > 0).mean() < 0.2 * covered  # points without a label stay
        page.click('[data-classes="all"]')
        page.check("#beside")
        halves = np.array_split((drawn(page, "scenes")[..., 3] > 0), 2, axis=1)
        assert all(half.mean() > 0.02 for half in halves)
        page.click('#scenes .picker button[data-step="1"]')
        assert page.input_value("#scenes-choice") == "3"
        background = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(background) == "rgb(20, 22, 26)"
        page.click("#theme")
        assert page.evaluate(background) == "rgb(251, 251, 250)"


def test_browser_legends_hide_series_and_the_pointer_reads_values(run, browser):
    with opened(browser, run / "report.html") as page:
        button = page.locator("#finetuning .toggles button").first
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        series = button.get_attribute("data-series")
        groups = page.locator(f'#finetuning .chart [data-series="{series}"]')
        assert groups.count() >= 4 and not any(group.is_visible() for group in groups.all())
        chart = page.locator("#pretraining svg.chart").first
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] * 0.72)
        assert "step" in page.locator("#pretraining .tip").first.inner_text()


def test_without_webgl_the_page_says_so_and_its_tables_work(run, browser):
    poor = without_webgl(browser)
    with opened(poor, run / "report.html", width=400) as page:
        assert root(page)["contexts"] == "0" and root(page)["failed"] == "0"
        assert "no WebGL" in page.locator('.viewer[data-view="scenes"] .missing').inner_text()
        assert page.locator("#classes tbody tr").count() == 6
        assert page.evaluate("document.documentElement.scrollWidth") <= 400  # nothing wider than a telephone
    poor.close()


@pytest.mark.long
def test_a_page_of_fifty_scenes_is_small_and_quick(tmp_path, browser, capsys):
    results = {"task": "detection", "metric": "ap25", "figures": {"ap25": 0.5, "ap25_by_class": {"bed": 0.5}}}
    results |= {"recipe": "made", "init": "scratch", "labels": None, "seed": 0, "identity": "", "settings": {}}
    results |= {"version": "0", "data": {"split": "val", "store": "", "pieces": 50}}
    many = [report_synthetic.detection_example(seed, 6000) for seed in range(50)]
    path = tmp_path / "index.html"
    path.write_text(evaluation_page(results, Examples(detection=many)), encoding="utf-8")
    seconds = []
    for _ in range(3):
        with opened(browser, path) as page:
            seconds.append(page.evaluate("performance.now()") / 1000)
            next_scene = """() => { const before = performance.now();
              document.querySelector('#scenes .picker button[data-step="1"]').click();
              return performance.now() - before; }"""
            turns = [page.evaluate(next_scene) for _ in range(10)]
    size = path.stat().st_size / 1e6
    with capsys.disabled():
        print(f"\n50 scenes: {size:.1f} MB, drawn after {np.median(seconds):.2f} s, next {np.median(turns):.0f} ms")
    assert size < 6 and min(seconds) < 3 and np.median(turns) < 200

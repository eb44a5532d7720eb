"""What the documents name exists, the paper is covered row by row, and the code keeps to the plan of the house."""

import ast
import dataclasses
import importlib
import json
import math
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointdistill import targets
from pointdistill.cli import OF_EVERY_VERB, VERBS, options
from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import distillation, quickstart
from pointdistill.recipes.recipe import as_json
from pointdistill.report.schema import read_results
from pointdistill.report.tables import markdown_table
from pointdistill.reproduce.results import TableResult
from pointdistill.reproduce.scales import scale_of
from pointdistill.reproduce.text import markdown, sheet
from pointdistill.store import FIELDS
from pointdistill.teachers.networks import TeacherConfig
from pointdistill.typed_json import read_typed

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pointdistill"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMING_PAGES = sorted((ROOT / "docs").glob("*.md"))
TOP = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
STATUS = ("done", "quickstart size only", "not yet")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _named(page: Path) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", _prose(page))


def _commands(page: Path) -> list[str]:
    """Lines of the page's blocks of code, and what stands in backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()] + _named(page)


@cache
def _exists(symbol: str) -> bool:
    """Whether pointdistill.<symbol> is a module, or an attribute or field of something in one."""
    parts = symbol.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["pointdistill", *parts[:count]]))
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("pointdistill"):
                continue
            raise
        return all(
            _step(found, name) is not None and (found := _step(found, name)) is not None for name in parts[count:]
        )
    return False


def _step(thing: object, name: str) -> object:
    """The attribute of this name; a field of a dataclass without default stands for itself."""
    if hasattr(thing, name):
        value = getattr(thing, name)
        return name if value is None else value
    fields = {field.name for field in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    return name if name in fields else None


def test_how_symbols_are_found():
    for symbol in ("models.concepts.ConceptConfig.attend", "store.FrameStore.points", "engine.pretrain", "loader"):
        assert _exists(symbol), symbol
    for symbol in ("models.concepts.Nothing", "nothing.at.all", "models.concepts.ConceptConfig.nothing"):
        assert not _exists(symbol), symbol


@pytest.mark.parametrize("page", NAMING_PAGES, ids=lambda page: page.name)
def test_symbols_exist(page):
    symbols = {
        name.removeprefix("pointdistill.")
        for text in _named(page)
        if (name := text.removesuffix("()")) and re.fullmatch(r"[a-z_0-9]+(\.\w+)+", name)
        if name.removeprefix("pointdistill.").split(".")[0] in TOP and not _is_file_name(name)
    }
    missing = sorted(symbol for symbol in symbols if not _exists(symbol))
    assert not missing
    if page.name in ("paper.md", "architecture.md"):
        assert len(symbols) > 20


def _is_file_name(text: str) -> bool:
    suffix = text.rpartition(".")[2]
    return suffix in {
        "py",
        "json",
        "jsonl",
        "npy",
        "npz",
        "csv",
        "bin",
        "safetensors",
        "html",
        "css",
        "js",
        "md",
        "toml",
        "txt",
    }


@pytest.mark.parametrize("page", NAMING_PAGES, ids=lambda page: page.name)
def test_files_and_tests_exist(page):
    for text in _named(page):
        if re.fullmatch(r"(src|tests|docs|recipes|benchmarks)/[\w./*-]+(::\w+)?", text):
            path, _, test = text.partition("::")
            places = [*ROOT.glob(path), *SOURCE.glob(path)]
            assert places, f"{page.name}: {path} does not exist"
            if test:
                assert re.search(rf"^def {test}\b", places[0].read_text(), re.MULTILINE), f"{page.name}: no test {text}"


@pages
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page if not path else (page.parent / path)
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in _anchors(linked), f"{page.name} links to {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pages
def test_commands_exist(page):
    make_targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in _commands(page):
        words = command.removeprefix("$ ").removeprefix(".venv/bin/").split()
        if len(words) > 1 and words[0] == "pointdistill" and re.fullmatch(r"[a-z]+", words[1]):
            assert words[1] in VERBS, f"{page.name}: {command}"
            given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
            assert given <= options(words[1]) | {"--help"} | set(OF_EVERY_VERB), f"{page.name}: {command}"
        if len(words) > 1 and words[0] == "make" and re.fullmatch(r"[a-z-]+", words[1]):
            assert words[1] in make_targets, f"{page.name}: {command}"


def _rows(section: str) -> list[list[str]]:
    """Cells of the table rows under a heading of docs/paper.md, without the head."""
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    body = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("Equations", [str(number) for number in range(1, 14)]),
        ("Tables", [str(number) for number in range(1, 11)]),
        ("Figures", [str(number) for number in range(1, 5)]),
        ("Table 8, setting by setting", None),
        ("Appendix A, setting by setting", None),
    ],
)
def test_the_paper_is_covered(section, names):
    rows = _rows(section)
    if names is not None:
        assert [row[0] for row in rows] == names
    for row in rows:
        assert row[-1].startswith(STATUS), f"{section}, {row[0]}: status {row[-1]!r}"
        if row[-1].startswith("done"):
            assert "`" in row[-3] and "`tests/" in row[-2], f"{section}, {row[0]}: done, but where, and who checks it?"


def test_table_8_has_all_its_rows():
    assert len(_rows("Table 8, setting by setting")) == 20


def _leaves(content: dict, path: str = "recipe") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", value


def test_every_deviation_of_the_quickstart_is_explained():
    of_paper, of_quickstart = (dict(_leaves(as_json(recipe))) for recipe in (paper(), distillation()))
    assert of_paper.keys() == of_quickstart.keys()
    without_effect = {"name", "frames.dataset", "engine.checkpoint_every", "engine.validate_every"}
    differing = [
        [f"`{name}`", json.dumps(value), json.dumps(of_quickstart[name])]
        for name, value in of_paper.items()
        if value != of_quickstart[name] and name.removeprefix("recipe.") not in without_effect
    ]
    rows = [row for row in _rows("The quickstart's recipe, and why it differs") if row[0].startswith("`recipe.")]
    assert sorted(row[:3] for row in rows) == sorted(differing)
    assert all(row[3] for row in rows), "a deviation without a reason"


SINCE_PUBLISHED: dict[str, dict[str, Any]] = {
    "pretrain": {"first": None},
    "point_mae": {"first": None},
    "method": {"reads": "concepts", "mask_at": "input"},
    "task": {"cuboid": None, "tokens": "patches", "radius": 0.2, "ball_size": 64, "farthest": 0, "vote_repeats": 1},
    "finetune": {"optimiser": "adamw", "decay_all": False, "warmup_start": None, "cosine_from_start": False},
    "decoder": {"angle_bins": None, "projection_layers": 2, "xavier": False, "skip_near_origin": False},
    "set_loss": {"angle_weight": 0.1, "residual_weight": 0.5},
    "backbone": {
        "patch_hidden": 0,
        "patch_pooled": 0,
        "class_token": False,
        "normed_residual": False,
        "skip_near_origin": False,
        "neighbours_by_index": False,
    },
}
"""Settings that are younger than the published figures: under these values everything is computed as it was then."""


def _as_published(part: str, recipe: Any) -> Any:
    """Today's recipe without the settings that did not exist yet."""
    if not isinstance(recipe, dict):
        return recipe
    young = SINCE_PUBLISHED.get(part, {})
    kept = {name: value for name, value in recipe.items() if name not in young or value != young[name]}
    return {name: _as_published(name, value) for name, value in kept.items()}


def test_published_figures_are_those_of_todays_recipes():
    found = sorted((ROOT / "docs" / "results").glob("quickstart*.json"))
    assert found
    for path in found:
        content = json.loads(path.read_text(encoding="utf-8"))
        published, today = (
            _as_published("recipe", each) for each in (content["recipe"], as_json(quickstart(content["mode"])))
        )
        assert published == today, f"{path.name}: run it again"


def test_published_tables_are_those_of_todays_recipes():
    """Figures of rows are not checked against anything but the file itself: that the page beside it says the same."""
    found = sorted((ROOT / "docs" / "results").glob("*-small.json"))
    assert len(found) >= 1
    for path in found:
        content = json.loads(path.read_text(encoding="utf-8"))
        scale = scale_of(content["scale"])
        assert content["seeds"] >= 5 and path.stem == f"{content['table']}-{scale.name}"
        if "recipes" not in content:  # a figure of its own kind, made by the base recipe
            assert _as_published("base", content["recipe"]) == _as_published("base", as_json(scale.base)), path.name
            continue
        today = {"base": as_json(scale.base), "downstream": as_json(scale.tasks[content["task"]])}
        published, today = (_as_published("recipes", recipes) for recipes in (content["recipes"], today))
        assert published == today, f"{path.name}: run it again"
        shown = markdown(sheet(read_typed(TableResult, content)))
        assert path.with_suffix(".md").read_text(encoding="utf-8") == shown
        assert all(len(row["figures"]) > 0 for row in content["rows"] if row["trained"])


def test_readme_holds_the_published_table():
    results = read_results(ROOT / "docs" / "results" / "quickstart-full.json")
    assert markdown_table(results) in (ROOT / "README.md").read_text(encoding="utf-8")


def _imports(path: Path) -> Iterator[str]:
    """The rooms (first names below pointdistill) that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pointdistill":
            below = node.module.split(".")[1:]
            yield from below[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pointdistill."))


def test_rooms_import_only_what_the_plan_allows():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    body = text.split("\n## What may import what\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("| `")]
    allowed = {
        room: set(re.findall(r"`(\w+)`", may)) for names, may, *_ in rows for room in re.findall(r"`(\w+)`", names)
    }
    assert set(allowed) == TOP - {"__init__"}
    everybody = set(re.findall(r"`(\w+)`", re.findall(r"^Everybody may import (.+?)\.$", body, re.M | re.S)[0]))
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room != "__init__":
            wrong = set(_imports(path)) & TOP - allowed[room] - everybody - {room}
            assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def _bytes_a_frame(points: int, prefix: tuple[int, int]) -> int:
    matrices = dict.fromkeys(("poses", "colour_intrinsics", "depth_intrinsics", "colour_to_depth"), (4, 4))
    vectors = dict.fromkeys(("lower", "step", "centre"), (3,)) | dict.fromkeys(("colour_size", "depth_size"), (2,))
    scalars = dict.fromkeys(("scale", "counts", "scans", "frames"), (1,))
    shapes = {"points": (points, 3), "targets": prefix, **matrices, **vectors, **scalars}
    types = {**FIELDS, "targets": targets.DTYPE}
    assert set(shapes) == set(types)
    return sum(np.dtype(kind).itemsize * math.prod(shapes[name]) for name, kind in types.items())


def test_bytes_a_frame_are_the_stores():
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    sizes = [
        _bytes_a_frame(paper().frames.stored_points, (10, 768)),
        _bytes_a_frame(
            distillation().frames.stored_points, (TeacherConfig().prefix_length, TeacherConfig().language_width)
        ),
    ]
    assert f"| together | | | {sizes[0]:,} | {sizes[1]:,} |" in text


def _kept_files() -> list[Path]:
    """Files under version control, and those that would be; without git, the folders that a release holds."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if found.returncode == 0:
        return [ROOT / name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [path for name in ("src", "tests", "docs") for path in (ROOT / name).rglob("*") if path.is_file()]


# Written so that they do not match themselves.
MACHINE_PATH = re.compile(r"(?<![\w./<-])/(?:work|root|home|Users|mnt|tmp/bash_jobs)/[\w.]")
REGISTRY = re.compile(
    r"https?://[\w.:@-]*(?:pypi|pythonhosted|npmjs|artifactory|nexus|devpi|index|mirror|registry)[\w.:-]*|--(?:extra-)?index-url"
)


def test_no_machine_paths_and_no_registries():
    for path in _kept_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            where = f"{path.relative_to(ROOT)}, line {number}: {line.strip()[:100]}"
            assert not MACHINE_PATH.search(line), where
            if "https://download.pytorch.org/whl/cpu" not in line:
                assert not REGISTRY.search(line), where

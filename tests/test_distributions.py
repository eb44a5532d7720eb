"""What is published: a wheel and a source distribution whose bytes depend on the sources alone, that hold what they
should and nothing else, and a wheel that works far from any checkout."""

import email
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = f"pointdistill-{PROJECT['version']}"
NOT_PUBLISHED = {".ci", ".gitignore"}
WHEEL = f"{NAME}-py3-none-any.whl"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PLAIN = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {
    "PYTHONDONTWRITEBYTECODE": "1"
}
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
CFF_KEYS = """abstract authors cff-version commit contact date-released doi identifiers keywords license license-url
message preferred-citation references repository repository-artifact repository-code title type url version"""

BUILD = """
import os, sys
out, umask, *kinds = sys.argv[1:]
os.umask(int(umask, 8))
sys.path.insert(0, "backend")
import reproducible
for kind in kinds:
    getattr(reproducible, f"build_{kind}")(out)
"""


def kept_files() -> list[str]:
    """What is under version control, or would be; without git, as in a source distribution, all that is there."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if found.returncode == 0:
        return [name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]
    there = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file() and path.name != "PKG-INFO"]
    return [path.as_posix() for path in there if not {"__pycache__", ".hypothesis"} & {*path.parts}]


def build(source: Path, out: Path, umask: str, *kinds: str) -> None:
    """What pip and `python -m build` call, in a process of its own; nothing is fetched."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment.pop("SOURCE_DATE_EPOCH", None)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, out, umask, *kinds], cwd=source, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


def copied(folder: Path, mode: int, when: int) -> Path:
    """A checkout as another machine has it: another folder, other modes, other times."""
    for name in kept_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        target.chmod(mode)
        os.utime(target, (when, when))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """Two builds: one of a tidy checkout; one in a deeper folder, years later, with another umask and with what an
    earlier build left behind."""
    folder = tmp_path_factory.mktemp("distributions")
    tidy, late = copied(folder / "a", 0o644, 1_600_000_000), copied(folder / "b" / "deeper", 0o660, 1_900_000_000)
    (late / "build" / "lib" / "pointdistill").mkdir(parents=True)
    (late / "build" / "lib" / "pointdistill" / "deleted_since.py").write_text("")
    (late / "src" / "pointdistill.egg-info").mkdir()
    (late / "src" / "pointdistill.egg-info" / "SOURCES.txt").write_text("left_over.txt\n")
    (late / "left_over.txt").write_text("")
    (late / "tests" / "__pycache__").mkdir(exist_ok=True)
    (late / "tests" / "__pycache__" / "some.pyc").write_text("")
    for source, out, umask in ((tidy, folder / "one", "022"), (late, folder / "two", "077")):
        out.mkdir()
        build(source, out, umask, "sdist", "wheel")
    return folder / "one", folder / "two"


def test_two_builds_have_the_same_bytes(built):
    one, two = ({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()} for out in built)
    assert set(one) == {WHEEL, f"{NAME}.tar.gz"}
    assert one == two


def test_times_modes_and_owners_tell_nothing(built):
    with zipfile.ZipFile(built[1] / WHEEL) as wheel:
        assert {info.date_time for info in wheel.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in wheel.infolist()} == {0o100644}
    with tarfile.open(built[1] / f"{NAME}.tar.gz") as source:
        members = source.getmembers()
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {(0, 0, "", "", 1577836800)}
    assert {one.mode for one in members} <= {0o644, 0o755}


def test_the_source_distribution_holds_what_is_under_version_control_and_nothing_else(built):
    with tarfile.open(built[1] / f"{NAME}.tar.gz") as source:
        names = {name.removeprefix(f"{NAME}/") for name in source.getnames()}
    assert names - {"PKG-INFO"} == {name for name in kept_files() if Path(name).parts[0] not in NOT_PUBLISHED}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[0] / WHEEL) as wheel:
        names = set(wheel.namelist())
        described = email.message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
        scripts = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode()
    own = {name for name in names if ".dist-info/" not in name}
    assert own == {name.removeprefix("src/") for name in kept_files() if name.startswith("src/")}
    about = {name.partition("/")[2] for name in names - own}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
    assert described["Name"] == "pointdistill" and described["Version"] == PROJECT["version"]
    assert described["Requires-Python"] == ">=3.11" and "pointdistill = pointdistill.cli:main" in scripts
    assert set(described.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])


def test_a_date_from_outside_counts(built, tmp_path):
    """SOURCE_DATE_EPOCH, in seconds since 1970, is what all builders of reproducible packages set."""
    sys.path.insert(0, str(ROOT / "backend"))
    try:
        import reproducible
    finally:
        sys.path.remove(str(ROOT / "backend"))
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("some.py", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        reproducible._pack_wheel(path)
    with zipfile.ZipFile(path) as wheel:
        assert [info.date_time for info in wheel.infolist()] == [(2023, 11, 14, 22, 13, 20)]


@pytest.mark.long
def test_a_wheel_of_the_source_distribution_is_the_same(built, tmp_path):
    with tarfile.open(built[0] / f"{NAME}.tar.gz") as source:
        source.extractall(tmp_path, filter="data")
    (tmp_path / "out").mkdir()
    build(tmp_path / NAME, tmp_path / "out", "022", "wheel")
    assert (tmp_path / "out" / WHEEL).read_bytes() == (built[0] / WHEEL).read_bytes()
    quick = ["tests/test_files.py", "tests/geometry/test_fps.py", "tests/test_docs.py"]  # as somebody would look
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "not long", "-p", "no:cacheprovider", *quick],
        cwd=tmp_path / NAME,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / NAME / "src")},
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.long
def test_the_wheel_in_an_empty_environment_runs_the_quickstart(built, tmp_path):
    """What pip makes of the wheel where nothing else is, far from the checkout; README's first command from it."""
    if sys.platform.startswith("linux") and not metadata.version("torch").endswith("+cpu"):
        pytest.skip("pip is offered no CPU build of PyTorch here")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python, program = tmp_path / "venv/bin/python", tmp_path / "venv/bin/pointdistill"
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def run(*command: object) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=alone)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    pinned = ["--constraint", tmp_path / "pinned.txt"]
    lock = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    (tmp_path / "pinned.txt").write_text("\n".join(line.split(" --hash")[0] for line in lock if "==" in line))
    run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *pinned, built[0] / WHEEL)
    run(python, "-m", "pip", "check")
    assert run(program, "--version") == f"pointdistill {PROJECT['version']}\n"
    where = run(python, "-c", "import pointdistill; print(pointdistill.__file__)")
    assert Path(where.strip()).is_relative_to(tmp_path / "venv")
    assert "mean nothing" in run(program, "quickstart", "--fast", "--out", tmp_path / "quickstart")
    results = json.loads((tmp_path / "quickstart" / "results.json").read_text())
    assert len(results["tasks"]) == 4
    assert (tmp_path / "quickstart" / "report.html").read_text().rstrip().endswith("</html>")


def interpreters() -> list[Path]:
    """Pythons on PATH, and where pyenv keeps them."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("*/bin"))
    found = [path for folder in folders if folder.name != "shims" for path in folder.glob("python3.[0-9]*[0-9]")]
    return [Path(sys.executable), *(path for path in found if os.access(path, os.X_OK))]


def _version(python: Path) -> str:
    if python == Path(sys.executable):
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    return python.name.removeprefix("python")


def of_requirements(requirements: list[str]) -> set[str]:
    """All distributions that these bring, by the metadata of what is installed."""
    found, left = set(), [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            left += [Requirement(text) for text in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            continue
    return found


def test_classifiers_are_the_versions_that_are_looked_at():
    listed = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert tuple(listed) == VERSIONS and PROJECT["requires-python"] == f">={VERSIONS[0]}"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_sources_are_of_every_version(version):
    """By the linter: syntax that a version does not have, or has no more. Rules that only offer newer ways are out."""
    ruff = Path(sys.executable).parent / "ruff"
    target = f"py{version.replace('.', '')}"
    checked = ["src", "tests", "benchmarks", "backend"]
    done = subprocess.run(
        [ruff, "check", "--no-cache", "--target-version", target, "--ignore", "UP,B912", *checked],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


COMPILE = """
import pathlib
for path in pathlib.Path("src").rglob("*.py"):
    compile(path.read_text(encoding="utf-8"), str(path), "exec")
"""


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS[1:])
def test_interpreters_that_are_here_compile_all_of_it(version):
    python = next((path for path in interpreters() if _version(path) == version), None)
    if python is None:
        pytest.skip(f"no Python {version} here")
    done = subprocess.run([python, "-W", "error", "-c", COMPILE], cwd=ROOT, capture_output=True, text=True, env=PLAIN)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_the_type_checker_passes_at_every_version(version):
    pyright = Path(sys.executable).parent / "pyright"
    command = [pyright, "--pythonversion", version, "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


WITHOUT_EXTRAS = """
import importlib, importlib.abc, json, pkgutil, sys

blocked = set(json.loads(sys.argv[1]))

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is no core dependency", name=name)

sys.meta_path.insert(0, Blocker())
import pointdistill
names = [module.name for module in pkgutil.walk_packages(pointdistill.__path__, "pointdistill.")]
missing = {}
for name in names:
    try:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing[name.partition(".")[2]] = error.name
import torch
from pointdistill.geometry import farthest_point_sample
index = farthest_point_sample(torch.rand(1, 64, 3), 8)
there = sorted(blocked & set(sys.modules))
print(json.dumps({"modules": len(names), "missing": missing, "there": there, "chosen": index.unique().numel()}))
"""


COMPILED = dict.fromkeys(("geometry.ball_cells", "geometry.compiled", "geometry.fps_buckets"), "numba")
"""Modules of the extra `fast` that are nothing but what numba compiles; who imports them does without."""


def test_every_module_is_imported_with_the_core_dependencies_alone():
    """Whatever else is installed here, also a package that only an extra brings, cannot be found."""
    core = of_requirements(PROJECT["dependencies"])
    owners = metadata.packages_distributions()
    blocked = {top for top, names in owners.items() if not {canonicalize_name(name) for name in names} & core}
    blocked -= {"pointdistill", "__editable___pointdistill_0_1_0_finder"}
    assert {"transformers", "h5py", "sklearn", "numba", "distributed", "pytest", "beartype"} <= blocked
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, json.dumps(sorted(blocked))],
        capture_output=True,
        text=True,
        env={**PLAIN, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["modules"] > 250 and found["there"] == [] and found["chosen"] == 8
    assert found["missing"] == COMPILED


def test_every_extra_can_be_asked_for_alone():
    """Each names packages and no other extra, and what needs one of them says which extra brings it."""
    said = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for extra, requirements in PROJECT["optional-dependencies"].items():
        if extra == "dev":
            continue
        assert requirements and not any(text.startswith("pointdistill") for text in requirements), extra
        assert f'"{extra}")' in said or f"[{extra}]" in said, extra
    dev = PROJECT["optional-dependencies"]["dev"][0].partition("[")[2].rstrip("]").split(",")
    assert set(dev) == set(PROJECT["optional-dependencies"]) - {"dev", "wandb", "view"}, "developers have all but these"


@pytest.mark.long
@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - {"dev"}))
def test_every_extra_resolves_alone(built, extra):
    """pip finds versions that go together with what is pinned, and would not replace torch."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--quiet",
            "--report",
            "-",
            f"{built[0] / WHEEL}[{extra}]",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    chosen = {one["metadata"]["name"].lower() for one in json.loads(done.stdout)["install"]}
    assert "torch" not in chosen


CITED = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_citation_is_what_citation_file_format_1_2_0_asks_for():
    """The required keys, those that exist, and their forms; the whole schema: `cffconvert --validate`."""
    assert CITED["cff-version"] == "1.2.0" and CITED["type"] == "software"
    assert {"message", "title", "authors"} <= set(CITED) <= set(CFF_KEYS.split())
    assert (CITED["version"], CITED["license"]) == (PROJECT["version"], PROJECT["license"])
    assert CITED["authors"] == [{"name": "The pointdistill authors"}]
    (paper,) = CITED["references"]
    assert {"type", "title", "authors"} <= set(paper) and paper["type"] in ("article", "conference-paper", "generic")
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2212.08974", "description": "The arXiv preprint"}]
    assert all(set(author) == {"family-names", "given-names"} for author in paper["authors"])


def test_the_changelog_is_in_order():
    """Newest version first; within each, the kinds of change of Keep a Changelog, each once and with entries."""
    text = (ROOT / "CHANGELOG.md").read_text()
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    versions = [re.match(r"\[([\w.]+)\]( - (\d{4}-\d\d-\d\d|unreleased))?\n", section) for section in sections]
    assert all(versions) and head.startswith("# Changelog\n")
    names = [found[1] for found in versions if found]
    assert names[0] == "Unreleased" and names[1] == PROJECT["version"]
    numbers = [tuple(map(int, name.split("."))) for name in names[1:]]
    assert numbers == sorted(numbers, reverse=True)
    for name, section in zip(names, sections, strict=True):
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds], f"{name}: {kinds}"
        for kind in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
            lines = [line for line in kind.splitlines()[1:] if line]
            assert lines[0].startswith("- ") and all(line.startswith(("- ", "  ")) for line in lines), name

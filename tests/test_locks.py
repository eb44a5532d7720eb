"""What an installation lets in: versions and hashes of the lock files, and nothing beside them."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OF_DEV = next(Requirement(text).extras for text in EXTRAS["dev"] if text.startswith("pointdistill["))
OF_EXTRAS = list(chain.from_iterable(EXTRAS[name] for name in ("dev", *OF_DEV)))
OF_CUDA = re.compile(r"cuda-.+|nvidia-.+|triton")
HASHED = ["--require-hashes", "--only-binary", ":all:"]


@dataclass(frozen=True)
class Pin:
    """An entry of a lock file. Attributes: requirement: name, version, marker. hashes: sha256, in hexadecimal."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        return str(self.requirement.specifier).removeprefix("==")

    @property
    def meant_for_here(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def read_lock(name: str) -> list[Pin]:
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    entries = [line.split(" --hash=") for line in text.splitlines() if line.strip()]
    return [Pin(Requirement(first), tuple(hash.strip() for hash in hashes)) for first, *hashes in entries]


def pins(name: str) -> dict[str, Pin]:
    return {canonicalize_name(pin.requirement.name): pin for pin in read_lock(name)}


CPU, CUDA, DEV = map(pins, ("requirements.lock", "requirements-cuda.lock", "requirements-dev.lock"))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-cuda.lock", "requirements-dev.lock"])
def test_every_entry_has_one_version_and_hashes(name):
    found = read_lock(name)
    assert len(found) > 20 and len(pins(name)) == len(found)
    for pin in found:
        assert re.fullmatch(r"==[\w.]+", str(pin.requirement.specifier)), pin
        assert not pin.requirement.url and not pin.requirement.extras
        assert pin.hashes and len(set(pin.hashes)) == len(pin.hashes), pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", hash) for hash in pin.hashes), pin
    assert "`make locks`" in (ROOT / name).read_text().split("==")[0]


def test_cpu_and_cuda_differ_by_nvidias_packages_and_the_wheels_of_torch():
    assert {name: (CUDA[name].version, CUDA[name].hashes) for name in CPU if name != "torch"} == {
        name: (pin.version, pin.hashes) for name, pin in CPU.items() if name != "torch"
    }
    assert CUDA["torch"].version == CPU["torch"].version
    assert {name for name in CUDA if OF_CUDA.fullmatch(name)} == CUDA.keys() - CPU.keys() >= {"triton", "nvidia-cublas"}
    assert all("sys_platform == 'linux'" in str(CUDA[name].requirement).replace('"', "'") for name in CUDA.keys() - CPU)
    cpu, cuda = set(CPU["torch"].hashes), set(CUDA["torch"].hashes)
    # Beside a CUDA build's hash, pip would prefer that build to a CPU wheel in a folder, whose hash no index tells it.
    assert cpu & cuda, "the wheels for macOS and Windows"
    assert cpu - cuda, "the CPU builds for Linux: for a new torch they are entered by hand"
    assert cuda - cpu, "the CUDA builds for Linux"


def test_no_package_is_pinned_twice():
    assert DEV.keys() & CUDA.keys() == set()


def needed(requirements: list[str]) -> set[str]:
    """All that these requirements bring here, by the metadata of what is installed."""
    found, left = set(), [(Requirement(text), "") for text in requirements]
    while left:
        requirement, extra = left.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                left += [(Requirement(text), extra) for text in _requires(name)]
    return {name for name, _ in found}


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def test_the_cpu_lock_holds_what_the_package_needs_and_nothing_else():
    assert needed(PROJECT["dependencies"]) - CUDA.keys() == set()
    of_cpu = {name for name in needed(PROJECT["dependencies"]) if not OF_CUDA.fullmatch(name)}
    assert of_cpu == {name for name, pin in CPU.items() if pin.meant_for_here}


def test_the_developers_lock_holds_the_rest():
    assert needed(OF_EXTRAS) - {"pointdistill"} - CUDA.keys() - DEV.keys() == set()


def test_versions_are_those_that_pyproject_allows():
    locked = {**CUDA, **DEV}
    for text in [*PROJECT["dependencies"], *OF_EXTRAS]:
        requirement = Requirement(text)
        if (name := canonicalize_name(requirement.name)) != "pointdistill":
            assert requirement.specifier.contains(locked[name].version), text


def test_make_installs_nothing_without_a_hash():
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "LOCK=requirements.lock", "install-dev"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    installs = [line for line in said.stdout.splitlines() if "pip install" in line]
    own = [line for line in installs if line.endswith("--no-deps --no-build-isolation -e .")]
    hashed = [line for line in installs if " ".join(HASHED) in line]
    assert len(own) == 1 and len(hashed) == 2 and len(installs) == 3
    assert [line.split(" -r ")[1] for line in hashed] == ["requirements.lock", "requirements-dev.lock"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {Requirement(text).name for text in build} <= CPU.keys()  # for want of isolation


def write_wheel(folder: Path, name: str, requires: str = "") -> str:
    """A package of one empty module; returns the wheel's sha256."""
    about = f"{name}-1.0.dist-info"
    metadata_text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (
        requires and f"Requires-Dist: {requires}\n"
    )
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{about}/METADATA", metadata_text)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pip_refuses_what_the_lock_does_not_name(tmp_path):
    right = write_wheel(tmp_path, "wanted", requires="stowaway")
    stowaway = write_wheel(tmp_path, "stowaway")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}

    def install(lock: str) -> tuple[bool, str, list[str]]:
        (tmp_path / "some.lock").write_text(lock)
        target = tmp_path / hashlib.sha256(lock.encode()).hexdigest()[:8]
        options = ["--no-index", "--find-links", tmp_path, "--target", target, "-r", tmp_path / "some.lock"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *HASHED, *options],
            capture_output=True,
            text=True,
            env={**environment, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        return done.returncode == 0, done.stderr, sorted(path.name for path in target.glob("*.py"))

    wanted, other = f"wanted==1.0 --hash=sha256:{right}\n", f"stowaway==1.0 --hash=sha256:{stowaway}\n"
    well, said, there = install(wanted.replace(right, "0" * 64) + other)
    assert not well and "DO NOT MATCH THE HASHES" in said and there == []
    well, said, there = install(wanted)
    assert not well and "stowaway" in said and there == []
    assert install(wanted + other)[::2] == (True, ["stowaway.py", "wanted.py"])


@pytest.mark.long
def test_the_cpu_lock_into_an_empty_environment(tmp_path):
    if sys.platform.startswith("linux") and not metadata.version("torch").endswith("+cpu"):
        pytest.skip("pip is offered no CPU build of PyTorch here")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", *HASHED, "-r", ROOT / "requirements.lock"]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )
    versions = dict(line.split("==") for line in listed.stdout.splitlines())
    there = {canonicalize_name(name): version.removesuffix("+cpu") for name, version in versions.items()}
    assert there == {"pip": there["pip"]} | {name: pin.version for name, pin in CPU.items() if pin.meant_for_here}
    use = "import torch, pointdistill as p; print(p.create_backbone('vit_nano')(torch.rand(1, 512, 3)).tokens.shape)"
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", use],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**alone, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0 and done.stdout.startswith("torch.Size([1, "), done.stderr

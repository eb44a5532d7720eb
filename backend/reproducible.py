"""The build backend: setuptools, with archives whose bytes depend on the sources alone.

What setuptools packs carries the clock, the umask and the user of whoever builds, what an earlier build left behind in
build/ and *.egg-info, and in a wheel the order of the disk's directories. Here each archive is packed anew: members
sorted, their times SOURCE_DATE_EPOCH (or a fixed day), their modes 644 or 755, no owners. pip and build find this file
through `build-backend` in pyproject.toml.
"""

import gzip
import io
import os
import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  the hooks for metadata and editable installations as they are

FIXED = 1577836800
"""2020-01-01, where SOURCE_DATE_EPOCH is not set. A zip knows no time before 1980."""
_EARLIEST = 315532800


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """PEP 517's hook: a wheel in `wheel_directory`, packed anew; returns its name."""
    with _clean_build():
        name = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    _pack_wheel(Path(wheel_directory, name))
    return name


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """PEP 517's hook: a source distribution in `sdist_directory`, packed anew; returns its name."""
    with _clean_build():
        name = build_meta.build_sdist(sdist_directory, config_settings)
    _pack_sdist(Path(sdist_directory, name))
    return name


@contextmanager
def _clean_build() -> Iterator[None]:
    """A build that neither sees what an earlier one left (deleted modules, lists of files) nor leaves anything."""
    for left in Path("src").glob("*.egg-info"):
        shutil.rmtree(left)
    before = os.environ.get("DIST_EXTRA_CONFIG")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "build.cfg")
        config.write_text(f"[build]\nbuild_base = {folder}/build\n[bdist_wheel]\nbdist_dir = {folder}/wheel\n")
        os.environ["DIST_EXTRA_CONFIG"] = str(config)
        try:
            yield
        finally:
            del os.environ["DIST_EXTRA_CONFIG"]
            if before is not None:
                os.environ["DIST_EXTRA_CONFIG"] = before
            for left in Path("src").glob("*.egg-info"):
                shutil.rmtree(left)


def _seconds() -> int:
    return max(int(os.environ.get("SOURCE_DATE_EPOCH", FIXED)), _EARLIEST)


def _pack_wheel(path: Path) -> None:
    """The same members, the package's before the wheel's own folder, as PEP 427 recommends."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    when = time.gmtime(_seconds())[:6]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members, key=lambda name: (".dist-info/" in name, name)):
            info = zipfile.ZipInfo(name, when)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            archive.writestr(info, members[name], compresslevel=6)
    path.write_bytes(packed.getvalue())


def _pack_sdist(path: Path) -> None:
    """The same files but for what setuptools writes for itself: lists that a build makes anew."""
    packed = io.BytesIO()
    with (
        tarfile.open(path) as source,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=packed, mtime=_seconds()) as zipped,
        tarfile.open(mode="w", fileobj=zipped, format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            below = member.name.partition("/")[2]
            if not member.isfile() or below == "setup.cfg" or ".egg-info/" in below:
                continue
            kept = tarfile.TarInfo(member.name)
            kept.size, kept.mtime, kept.mode = member.size, _seconds(), 0o755 if member.mode & 0o100 else 0o644
            target.addfile(kept, source.extractfile(member))
    path.write_bytes(packed.getvalue())

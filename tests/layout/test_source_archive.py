"""The source archive contains everything, a wheel can be built from it, and what pip lacks is explained."""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.package_source import ROOT

NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", ".pybuild", ".coverage*"
)
NEEDED_BY_GIT = {".gitignore"}
MADE_FOR_PIP = {"PKG-INFO", "setup.cfg"}


def build(kind: str, source: Path, target: Path) -> Path:
    """Build `sdist` or `wheel` as pip does, without a network, and return the file."""
    script = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    target.mkdir()
    subprocess.run((sys.executable, "-c", script, target), cwd=source, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, because building writes into it."""
    copy = tmp_path_factory.mktemp("source") / "astbtd"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=NOT_SOURCE)
    return copy


@pytest.fixture(scope="module")
def unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the source archive."""
    directory = tmp_path_factory.mktemp("archive")
    shutil.unpack_archive(build("sdist", source, directory / "sdist"), directory)
    (unpacked,) = directory.glob("astbtd-*")
    return unpacked


def test_the_archive_has_every_file_of_the_source(source: Path, unpacked: Path) -> None:
    expected = {name for name in files_below(source) if ".egg-info/" not in name} - NEEDED_BY_GIT
    archived = {name for name in files_below(unpacked) if ".egg-info/" not in name} - MADE_FOR_PIP

    assert archived == expected


def test_a_wheel_built_from_the_archive_has_every_file_of_the_package(unpacked: Path, tmp_path: Path) -> None:
    wheel = zipfile.ZipFile(build("wheel", unpacked, tmp_path / "wheel"))

    packaged = {name for name in wheel.namelist() if name.startswith("astbtd/")}
    assert packaged == {f"astbtd/{name}" for name in files_below(ROOT / "astbtd") if "__pycache__" not in name}
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    assert ": GPL-2.0-or-later\n" in wheel.read(metadata).decode()


def test_pip_explains_which_headers_are_missing(source: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    script = "from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel('.')"
    setuptools = importlib.util.find_spec("setuptools")
    assert setuptools is not None
    of_setuptools = str(Path(str(setuptools.origin)).parents[1])

    refused = subprocess.run(
        (tmp_path / "bare/bin/python", "-c", script),
        cwd=source,
        env={**os.environ, "PYTHONPATH": of_setuptools, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
    )

    assert refused.returncode == 1
    assert "cannot install systemd-python: no C compiler" in refused.stderr
    assert "no pkg-config" in refused.stderr
    assert "apt-get install gcc pkg-config libsystemd-dev python3-dev" in refused.stderr

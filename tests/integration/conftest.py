"""Fixtures of the integration tests: the programs that crash, a directory to crash in, a daemon."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import build
from tests.support.debug_files import debug_file, split_debug_files
from tests.support.harness import RunningDaemon, daemon, scratch_directory
from tests.support.kernel import use_default_core_pattern


@pytest.fixture(scope="session", autouse=True)
def _default_core_pattern() -> None:
    use_default_core_pattern()


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """The programs of tests/programs, built for debugging."""
    with scratch_directory() as directory:
        yield build(directory)


@pytest.fixture(scope="session")
def gdb_minimal() -> Iterator[Path]:
    """Debian's gdb without Python, unpacked but not installed."""
    with scratch_directory() as directory:
        download = ["apt-get", "download", "gdb-minimal"]
        if subprocess.run(download, cwd=directory, capture_output=True, check=False).returncode != 0:
            pytest.skip("cannot download the package gdb-minimal")
        (package,) = directory.glob("*.deb")
        subprocess.run(["dpkg", "-x", package, directory], check=True)
        yield directory / "usr/bin/gdb"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for one test."""
    with scratch_directory() as directory:
        yield directory


@pytest.fixture
def stripped(programs: Path, scratch: Path) -> Iterator[Path]:
    """An installation without debug information, which is beside it in the directory `debug`."""
    installed = Path(shutil.copytree(programs, scratch / "installed"))
    split_debug_files(installed, scratch / "debug")
    yield installed
    for path in (installed / "asterisk", *(installed / "modules").iterdir()):
        debug_file(path).unlink(missing_ok=True)


@pytest.fixture
def spool(scratch: Path) -> Path:
    """The working directory of Asterisk, which the daemon watches."""
    directory = scratch / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def running(scratch: Path, spool: Path) -> Iterator[RunningDaemon]:
    """A daemon that watches `spool`, not yet started."""
    with daemon(scratch, {"watch": {"directories": [str(spool)]}}) as configured:
        yield configured


@pytest.fixture
def extracting(scratch: Path) -> Iterator[RunningDaemon]:
    """A configuration and a store for `astbtd extract`."""
    with daemon(scratch, {}) as configured:
        yield configured

"""What the integration tests share: the programs that crash, a place to crash in, a daemon."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.model import Crash, Section
from tests.harness import RunningDaemon, daemon, scratch_directory
from tests.kernel import cores_in_working_directory

_SOURCES = Path(__file__).parent.parent / "programs"


def build(directory: Path, *options: str) -> Path:
    """Builds tests/programs into `directory`."""
    subprocess.run(["make", "-s", "-C", _SOURCES, f"BUILD={directory}", *options], check=True, capture_output=True)
    return directory


@pytest.fixture(scope="session", autouse=True)
def _cores_in_working_directory() -> Iterator[None]:
    with cores_in_working_directory():
        yield


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """The programs, built for debugging."""
    with scratch_directory() as directory:
        yield build(directory)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for one test."""
    with scratch_directory() as directory:
        yield directory


@pytest.fixture
def spool(scratch: Path) -> Path:
    """Where Asterisk works in this test, and where the daemon looks for cores."""
    directory = scratch / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def running(scratch: Path, spool: Path) -> Iterator[RunningDaemon]:
    """A daemon, to be started, that watches `spool`."""
    with daemon(scratch, {"watch": {"directories": [str(spool)]}}) as configured:
        yield configured


@pytest.fixture
def extracting(scratch: Path) -> Iterator[RunningDaemon]:
    """A configuration and a store for `astbtd extract`."""
    with daemon(scratch, {}) as configured:
        yield configured


def extract(configured: RunningDaemon, core: Path, *options: str) -> Crash:
    """What `astbtd extract` records of a core."""
    done = subprocess.run(
        [sys.executable, "-m", "astbtd", "--config", configured.configuration, "extract", "--json", *options, core],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return configured.store.load(json.loads(done.stdout)["id"])


def text(configured: RunningDaemon, recorded: Crash, section: Section) -> str:
    """A section as it is stored."""
    return (configured.store.directory(recorded.id) / section).read_text(errors="replace")

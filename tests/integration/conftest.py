"""What the integration tests share: the programs that crash, a place to crash in, a daemon."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, Section
from tests.support.harness import RunningDaemon, daemon, scratch_directory
from tests.support.kernel import cores_in_working_directory

_SOURCES = Path(__file__).parents[1] / "programs"


# Waits at a gate, says so where it is not the only one, and has the same to say of every core.
_GATED = """#!/bin/sh
exec 8<{gate} 9<{alone}
flock --nonblock 9 || echo "{not_alone}"
flock --shared 8
case "$*" in
*python*) echo "Python scripting is not supported in this copy of GDB." ;;
*) echo "#0  0x1 in crash () at crash.c:1" ;;
esac
"""
NOT_ALONE = "another gdb runs"


def gated_gdb(directory: Path) -> Path:
    """A gdb that ends only while no `gate_closed` is in force."""
    gate, alone, gdb = (directory / name for name in ("gate", "alone", "gdb"))
    gate.touch()
    alone.touch()
    gdb.write_text(_GATED.format(gate=gate, alone=alone, not_alone=NOT_ALONE))
    gdb.chmod(0o755)
    return gdb


@contextmanager
def gate_closed(directory: Path) -> Iterator[None]:
    """Holds back the gated gdb that was made in `directory`."""
    with (directory / "gate").open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


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


@pytest.fixture(scope="session")
def gdb_minimal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's gdb without Python, unpacked and not installed."""
    directory = tmp_path_factory.mktemp("gdb-minimal")
    fetched = subprocess.run(["apt-get", "download", "gdb-minimal"], cwd=directory, capture_output=True, check=False)
    if fetched.returncode:
        pytest.skip("the package gdb-minimal cannot be fetched")
    (package,) = directory.glob("*.deb")
    subprocess.run(["dpkg", "-x", package, directory], check=True)
    for path in (directory, *directory.parents[:2]):
        path.chmod(0o755)
    return directory / "usr/bin/gdb"


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

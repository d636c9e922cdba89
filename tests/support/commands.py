"""Runs `astbtd` commands on the store of a configured daemon, and builds the programs that crash."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from astbtd.model.crash import Crash, Section
from tests.support import terminal
from tests.support.harness import RunningDaemon

_SOURCES = Path(__file__).parents[1] / "programs"


BUILT_PROGRAMS = "ASTBTD_BUILT_PROGRAMS"
"""The environment variable with the directory of programs that were built elsewhere: see `built_name`."""


def built_name(options: Sequence[str]) -> str:
    """Return the name of the directory with the programs that were built with these options."""
    return "-".join(("programs", *options))


def build(directory: Path, *options: str) -> Path:
    """Build tests/programs into `directory` and return it. Its Makefile explains the options.

    On an emulated machine, which compiles slowly, they are copied if they were built before.
    """
    built = Path(os.environ.get(BUILT_PROGRAMS, "/nonexistent")) / built_name(options)
    if built.is_dir():
        shutil.copytree(built, directory, dirs_exist_ok=True)
        return directory
    subprocess.run(["make", "-s", "-C", _SOURCES, f"BUILD={directory}", *options], check=True, capture_output=True)
    return directory


def command_line(running: RunningDaemon, *arguments: str) -> list[str]:
    """Return the command line of `astbtd` with the configuration of a daemon."""
    return [sys.executable, "-m", "astbtd", "--config", str(running.configuration), *arguments]


def run_astbtd(
    running: RunningDaemon, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run `astbtd` with the configuration of a daemon."""
    return subprocess.run(
        command_line(running, *arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def extract(running: RunningDaemon, core: Path, *options: str) -> Crash:
    """Run `astbtd extract` on a core and return what it recorded."""
    done = run_astbtd(running, "extract", "--json", *options, str(core))
    assert done.returncode == 0, done.stderr
    return running.store.load(json.loads(done.stdout)["id"])


def section_text(running: RunningDaemon, crash: Crash, section: Section) -> str:
    """Return a section of a crash from the store."""
    return (running.store.directory(crash.id) / section).read_text(errors="replace")


def run_on_terminal(running: RunningDaemon, arguments: Sequence[str], **environment: str) -> bytes:
    """Run `astbtd` with its output on a pseudo-terminal and return what it wrote there."""
    command = command_line(running, *arguments)
    exit_code, output = terminal.run_on_terminal(command, {**os.environ, **environment}, both_streams=False)
    assert exit_code == 0, output
    return output

"""Helpers for tests of extraction: other builds of the test programs, another gdb, the documented command."""

import os
import re
import select
import subprocess
from pathlib import Path

from tests.support.commands import build
from tests.support.documented import COMMANDS
from tests.support.fake_gdb import write_program
from tests.support.harness import TIMEOUT, RunningDaemon

BUILD_OPTIONS = {"debug": (), "optimized": ("OPTIMIZE=1",), "stripped": ("OPTIMIZE=1", "STRIP=1")}
"""The make options of each variant of the test programs."""

_NAME_NEXT_TO_POINTER = re.compile(r"(0x[0-9a-f]+) <[\w.@]+(?:\+\d+)?>")  # `name.6` is a static one


def build_variant(directory: Path, name: str) -> Path:
    """Build a variant of the test programs into `directory`, which gdb's user cannot enter, and return it."""
    return build(directory, *BUILD_OPTIONS[name])


def run_documented_command(core: Path, program: Path) -> str:
    """Return the output of the command in Asterisk's documentation."""
    done = subprocess.run(
        ["gdb", "-se", program, *COMMANDS, "-c", core], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return done.stdout.decode(errors="replace")


def without_pointer_names(text: str) -> str:
    """Return what gdb printed without the names of symbols next to pointers."""
    return _NAME_NEXT_TO_POINTER.sub(r"\1", text)


def configure_gdb(configured: RunningDaemon, script: str, **limits: object) -> None:
    """Run a script in place of gdb, with these limits."""
    program = write_program(configured.configuration.with_name("gdb-stand-in"), script)
    configured.configure({"gdb": {"program": str(program), **limits}})


def process_ends(pid: int) -> bool:
    """Wait until a process has ended; return False if it has not after a long time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], TIMEOUT)[0])
    finally:
        os.close(descriptor)

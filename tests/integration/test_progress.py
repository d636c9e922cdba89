"""Commands show the progress of long work on a terminal."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.fake_gdb import closed_gate, gated_gdb
from tests.support.harness import RunningDaemon, crash


def read_until(terminal: int, wanted: bytes) -> None:
    """Read from a terminal until `wanted` has appeared."""
    output = b""
    while wanted not in output:
        output += os.read(terminal, 1024)


def test_extract_shows_that_gdb_runs(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    extracting.configure({"gdb": {"program": str(gated_gdb(scratch))}})
    core = crash(programs, scratch, "segv")
    command = [sys.executable, "-m", "astbtd", "--config", str(extracting.configuration), "extract", str(core)]
    watching, terminal = os.openpty()
    with closed_gate(scratch):
        extract = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal)
        os.close(terminal)
        read_until(watching, b"\rrunning gdb: ")
    read_until(watching, b"\r\x1b[K")
    os.close(watching)
    assert extract.wait() == 0

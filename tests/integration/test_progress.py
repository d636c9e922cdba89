"""Who waits for long work sees on the terminal that it goes on."""

import os
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import gate_closed, gated_gdb
from tests.support.harness import RunningDaemon, crash


def read_until(terminal: int, wanted: bytes) -> None:
    """Reads what is shown on a terminal until that has come."""
    shown = b""
    while wanted not in shown:
        shown += os.read(terminal, 1024)


def test_while_gdb_is_at_work_on_a_core_extract_says_so(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    extracting.configure({"gdb": {"program": str(gated_gdb(scratch))}})
    core = crash(programs, scratch, "segv")
    command = [sys.executable, "-m", "astbtd", "--config", str(extracting.configuration), "extract", str(core)]
    watching, terminal = os.openpty()
    with gate_closed(scratch):
        extract = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal)
        os.close(terminal)
        read_until(watching, b"\rgdb is at work: ")
    read_until(watching, b"\r\x1b[K")
    os.close(watching)
    assert extract.wait() == 0

"""A process whose core is being written has crashed: it is not captured as well."""

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import PATIENCE, RunningDaemon, allow_cores
from tests.kernel import core_pattern


def test_a_process_whose_core_is_being_written_is_left_alone(
    running: RunningDaemon, programs: Path, scratch: Path
) -> None:
    allow_cores()
    os.mkfifo(scratch / "begun")
    os.mkfifo(scratch / "end")
    receiver = scratch / "receiver"
    receiver.write_text(f"#!/bin/sh\necho > {scratch}/begun\ncat {scratch}/end\ncat > {scratch}/core\n")
    receiver.chmod(0o755)
    command = [sys.executable, "-m", "astbtd", "--config", str(running.configuration), "deadlock"]
    with core_pattern(f"|{receiver}"):
        process = subprocess.Popen([programs / "asterisk", "segv"], cwd=scratch)
        (scratch / "begun").read_text()

        refused = subprocess.run(command, capture_output=True, text=True, check=False)

        (scratch / "end").write_text("")
        process.wait(PATIENCE)
    assert refused.returncode == 1
    assert f"process {process.pid} has crashed, and its core is being written" in refused.stderr
    assert (scratch / "core").stat().st_size > 1 << 20

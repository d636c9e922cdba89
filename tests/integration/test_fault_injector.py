"""The fault injector counts and logs each change of a file, whichever thread makes it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.faults import Fault, FaultInjector

_CHANGES = """
import os, sys
from astbtd.extraction.sandbox_kernel import run_sandboxed

def change():
    try:
        os.mkdir("below/of-the-sandboxed-thread")
    except PermissionError:
        print("denied")

os.mkdir("below/before")
with run_sandboxed(change):
    pass
os.mkdir("below/after")
"""


def test_a_call_that_the_sandbox_denies_is_logged_in_its_place(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    faults = FaultInjector(programs, [tmp_path / "below"], tmp_path / "calls")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **faults.environment(Fault(at=99))}

    done = subprocess.run(
        [sys.executable, "-c", _CHANGES], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == "denied\n"
    assert [Path(call.split()[1]).name for call in faults.calls()] == ["before", "of-the-sandboxed-thread", "after"]

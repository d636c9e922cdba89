"""The memory of the daemon does not grow with the number of crashes."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.builders import DeadProcess
from tests.support.fake_gdb import use_gdb
from tests.support.harness import RunningDaemon, crash

MAX_RESIDENT = 40 << 20
"""Bytes in memory after a hundred crashes."""

TOLERANCE = 4 << 20
"""Bytes that may be added later: Python and glibc had not yet used all memory that they had reserved."""

# A gdb without Python that prints for every core what the real gdb printed for the first.
_REPLAYING_GDB = """#!/bin/sh
case "$*" in
*python*) echo "Python scripting is not supported in this copy of GDB." ;;
*) cat {backtrace} ;;
esac
"""


def resident(running: RunningDaemon) -> int:
    """Return the resident set of the daemon, in bytes."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("\nVmRSS:")[2].split()[0]) << 10


def wait_for(running: RunningDaemon, count: int) -> None:
    """Wait until this many crashes are processed. Names are counted: reading a thousand records takes long."""

    def settled() -> bool:
        names = os.listdir(running.store.root / "crashes")
        return len(names) == count and not list(running.store.incoming.glob("*.claim"))

    running.wait_until(settled, f"{count} crashes to be collected")


@pytest.mark.nightly
def test_the_daemon_is_small_after_a_hundred_crashes_and_no_larger_after_a_thousand(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, record_property: Callable[[str, object], None]
) -> None:
    running.start()
    for number in range(1, 101):
        crash(programs, spool, "segv")
        wait_for(running, number)
    after = {100: resident(running)}

    use_replaying_gdb(running, scratch, spool)
    now = time.time()
    for number in range(101, 1001):
        (scratch / "core").write_bytes(DeadProcess(pid=number, random=number.to_bytes(16, "big")).core())
        os.utime(scratch / "core", (now + number, now + number))
        (scratch / "core").rename(spool / f"core.{number}")
        if number % 100 == 0:
            wait_for(running, number)
            after[number] = resident(running)

    record_property("resident", after)
    sys.stdout.write(f"KiB in memory, by number of crashes: { {count: size >> 10 for count, size in after.items()} }\n")
    assert after[100] < MAX_RESIDENT
    assert after[1000] < after[100] + TOLERANCE


def use_replaying_gdb(running: RunningDaemon, scratch: Path, spool: Path) -> None:
    """Reconfigure the daemon to use a gdb that takes no time."""
    backtrace = scratch / "backtrace"
    backtrace.write_bytes((running.store.root / "latest" / "backtrace.txt").read_bytes())
    use_gdb(running, spool, _REPLAYING_GDB.format(backtrace=backtrace))
    running.reload()

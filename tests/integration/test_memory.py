"""The daemon stays small, however many crashes it has seen."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.builders import DeadProcess
from tests.support.harness import RunningDaemon, crash

MOST = 40 << 20
"""Bytes in memory after a hundred crashes."""

TOLERANCE = 4 << 20
"""Bytes by which that may differ later: of what Python and glibc had reserved by then, some was not used yet."""

# A gdb without Python that says of every core what the real one said of the first.
_QUICK = """#!/bin/sh
case "$*" in
*python*) echo "Python scripting is not supported in this copy of GDB." ;;
*) cat {backtrace} ;;
esac
"""


def resident(running: RunningDaemon) -> int:
    """Bytes that the daemon has in memory now."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("\nVmRSS:")[2].split()[0]) << 10


def wait_for(running: RunningDaemon, count: int) -> None:
    """Waits until so many crashes are done with; counts names, since reading a thousand records takes its time."""

    def settled() -> bool:
        names = os.listdir(running.store.root / "crashes")
        return len(names) == count and not list(running.store.incoming.glob("*.claim"))

    running.wait_until(settled, f"{count} crashes to be collected")


def test_the_daemon_is_small_after_a_hundred_crashes_and_no_larger_after_a_thousand(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, record_property: Callable[[str, object], None]
) -> None:
    running.start()
    for number in range(1, 101):
        crash(programs, spool, "segv")
        wait_for(running, number)
    after = {100: resident(running)}

    use_quick_gdb(running, scratch, spool)
    now = time.time()
    for number in range(101, 1001):
        (scratch / "core").write_bytes(DeadProcess(pid=number, random=number.to_bytes(16, "big")).core())
        os.utime(scratch / "core", (now + number, now + number))
        (scratch / "core").rename(spool / f"core.{number}")
        if number % 100 == 0:
            wait_for(running, number)
            after[number] = resident(running)

    record_property("resident", after)
    sys.stdout.write(f"KiB in memory after so many crashes: { {count: size >> 10 for count, size in after.items()} }\n")
    assert after[100] < MOST
    assert after[1000] < after[100] + TOLERANCE


def use_quick_gdb(running: RunningDaemon, scratch: Path, spool: Path) -> None:
    """Has the daemon use a gdb that takes no time."""
    backtrace = scratch / "backtrace"
    backtrace.write_bytes((running.store.root / "latest" / "backtrace.txt").read_bytes())
    gdb = scratch / "gdb"
    gdb.write_text(_QUICK.format(backtrace=backtrace))
    gdb.chmod(0o755)
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(gdb)}})
    running.signal(signal.SIGHUP)
    running.wait_until(lambda: "configuration reloaded" in running.output(), "the reload")


def test_the_daemon_does_without_openssl(running: RunningDaemon) -> None:
    running.start()

    assert "libcrypto" not in Path(f"/proc/{running.process.pid}/maps").read_text()

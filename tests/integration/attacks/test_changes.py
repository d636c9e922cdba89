"""An attacker who changes a core during processing affects only the record of that crash."""

import subprocess
from pathlib import Path

import pytest

from tests.support.attackers import ASTERISK, ASTERISK_GROUP, crash_as_asterisk, run_as_asterisk, write_core
from tests.support.fake_gdb import QUICK_GDB, paused_gdb, use_gdb
from tests.support.harness import TIMEOUT, RunningDaemon

ROUNDS = 30

# Opens, overwrites and truncates a file as often as it can until the file is gone. Prints how often it did.
CHANGING_PROGRAM = """
import os, sys
print("ready", flush=True)
times = failures = 0
while failures < 20_000 and times < 2_000:
    try:
        core = os.open(sys.argv[1], os.O_RDWR)
        os.pwrite(core, os.urandom(64), times % 2000)
        os.ftruncate(core, 400 + times * 7 % 2000)
        os.utime(core, (times, times))
        os.close(core)
        times, failures = times + 1, 0
    except OSError:
        failures += 1
print(times)
"""


def test_a_core_changed_during_the_claim_affects_only_that_crash(running: RunningDaemon, spool: Path) -> None:
    use_gdb(running, spool, QUICK_GDB, retention={"cores": {"per_signature": None}})
    running.start()
    changed = 0

    for pid in range(1, ROUNDS + 1):
        writer = subprocess.Popen(
            ["/usr/bin/python3", "-c", CHANGING_PROGRAM, spool / "core"],
            user=ASTERISK,
            group=ASTERISK_GROUP,
            extra_groups=[],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout
        writer.stdout.readline()
        write_core(spool / "core", pid)
        writer.stdout.readline()
        changed += int(writer.communicate(timeout=TIMEOUT)[0] or 0)

    write_core(spool / "core.whole", 1000)
    running.wait_until(lambda: 1000 in {crash.process.pid for crash in running.crashes()}, "the whole core")
    assert "Traceback" not in running.output()


@pytest.mark.parametrize("change", [["truncate", "--size=0"], ["truncate", "--size=100K"], ["dd", "if=/dev/urandom"]])
def test_a_crash_is_recorded_although_the_owner_changes_the_core_in_a_sticky_directory(
    running: RunningDaemon, programs: Path, spool: Path, change: list[str]
) -> None:
    spool.chmod(0o1777)
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        core = crash_as_asterisk(programs / "asterisk", spool, "segv")
        wait_for_gdb()
        run_as_asterisk("chmod", "600", core)
        file = [f"of={core}", "bs=1K", "count=200", "conv=notrunc"] if change[0] == "dd" else [str(core)]
        run_as_asterisk(*change, *file)

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.signal is not None
    assert recorded.signal.name == "SIGSEGV"
    assert "Traceback" not in running.output()


def test_a_core_removed_during_processing_is_recorded(running: RunningDaemon, programs: Path, spool: Path) -> None:
    with paused_gdb(running, spool) as wait_for_gdb:
        running.start()
        crash_as_asterisk(programs / "asterisk", spool, "segv")
        wait_for_gdb()
        run_as_asterisk("find", spool, "-name", "*core*", "-delete")
        run_as_asterisk("find", spool, "-name", ".astbtd*", "-delete")

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert running.store.kept_core(recorded.id).exists()

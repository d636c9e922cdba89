"""Whoever changes a core while it is processed spoils his own crash, and nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.attacks.conftest import (
    ASTERISK,
    ASTERISKS_GROUP,
    SILENT,
    as_asterisk,
    crash_as_asterisk,
    held_up,
    use_gdb,
    write_core,
)
from tests.support.harness import PATIENCE, RunningDaemon

ROUNDS = 30

# Opens, overwrites and truncates a file as often as it can, in whatever state it is, until it is gone.
MEDDLER = """
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


def test_a_core_that_is_changed_while_it_is_claimed_costs_that_crash_at_most(
    running: RunningDaemon, spool: Path
) -> None:
    use_gdb(running, spool, SILENT, retention={"cores": {"per_signature": None}})
    running.start()
    changed = 0

    for pid in range(1, ROUNDS + 1):
        meddler = subprocess.Popen(
            ["/usr/bin/python3", "-c", MEDDLER, spool / "core"],
            user=ASTERISK,
            group=ASTERISKS_GROUP,
            extra_groups=[],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert meddler.stdout
        meddler.stdout.readline()
        write_core(spool / "core", pid)
        meddler.stdout.readline()
        changed += int(meddler.communicate(timeout=PATIENCE)[0] or 0)

    write_core(spool / "core.whole", 1000)
    running.wait_until(lambda: 1000 in {crash.process.pid for crash in running.crashes()}, "the whole core")
    assert "Traceback" not in running.output()


@pytest.mark.parametrize("change", [["truncate", "--size=0"], ["truncate", "--size=100K"], ["dd", "if=/dev/urandom"]])
def test_an_owner_who_changes_his_core_in_a_sticky_directory_is_recorded(
    running: RunningDaemon, programs: Path, spool: Path, change: list[str]
) -> None:
    spool.chmod(0o1777)
    with held_up(running, spool) as gdb_is_started:
        running.start()
        core = crash_as_asterisk(programs / "asterisk", spool, "segv")
        gdb_is_started()
        as_asterisk("chmod", "600", core)
        file = [f"of={core}", "bs=1K", "count=200", "conv=notrunc"] if change[0] == "dd" else [str(core)]
        as_asterisk(*change, *file)

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.signal is not None
    assert recorded.signal.name == "SIGSEGV"
    assert "Traceback" not in running.output()


def test_a_core_that_is_removed_while_it_is_processed_is_recorded(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    with held_up(running, spool) as gdb_is_started:
        running.start()
        crash_as_asterisk(programs / "asterisk", spool, "segv")
        gdb_is_started()
        as_asterisk("find", spool, "-name", "*core*", "-delete")
        as_asterisk("find", spool, "-name", ".astbtd*", "-delete")

    (recorded,) = running.wait_for_crashes(1)
    assert recorded.diagnosis.crash_function == "do_forward"
    assert running.store.kept_core(recorded.id).exists()

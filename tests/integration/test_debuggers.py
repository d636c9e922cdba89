"""A gdb that is missing, broken, replaced or stopped: the crash is recorded, and the next one is extracted."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, ExtractionOutcome, Verdict
from tests.support.harness import RunningDaemon, crash

BROKEN = {
    "exits": b"#!/bin/sh\nexit 1\n",
    "crashes": b"#!/bin/sh\nulimit -c unlimited; kill -SEGV $$\n",
    "is no program": b"\x7fELF and nothing else",
    "is empty": b"",
}


def watch_with_gdb(running: RunningDaemon, spool: Path, gdb: Path, **settings: object) -> None:
    """Configure the daemon to use this gdb, and to retry failed cores every second."""
    watch = {"directories": [str(spool)], "rescan": "1s"}
    running.configure({"watch": watch, "gdb": {"program": str(gdb), **settings}})


def install(gdb: Path, content: bytes, mode: int = 0o755) -> None:
    """Replace a program as a package manager does, by renaming a new file."""
    new = gdb.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.rename(gdb)


def install_real(gdb: Path) -> None:
    install(gdb, b'#!/bin/sh\nexec gdb "$@"\n')


def cores_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("core*") if path.name != "core.zst"]


@pytest.mark.parametrize("how", BROKEN)
def test_with_a_broken_gdb_a_crash_is_recorded_and_its_core_kept(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, how: str
) -> None:
    install(scratch / "gdb", BROKEN[how])
    watch_with_gdb(running, spool, scratch / "gdb")
    running.start()
    crash(programs, spool, "segv")
    (recorded,) = running.wait_for_crashes(1)
    assert (recorded.extraction.ended, recorded.extraction.awaits_gdb) == (ExtractionOutcome.FAILED, True)
    assert recorded.diagnosis.verdict is Verdict.UNUSABLE
    assert recorded.core.state is CoreState.KEPT
    assert f"crash {recorded.id} is extracted when gdb works: gdb cannot start: " in running.output()
    assert cores_below(scratch) == []

    install_real(scratch / "gdb")
    crash(programs, spool, "segv")

    running.wait_for_crashes(2)
    running.wait_until(lambda: all(each.extraction.gdb_version for each in running.crashes()), "both to be extracted")
    assert [each.extraction.ended for each in running.crashes()] == [ExtractionOutcome.OK] * 2


def test_a_gdb_that_its_user_may_not_execute_counts_as_broken(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    install(scratch / "gdb", b'#!/bin/sh\nexec gdb "$@"\n', mode=0o700)
    watch_with_gdb(running, spool, scratch / "gdb")
    running.start()
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    assert recorded.extraction.ended is ExtractionOutcome.FAILED
    assert "Permission denied" in recorded.extraction.notes[0]
    assert recorded.core.state is CoreState.KEPT


def test_a_gdb_that_is_upgraded_while_it_runs_finishes(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    os.mkfifo(scratch / "go")
    (scratch / "go").chmod(0o644)
    install(scratch / "gdb", f'#!/bin/sh\nread go <{scratch}/go\nexec gdb "$@"\n'.encode())
    watch_with_gdb(running, spool, scratch / "gdb")
    running.start()
    crash(programs, spool, "segv")
    with (scratch / "go").open("w") as go:  # opens when gdb does
        install(scratch / "gdb", BROKEN["exits"])
        go.write("go\n")
    running.wait_for_crashes(1)
    crash(programs, spool, "segv")

    newest, first = running.wait_for_crashes(2)
    assert newest.extraction.awaits_gdb

    assert (first.extraction.ended, newest.extraction.ended) == (ExtractionOutcome.OK, ExtractionOutcome.FAILED)


def test_the_core_of_a_crashed_gdb_is_not_collected(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    core = crash(programs, scratch, "segv")
    running.start()
    suicide = "python import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    command = ["gdb", "-nx", "--batch", "-se", str(programs / "asterisk"), "-c", str(core), "-ex", suicide]
    died = subprocess.run(command, cwd=spool, capture_output=True, check=False)
    assert died.returncode == -signal.SIGSEGV

    running.wait_until(lambda: "it is a core of a debugger" in running.output(), "gdb's core to be refused")

    assert (spool / "core").exists()
    assert running.crashes() == []


def test_a_stopped_gdb_is_killed_and_its_output_kept(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path
) -> None:
    install(scratch / "gdb", b"#!/bin/sh\necho so far >&1\nkill -STOP $$\n")
    watch_with_gdb(running, spool, scratch / "gdb", time="1s")
    running.start()
    crash(programs, spool, "segv")

    (recorded,) = running.wait_for_crashes(1)

    assert recorded.extraction.ended is ExtractionOutcome.TIMEOUT
    assert "so far" in (running.store.directory(recorded.id) / "gdb.log").read_text()

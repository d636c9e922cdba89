"""The daemon repeats extractions by itself: when debug files appear, and when a gdb that could not start works."""

import errno
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, Crash, Section, Verdict
from tests.support.commands import run_astbtd, section_text
from tests.support.debug_files import debug_file, install_debug_files
from tests.support.fake_gdb import write_program
from tests.support.faults import STAGING, Fault, FaultInjector, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory
from tests.support.store_checks import (
    PERMANENT_FILES,
    check_records_are_complete,
    check_store_is_consistent,
    kept_content,
)

LIBRARY = "libbabeltrace.so.1: cannot open shared object file: No such file or directory"
BROKEN_GDB = f"#!/bin/sh\necho 'gdb: error while loading shared libraries: {LIBRARY}' >&2\nexit 127\n"
REAL_GDB = '#!/bin/sh\nexec gdb "$@"\n'


def watch(running: RunningDaemon, spool: Path, **settings: object) -> None:
    """Let the daemon look every second for debug files, and for a gdb that works."""
    running.configure({"watch": {"directories": [str(spool)], "rescan": "1s"}, **settings})


def verdicts(running: RunningDaemon) -> list[Verdict]:
    return [recorded.diagnosis.verdict for recorded in running.crashes()]


def test_a_crash_becomes_usable_when_debug_files_are_installed(
    running: RunningDaemon, stripped: Path, scratch: Path, spool: Path
) -> None:
    watch(running, spool)
    running.start()
    core = crash(stripped, scratch, "segv").read_bytes()
    (scratch / "core").rename(spool / "core")
    (before,) = running.wait_for_crashes(1)
    assert before.diagnosis.verdict is not Verdict.USABLE

    install_debug_files(stripped, scratch / "debug")

    announced = f"the backtrace of crash {before.id} is usable now: SIGSEGV in do_forward"
    running.wait_until(lambda: announced in running.output(), "the crash to become usable")
    running.wait_until(lambda: "in do_forward (usable)" in running.manager.status, "the new verdict in the status")
    running.stop()
    (after,) = running.crashes()
    assert after.diagnosis.verdict is Verdict.USABLE
    assert "do_forward (o=" in section_text(running, after, Section.THREAD1)
    assert [run.why for run in after.extraction_history] == ["the core was collected", "debug files have appeared"]
    assert running.output().count(announced) == 1
    assert kept_content(running.store, after) == core
    check_store_is_consistent(running.store)


def test_debug_files_that_were_installed_while_the_daemon_did_not_run_are_found(
    running: RunningDaemon, stripped: Path, scratch: Path, spool: Path
) -> None:
    running.start()
    crash(stripped, spool, "segv")
    running.wait_for_crashes(1)
    running.stop()
    install_debug_files(stripped, scratch / "debug")

    running.start()

    running.wait_until(lambda: verdicts(running) == [Verdict.USABLE], "the crash to become usable")


def test_a_crash_that_does_not_improve_is_extracted_once_and_the_budget_outlives_the_daemon(
    running: RunningDaemon, stripped: Path, scratch: Path, spool: Path
) -> None:
    watch(running, spool, extract={"again_per_hour": 1})
    running.start()
    crash(stripped, spool, "segv")
    running.wait_for_crashes(1)
    install_debug_files(stripped, scratch / "debug")
    for path in (stripped / "asterisk", *(stripped / "modules").iterdir()):
        without_lines: list[str | Path] = ["objcopy", "--strip-debug", debug_file(path)]
        subprocess.run(without_lines, check=True, capture_output=True)

    running.wait_until(lambda: "was extracted again" in running.output(), "the extraction")
    running.kill()
    install_debug_files(stripped, scratch / "debug")
    running.start()
    crash(stripped, spool, "abort")
    running.wait_for_crashes(2)
    running.wait_until_quiet()

    assert running.output().count("was extracted again") == 1
    assert "is usable now" not in running.output()
    watch(running, spool, extract={"again_per_hour": 2})
    running.reload()
    running.wait_until(lambda: "is usable now" in running.output(), "the next extraction of this hour")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "/gdb is not installed"), (BROKEN_GDB, f"gdb: error while loading shared libraries: {LIBRARY}")],
    ids=["missing", "no library"],
)
def test_a_crash_is_recorded_while_gdb_cannot_start_and_extracted_when_it_works(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, content: str | None, reason: str
) -> None:
    gdb = scratch / "gdb"
    if content:
        write_program(gdb, content)
    watch(running, spool, gdb={"program": str(gdb)})
    running.start()
    core = crash(programs, scratch, "segv").read_bytes()
    (scratch / "core").rename(spool / "core")
    (before,) = running.wait_for_crashes(1)

    check_says_that_gdb_cannot_start(running, before, reason)
    assert kept_content(running.store, before) == core

    write_program(gdb, REAL_GDB)

    usable = f"the backtrace of crash {before.id} is usable now: SIGSEGV in do_forward"
    running.wait_until(lambda: usable in running.output(), "the crash to become usable")
    running.wait_until(lambda: "gdb cannot start" not in running.manager.status, "the failure to leave the status")
    running.stop()
    (after,) = running.crashes()
    assert not after.extraction.awaits_gdb
    assert after.signature
    assert after.extraction_history[-1].why == "gdb works again"
    assert "gdb cannot start" not in (running.store.directory(after.id) / "report.txt").read_text()
    check_store_is_consistent(running.store)


def check_says_that_gdb_cannot_start(running: RunningDaemon, recorded: Crash, reason: str) -> None:
    """Check the record, the report, the status, the journal and `astbtd check`."""
    report = " ".join((running.store.directory(recorded.id) / "report.txt").read_text().split())
    assert recorded.extraction.awaits_gdb
    assert recorded.core.state is CoreState.KEPT
    assert recorded.signature is None
    assert f"{reason}" in recorded.diagnosis.reasons[0]
    assert recorded.diagnosis.reasons[0].startswith("gdb cannot start: ")
    assert "Good enough to file? not known yet: gdb cannot start" in report
    assert "Why: gdb cannot start: " in report
    assert "Make gdb work: " in report
    assert f"`astbtd extract {recorded.id}`" in report
    assert "no stack frame" not in report
    running.wait_until(lambda: f"{reason};" in running.manager.status, "the failure in the status")
    assert "gdb cannot start: " in running.manager.status
    assert f"crash {recorded.id} is extracted when gdb works: gdb cannot start: " in running.output()
    checked = run_astbtd(running, "check").stdout
    (line,) = (line for line in checked.splitlines() if " gdb  " in line)
    assert line.startswith("failed")
    assert f"{reason}; hint: " in line
    assert "gdb cannot start: " in line
    extracted = run_astbtd(running, "extract", recorded.id)
    assert (extracted.returncode, "gdb cannot start: " in extracted.stderr) == (1, True), extracted
    assert "hint: " in extracted.stderr


@pytest.mark.parametrize("action", ["leave", "delete"])
def test_a_core_that_would_not_be_kept_waits_for_gdb(
    running: RunningDaemon, programs: Path, scratch: Path, spool: Path, action: str
) -> None:
    watch(running, spool, gdb={"program": str(scratch / "gdb")}, cores={"action": action})
    running.start()
    core = crash(programs, spool, "segv")
    running.wait_until(lambda: "gdb is not installed" in running.manager.status, "the failure in the status")
    assert core.exists()
    assert running.crashes() == []

    write_program(scratch / "gdb", REAL_GDB)

    running.wait_until(lambda: verdicts(running) == [Verdict.USABLE], "the crash to be recorded")
    running.wait_until(lambda: core.exists() == (action == "leave"), "the core to be disposed of")


@dataclass(frozen=True)
class Scenario:
    """A daemon with one fault, on a copy of a store with a crash that benefits."""

    running: RunningDaemon
    faults: FaultInjector
    before: Crash

    def is_done(self) -> bool:
        """Return whether the crash is usable, and nothing is pending."""
        is_usable = self.running.store.load(self.before.id).diagnosis.verdict is Verdict.USABLE
        return is_usable and {path.name for path in self.running.store.incoming.iterdir()} <= PERMANENT_FILES

    def has_failed(self, fault: Fault) -> bool:
        return len(self.faults.calls()) >= fault.at

    def run(self, fault: Fault) -> bool:
        """Run the daemon with a fault until that has happened, or all is done. Return whether it has."""
        self.running.environment = self.faults.environment(fault)
        self.running.launch()
        while self.running.process.poll() is None and not self.is_done() and not self.has_failed(fault):
            self.running.manager.receive(0.1)
        if self.running.process.poll() is None and not fault.error:
            self.running.signal(signal.SIGTERM)
        if not fault.error:
            return self.running.process.wait() == -signal.SIGKILL
        return self.has_failed(fault)

    def is_done_at_last(self) -> bool:
        """Start the daemon again without a fault if it has ended, as systemd does; return whether all is done."""
        if self.running.process.poll() is not None:
            self.running.environment = {}
            self.running.launch()
        return self.is_done()

    def check_result(self, core: bytes, fault: Fault) -> None:
        """Check that the old result stands as a whole, or the new one is complete."""
        check_records_are_complete(self.running.store)
        stored = self.running.store.load(self.before.id)
        verdict = Verdict.USABLE if stored.extraction_history else self.before.diagnosis.verdict
        assert stored.diagnosis.verdict is verdict, fault
        assert kept_content(self.running.store, stored) == core
        assert "Traceback" not in self.running.output(), (fault, self.running.output())


@pytest.mark.parametrize("error", [None, errno.ENOSPC], ids=["kill", "ENOSPC"])
def test_whichever_change_is_not_made_the_old_result_stands_and_the_crash_becomes_usable(
    running: RunningDaemon, programs: Path, stripped: Path, scratch: Path, spool: Path, error: int | None
) -> None:
    running.start()
    core = crash(stripped, spool, "segv").read_bytes()
    (before,) = running.wait_for_crashes(1)
    running.stop()
    install_debug_files(stripped, scratch / "debug")

    def attempt(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {}) as one:
            subprocess.run(["cp", "-a", running.store.root, one.store.root], check=True)
            watched = {"directories": [str(spool)], "rescan": "1s"}
            one.configure({"watch": watched, "retention": {"minimum_free": "0%"}, "extract": {"again_per_hour": 99}})
            broken = directory / "broken"
            broken.touch()
            fault = Fault(number, torn=not error, error=error, lasting=broken if error else None)
            faults = FaultInjector(programs, [one.store.root], directory / "calls", STAGING)
            scenario = Scenario(one, faults, before)
            happened = scenario.run(fault)
            scenario.check_result(core, fault)
            broken.unlink()
            one.wait_until(scenario.is_done_at_last, f"the crash to become usable, {fault}")
            one.stop()
            check_store_is_consistent(one.store)
            return happened

    assert at_every_change(attempt, step=8 if error else 4) > 3

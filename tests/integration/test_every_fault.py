"""One change of a file fails, once or from then on: nothing is lost, the error is reported, and work resumes."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, Crash
from tests.support.builders import DeadProcess
from tests.support.commands import run_astbtd
from tests.support.faults import Fault, FaultInjector, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory
from tests.support.store_checks import PERMANENT_FILES, check_store_is_consistent, is_settled, kept_content


@dataclass
class Scenario:
    """A daemon with a failing disk, and a core that it must collect. It is started again as systemd does."""

    running: RunningDaemon
    spool: Path
    faults: FaultInjector
    fault: Fault

    def has_reported(self) -> bool:
        """Return whether the status or the messages of the daemon name the error."""
        reason = os.strerror(self.fault.error or 0)
        return any(reason in state for state in self.running.manager.states) or reason in self.running.output()

    def is_done(self) -> bool:
        """Return whether the core is collected and nothing is pending."""
        return is_settled(self.running.store, 1) and self.running.manager.status.endswith("idle")

    def is_exiting(self) -> bool:
        """Return whether the daemon has ended or has written why it will."""
        last_messages = ("astbtd: cannot use the store", "astbtd: cannot go on", "astbtd: cannot continue")
        output = self.running.output()
        has_failed = self.running.manager.status.startswith("failed: ")
        return (
            has_failed or self.running.process.poll() is not None or any(message in output for message in last_messages)
        )

    def repair_disk(self) -> None:
        """Let all further calls succeed."""
        if self.fault.lasting:
            self.fault.lasting.unlink(missing_ok=True)

    def collect(self) -> Crash:
        """Run the daemon, repair the disk once the error is reported, and wait until the core is collected."""
        self.running.environment = self.faults.environment(self.fault)
        self.running.launch()
        while self.running.process.poll() is None and not self.is_done() and not self.has_reported():
            self.running.manager.receive(0.1)
        self.repair_disk()
        if self.is_exiting():
            assert self.running.process.wait() == 1
            self.running.environment = {}
            self.running.launch()
        self.running.wait_until(self.is_done, f"the core to be collected, {self.description()}")
        self.running.stop()
        (recorded,) = self.running.crashes()
        return recorded

    def description(self) -> str:
        """Return the fault and the call that failed, for the messages of assertions."""
        call = self.faults.calls()[self.fault.at - 1] if self.had_fault() else "no call"
        return f"{self.fault}: {call}"

    def had_fault(self) -> bool:
        """Return whether there were enough changes for the fault to happen."""
        return len(self.faults.calls()) >= self.fault.at


@contextmanager
def scenario(
    programs: Path, core: Path, error: int, at: int, *, lasting: bool, on_spool: bool = False
) -> Iterator[Scenario]:
    """Prepare a fault on the disk of the store, or on that of the spool if `on_spool`."""
    with scratch_directory() as directory:
        spool, broken = directory / "spool", directory / "broken"
        spool.mkdir()
        broken.touch()
        shutil.copy2(core, spool / "core")
        watch = {"directories": [str(spool)], "rescan": "1s"}
        with daemon(directory, {"watch": watch, "retention": {"minimum_free": "0%"}}) as running:
            faults = FaultInjector(programs, [spool if on_spool else running.store.root], directory / "calls")
            yield Scenario(running, spool, faults, Fault(at, error=error, lasting=broken if lasting else None))


@pytest.mark.parametrize(
    ("error", "lasting", "step"),
    [
        (errno.EIO, False, 16),
        (errno.ENOSPC, True, 16),
        (errno.EROFS, True, 32),
        (errno.EDQUOT, True, 48),
    ],
    ids=["EIO", "ENOSPC", "EROFS", "EDQUOT"],
)
def test_a_core_is_collected_once_and_completely_whichever_change_of_the_store_fails(
    programs: Path, scratch: Path, error: int, lasting: bool, step: int
) -> None:
    core = crash(programs, scratch, "segv")

    def attempt(number: int) -> bool:
        with scenario(programs, core, error, number, lasting=lasting) as one:
            recorded = one.collect()
            fault = one.description()
            assert recorded.core.state is CoreState.KEPT, fault
            assert kept_content(one.running.store, recorded) == core.read_bytes(), fault
            assert os.listdir(one.spool) == [], fault
            assert "Traceback" not in one.running.output(), fault
            if lasting and one.had_fault():  # a single error may be without consequence
                assert one.has_reported(), fault
            check_store_is_consistent(one.running.store)
            return one.had_fault()

    assert at_every_change(attempt, step) > 50 // step


@pytest.mark.parametrize(("error", "lasting"), [(errno.EIO, False), (errno.EROFS, True)], ids=["EIO", "EROFS"])
def test_a_core_is_collected_once_whichever_change_of_the_spool_fails(
    programs: Path, scratch: Path, error: int, lasting: bool
) -> None:
    core = crash(programs, scratch, "segv")

    def attempt(number: int) -> bool:
        with scenario(programs, core, error, number, lasting=lasting, on_spool=True) as one:
            recorded = one.collect()
            fault = one.description()
            assert recorded.core.state is CoreState.KEPT, fault
            assert kept_content(one.running.store, recorded) == core.read_bytes(), fault
            # fsck removes a hard link that could not be removed at the time.
            assert run_astbtd(one.running, "fsck").returncode == 0, fault
            assert os.listdir(one.spool) in ([], ["core"]), fault
            assert "Traceback" not in one.running.output(), fault
            return one.had_fault()

    assert at_every_change(attempt) > 5


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.__getitem__)
def test_a_command_reports_an_error_of_the_store_and_succeeds_when_run_again(
    programs: Path, scratch: Path, error: int
) -> None:
    core = scratch / "core"
    core.write_bytes(DeadProcess().core())

    def attempt(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {}) as one:
            faults = FaultInjector(programs, [one.store.root], directory / "calls")
            failing = faults.environment(Fault(number, error=error))
            first = run_astbtd(one, "extract", str(core), environment=failing)
            had_fault = len(faults.calls()) >= number
            fault = f"{errno.errorcode[error]} at {faults.calls()[number - 1]}: {first.stderr}" if had_fault else ""
            assert first.returncode == 0 or os.strerror(error) in first.stderr, fault
            assert "Traceback" not in first.stderr, fault
            assert run_astbtd(one, "extract", str(core)).returncode == 0, fault
            assert [each.core.state for each in one.crashes()] == [CoreState.LEFT], fault
            assert set(os.listdir(one.store.incoming)) - {"new"} <= PERMANENT_FILES, fault
            check_store_is_consistent(one.store)
            return had_fault

    assert at_every_change(attempt, step=10) > 5

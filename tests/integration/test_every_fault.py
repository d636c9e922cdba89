"""Whichever change of a file fails, once or from then on: nothing is lost, it is said, and work resumes by itself."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from astbtd.model.crash import CoreState, Crash
from tests.integration.test_every_kill import check_that_nothing_is_wrong, kept_content
from tests.integration.test_retention import astbtd
from tests.support.builders import DeadProcess
from tests.support.faults import Fault, Faults, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory

_STAYING = {"lock", "changes", "directories"}


@dataclass
class Scene:
    """A daemon whose store fails, and the core that it is to collect; it is started again as systemd would do."""

    running: RunningDaemon
    spool: Path
    faults: Faults
    fault: Fault

    def has_said(self) -> bool:
        """Whether the status, or what it said before it ended, has told of the fault."""
        reason = os.strerror(self.fault.error or 0)
        return any(reason in state for state in self.running.manager.states) or reason in self.running.output()

    def is_at_rest(self) -> bool:
        store = self.running.store
        done = len(store.ids()) == 1 and not store.is_new and set(os.listdir(store.incoming)) <= _STAYING
        return done and self.running.manager.status.endswith("idle")

    def cannot_start(self) -> bool:
        """Whether it has ended, or says why it does."""
        last_words = ("astbtd: cannot use the store", "astbtd: cannot go on")
        return self.running.process.poll() is not None or any(said in self.running.output() for said in last_words)

    def mend(self) -> None:
        """The disk works again."""
        if self.fault.lasting:
            self.fault.lasting.unlink(missing_ok=True)

    def collect(self) -> Crash:
        """Lets the daemon work, mends the disk as soon as it has said that it fails, and waits until all is done."""
        self.running.environment = self.faults.environment(self.fault)
        self.running.launch()
        while self.running.process.poll() is None and not self.is_at_rest() and not self.has_said():
            self.running.manager.receive(0.1)
        self.mend()
        if self.cannot_start():
            assert self.running.process.wait() == 1
            self.running.environment = {}
            self.running.launch()
        self.running.wait_until(self.is_at_rest, f"all to be done, {self.fault}: {self.what_failed()}")
        self.running.stop()
        (recorded,) = self.running.crashes()
        return recorded

    def what_failed(self) -> str:
        calls = self.faults.calls()
        return calls[self.fault.at - 1] if self.struck() else "nothing"

    def struck(self) -> bool:
        return len(self.faults.calls()) >= self.fault.at


@contextmanager
def scene(programs: Path, core: Path, error: int, at: int, *, lasting: bool, beside: bool = False) -> Iterator[Scene]:
    """The disk that fails is the store's, or that `beside`, where the core lies."""
    with scratch_directory() as directory:
        spool, broken = directory / "spool", directory / "broken"
        spool.mkdir()
        broken.touch()
        shutil.copy2(core, spool / "core")
        watch = {"directories": [str(spool)], "rescan": "1s"}
        with daemon(directory, {"watch": watch, "retention": {"minimum_free": "0%"}}) as running:
            faults = Faults(programs, [spool if beside else running.store.root], directory / "calls")
            yield Scene(running, spool, faults, Fault(at, error=error, lasting=broken if lasting else None))


@pytest.mark.parametrize(
    ("error", "lasting", "every"),
    [
        (errno.EIO, False, 4),
        (errno.ENOSPC, True, 4),
        (errno.EROFS, True, 8),
        (errno.EDQUOT, True, 16),
    ],
    ids=["EIO", "ENOSPC", "EROFS", "EDQUOT"],
)
def test_a_core_is_collected_once_and_whole_whichever_change_of_the_store_fails(
    programs: Path, scratch: Path, error: int, lasting: bool, every: int
) -> None:
    core = crash(programs, scratch, "segv")

    def goes_on(number: int) -> bool:
        with scene(programs, core, error, number, lasting=lasting) as one:
            recorded = one.collect()
            told = f"{one.fault}: {one.what_failed()}"
            assert recorded.core.state is CoreState.KEPT, told
            assert kept_content(one.running.store, recorded) == core.read_bytes(), told
            assert os.listdir(one.spool) == [], told
            assert "Traceback" not in one.running.output(), told
            assert one.has_said() or not lasting or not one.struck(), told  # what happens once may cost nothing
            check_that_nothing_is_wrong(one.running.store)
            return one.struck()

    assert at_every_change(goes_on, every) > 50 // every


@pytest.mark.parametrize(("error", "lasting"), [(errno.EIO, False), (errno.EROFS, True)], ids=["EIO", "EROFS"])
def test_a_core_is_collected_once_whichever_change_beside_it_fails_and_left_only_where_nothing_can_be_done_there(
    programs: Path, scratch: Path, error: int, lasting: bool
) -> None:
    core = crash(programs, scratch, "segv")

    def goes_on(number: int) -> bool:
        with scene(programs, core, error, number, lasting=lasting, beside=True) as one:
            recorded = one.collect()
            told = f"{one.fault}: {one.what_failed()}"
            assert recorded.core.state is CoreState.KEPT, told
            assert kept_content(one.running.store, recorded) == core.read_bytes(), told
            assert astbtd(one.running, "fsck").returncode == 0, told  # of a name that could not be taken back
            assert os.listdir(one.spool) in ([], ["core"]), told
            assert "Traceback" not in one.running.output(), told
            return one.struck()

    assert at_every_change(goes_on) > 5


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.__getitem__)
def test_a_command_during_which_the_store_fails_says_so_and_does_its_work_when_run_again(
    programs: Path, scratch: Path, error: int
) -> None:
    core = scratch / "core"
    core.write_bytes(DeadProcess().core())

    def says_so(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {}) as one:
            faults = Faults(programs, [one.store.root], directory / "calls")
            failing = faults.environment(Fault(number, error=error))
            first = astbtd(one, "extract", str(core), environment=failing)
            struck = len(faults.calls()) >= number
            told = f"{errno.errorcode[error]} at {faults.calls()[number - 1]}: {first.stderr}" if struck else ""
            assert first.returncode == 0 or os.strerror(error) in first.stderr, told
            assert "Traceback" not in first.stderr, told
            assert astbtd(one, "extract", str(core)).returncode == 0, told
            assert [each.core.state for each in one.crashes()] == [CoreState.LEFT], told
            assert set(os.listdir(one.store.incoming)) - {"new"} <= _STAYING, told
            check_that_nothing_is_wrong(one.store)
            return struck

    assert at_every_change(says_so, step=5) > 10

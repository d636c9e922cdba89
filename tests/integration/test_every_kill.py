"""The daemon is killed in place of each change of a file, or after half of a write: nothing is lost or half done."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from astbtd.claims.claim_file import ClaimFiles, ClaimRecord
from astbtd.claims.core_filter import Candidate, examine
from astbtd.model.crash import CoreState, Crash, DiscoveredBy
from astbtd.store.captures import Captures
from astbtd.store.store import Store
from tests.support import builders
from tests.support.collected_cores import keep_as_systemd
from tests.support.commands import run_astbtd
from tests.support.faults import OBJECTS, STAGING, Fault, FaultInjector, at_every_change
from tests.support.harness import RunningDaemon, crash, daemon, process_state, running_asterisk, scratch_directory
from tests.support.packed import COMPRESS
from tests.support.store_checks import (
    PERMANENT_FILES,
    check_records_are_complete,
    check_store_is_consistent,
    is_settled,
    kept_content,
)


@dataclass(frozen=True)
class Scenario:
    """A daemon that is killed, and the directory in which it finds cores. `crashes` is how many records must result."""

    running: RunningDaemon
    spool: Path
    faults: FaultInjector
    crashes: int

    @property
    def store(self) -> Store:
        """The store of the daemon."""
        return self.running.store

    def is_done(self) -> bool:
        """Return whether all cores are recorded and nothing is pending."""
        return is_settled(self.store, self.crashes)

    def run_until_killed(self, fault: Fault) -> bool:
        """Run the daemon with a fault. Return False if it finished its work instead of being killed."""
        self.running.environment = self.faults.environment(fault)
        self.running.launch()
        while self.running.process.poll() is None and not self.is_done():
            self.running.manager.receive(0.1)
        if self.running.process.poll() is None:
            self.running.signal(signal.SIGTERM)
        return self.running.process.wait() == -signal.SIGKILL

    def finish(self) -> list[Crash]:
        """Run a daemon without a fault until all is done. Return the records, newest first."""
        self.running.environment = {}
        self.running.start()
        self.running.wait_until(self.is_done, "all cores to be recorded")
        self.running.stop()
        return self.running.crashes()


@dataclass(frozen=True)
class Case:
    """What the daemon finds, and what must result.

    `prepare` makes it from a core. `state` is the state of the core in the record; if it `stays`, the core is still in
    its place at the end. `without` are files whose changes another case covers; every `step`-th other change is tried.
    """

    prepare: Callable[[Scenario, Path], object]
    state: CoreState
    stays: bool = False
    settings: dict[str, object] = field(default_factory=dict)
    crashes: int = 1
    without: str = STAGING
    step: int = 16


def put_core(scenario: Scenario, core: Path) -> Path:
    """Put a core into the working directory of Asterisk."""
    return Path(shutil.copy2(core, scenario.spool / "core"))


def put_core_beside_used_store(scenario: Scenario, core: Path) -> None:
    """Put a core there, with a store for which it is not the first start."""
    scenario.store.prepare()
    scenario.store.mark_initialized()
    put_core(scenario, core)


def put_compressed_core(scenario: Scenario, core: Path) -> None:
    """Put a compressed core into the working directory of Asterisk."""
    scenario.store.prepare()
    scenario.store.mark_initialized()
    (scenario.spool / "asterisk.zst").write_bytes(COMPRESS["zst"](core.read_bytes()))


def put_collected_core(scenario: Scenario, core: Path) -> None:
    """Put a core into the collection of systemd-coredump."""
    scenario.store.prepare()
    scenario.store.mark_initialized()
    keep_as_systemd(core, scenario.spool)
    scenario.running.configure({"collectors": {"systemd_coredump": [str(scenario.spool)], "apport": [], "abrt": []}})


def put_claim_of_lost_core(scenario: Scenario, core: Path) -> None:
    """Leave the claim of a core that was removed before the daemon copied it."""
    put_core_beside_used_store(scenario, core)
    candidate = examine(str(scenario.spool), "core", ("asterisk",))
    assert isinstance(candidate, Candidate)
    claim = ClaimRecord(
        candidate.facts, str(scenario.spool), "core", DiscoveredBy.EVENT, core.stat().st_ino, copied=True
    )
    os.close(ClaimFiles(scenario.store.incoming).write(candidate.facts.crash_id, claim))
    os.close(candidate.descriptor)
    (scenario.spool / "core").unlink()


def put_earlier_core(scenario: Scenario, core: Path) -> None:
    """Put a core of an earlier crash than a recorded one of the same bug."""
    recorded = core.with_name("recorded")
    if not recorded.exists():
        put_core_beside_used_store(scenario, core)
        scenario.running.start()
        scenario.running.wait_for_crashes(1)
        scenario.running.stop()
        scenario.store.root.rename(recorded)
    shutil.copytree(recorded, scenario.store.root, symlinks=True)
    for path in (recorded, *recorded.rglob("*")):
        owner = path.lstat()
        os.chown(scenario.store.root / path.relative_to(recorded), owner.st_uid, owner.st_gid, follow_symlinks=False)
    shutil.copy2(core.with_name("earlier"), scenario.spool / "core")


CASES = {
    "moved": Case(put_core, CoreState.KEPT, without=OBJECTS, step=8),
    "objects": Case(put_core_beside_used_store, CoreState.KEPT, without="*/crashes/*"),
    "left": Case(put_core_beside_used_store, CoreState.LEFT, stays=True, settings={"cores": {"action": "leave"}}),
    "deleted": Case(put_core_beside_used_store, CoreState.REMOVED, settings={"cores": {"action": "delete"}}),
    "compressed": Case(put_compressed_core, CoreState.KEPT),
    "collected": Case(put_collected_core, CoreState.KEPT, stays=True),
    "lost": Case(put_claim_of_lost_core, CoreState.LOST),
    "earlier": Case(put_earlier_core, CoreState.KEPT, crashes=2),
}


@contextmanager
def prepared(case: Case, programs: Path, core: Path) -> Iterator[Scenario]:
    """Prepare a case in a directory of its own."""
    with scratch_directory() as directory:
        spool = directory / "spool"
        spool.mkdir()
        with daemon(directory, {"watch": {"directories": [str(spool)]}, **case.settings}) as running:
            faults = FaultInjector(programs, [running.store.root, spool], directory / "calls", case.without)
            scenario = Scenario(running, spool, faults, case.crashes)
            case.prepare(scenario, core)
            yield scenario


@pytest.fixture
def core(programs: Path, scratch: Path) -> Path:
    """The core of a crash; beside it, as `earlier`, that of an earlier crash of the same bug."""
    earlier = crash(programs, scratch, "segv").rename(scratch / "earlier")
    os.utime(earlier, (1_700_000_000, 1_700_000_000))
    return crash(programs, scratch, "segv")


@pytest.mark.parametrize("name", CASES)
def test_after_a_kill_at_any_change_the_next_daemon_completes_the_work(programs: Path, core: Path, name: str) -> None:
    case = CASES[name]
    with prepared(case, programs, core) as undisturbed:
        sections = [recorded.extraction.sections.keys() for recorded in undisturbed.finish()]

    def attempt(number: int, *, torn: bool = True) -> bool:
        fault = Fault(number, torn=torn)
        with prepared(case, programs, core) as one:
            found = os.listdir(one.spool)
            killed = one.run_until_killed(fault)
            check_records_are_complete(one.store)
            recorded = one.finish()
            assert [each.core.state for each in recorded] == [case.state] * case.crashes, fault
            assert [each.extraction.sections.keys() for each in recorded] == sections, fault
            numbers = [each.signature.occurrence for each in recorded if each.signature]
            grouped = 0 if case.state is CoreState.LOST else case.crashes  # nothing tells what a lost core's crash was
            assert numbers == list(range(grouped, 0, -1)), fault
            if case.state is CoreState.KEPT:
                assert kept_content(one.store, recorded[0]) == core.read_bytes(), fault
            assert os.listdir(one.spool) == (found if case.stays else []), fault
            check_store_is_consistent(one.store)
            check_announcement(one, recorded)
            was_write = one.faults.calls()[-1].startswith("write ")
        return killed and (not torn or not was_write or attempt(number, torn=False))

    assert at_every_change(attempt, case.step) > 30 // case.step


def check_announcement(scenario: Scenario, recorded: list[Crash]) -> None:
    """Check that a crash was announced, individually or in the summary of the first start."""
    output = scenario.running.output()
    directories = [str(scenario.store.directory(each.id)) for each in recorded]
    summary = "earlier crash"
    assert any(directory in output for directory in directories) or summary in output


def test_a_kill_of_the_command_sets_a_pin_or_does_not(running: RunningDaemon, programs: Path) -> None:
    store, faults = running.store, FaultInjector(programs, [running.store.root], running.log.with_name("calls"))
    store.prepare()
    pinned = builders.crash()
    store.commit(store.stage(pinned.id), pinned)

    for number in itertools.count(1):
        environment = faults.environment(Fault(number, torn=True))
        exit_code = run_astbtd(running, "pin", pinned.id, environment=environment).returncode
        assert store.load(pinned.id).pinned in (True, False)
        assert run_astbtd(running, "pin", pinned.id).returncode == 0
        assert os.listdir(store.directory(pinned.id)) == ["crash.json"]
        assert run_astbtd(running, "unpin", pinned.id).returncode == 0
        if exit_code != -signal.SIGKILL:
            break
    assert number > 5


def test_a_killed_extract_command_records_the_core_once_when_run_again(programs: Path, scratch: Path) -> None:
    core = scratch / "core"
    core.write_bytes(builders.DeadProcess().core())

    def attempt(number: int) -> bool:
        with scratch_directory() as directory, daemon(directory, {}) as one:
            faults = FaultInjector(programs, [one.store.root], directory / "calls", STAGING)
            environment = faults.environment(Fault(number, torn=True))
            killed = run_astbtd(one, "extract", str(core), environment=environment).returncode == -signal.SIGKILL
            if one.store.root.exists():
                check_records_are_complete(one.store)
            again = run_astbtd(one, "extract", str(core))
            assert again.returncode == 0, again.stderr
            assert [each.core.state for each in one.crashes()] == [CoreState.LEFT]
            assert set(os.listdir(one.store.incoming)) - {"new"} <= PERMANENT_FILES
            check_store_is_consistent(one.store)
            return killed

    assert at_every_change(attempt, step=3) > 5
    assert core.read_bytes() == builders.DeadProcess().core()


def test_a_killed_capture_is_complete_or_absent_and_asterisk_continues(
    running: RunningDaemon, programs: Path, spool: Path
) -> None:
    running.store.prepare()
    captures = Captures(running.store.root)
    faults = FaultInjector(programs, [running.store.root], running.log.with_name("calls"), "*/capturing/*/*")
    with running_asterisk(programs, spool) as asterisk:
        capture = ("deadlock", "--samples", "1", "--pid", str(asterisk.pid))
        for number in itertools.count(1):
            environment = faults.environment(Fault(number, torn=True))
            done = run_astbtd(running, *capture, environment=environment)
            for capture_id in captures.ids():
                captures.load(capture_id)
            assert process_state(asterisk.pid) != "T"
            if done.returncode != -signal.SIGKILL:
                break

    assert done.returncode == 0, done.stderr
    assert number > 10
    assert os.listdir(running.store.root / "capturing") == []
